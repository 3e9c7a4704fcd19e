// @ts-check
// "How it works on your input": the steps of the answered run, asked for when a visitor comes to them, after the
// answers. Texts and numbers are the server's and go in by textContent.
const svg = (tag, attributes) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
};
const CAPTIONS = {
  all: "All tokens, before anything is chosen.",
  heat: "Relevance: dark blue is the lowest, yellow the highest in this picture.",
  picks: "The first picks.",
  kept: "Kept tokens bright, the others dimmed.",
};
const VIEWS = { relevance: "heat", picks: "order", kept: "kept" }; // of the explorer, where the same can be worked with
let inSight = false;
let requestedFor = ""; // the answers, as a string
let shownFor = "";
let pictures = {};

const CHARTS = {
  bars: ({ rows }) => {
    const box = make("div", "", "bars");
    for (const { name, share, text, own } of rows) {
      const track = make("span");
      const bar = make("i");
      bar.style.width = 100 * share + "%";
      bar.dataset.own = own;
      track.append(bar);
      box.append(make("span", name, "name"), track, make("span", text));
    }
    return box;
  },
  chips: ({ words }) => {
    const box = make("div", "", "chips");
    box.append(...words.map((word) => make("span", word)));
    return box;
  },
  table: ({ head, rows }) => {
    const table = make("table");
    const line = (cells, tag) => {
      const row = make("tr");
      row.append(...cells.map((cell) => make(tag, cell)));
      return row;
    };
    table.append(line(head, "th"), ...rows.map((row) => line(row, "td")));
    return table;
  },
  histogram: ({ series, low, high }) => {
    const box = make("div", "", "histogram");
    const ends = make("span", "", "ends");
    for (const { name, key, counts } of series) {
      const top = Math.max(...counts);
      const picture = svg("svg", {
        viewBox: "0 0 " + counts.length + " 100",
        preserveAspectRatio: "none",
        class: key,
        role: "img",
        "aria-label": name,
      });
      picture.append(
        ...counts.map((count, i) =>
          svg("rect", { x: i + 0.08, width: 0.84, y: 100 - (100 * count) / top, height: (100 * count) / top }),
        ),
      );
      box.append(make("span", name), picture);
    }
    ends.append(make("span", low), make("span", "0"), make("span", high));
    box.append(make("span"), ends);
    return box;
  },
};

/** @type {() => HTMLElement[]} */
const stepItems = () => Array.from(element.querySelectorAll(".step"));

function highlightStep(item, picture) {
  stepItems().forEach((other) => {
    other.dataset.lit = String(other === item);
  });
  const image = find(".picture img");
  if (image.dataset.lights !== picture) {
    image.dataset.lights = picture;
    image.src = pictures[picture];
    image.alt = find("figcaption").textContent = CAPTIONS[picture];
  }
}

function makeStep({ id, title, text, lights, shows }) {
  const item = make("li", "", "step");
  const head = make("h3");
  const button = make("button", title);
  item.dataset.id = id;
  button.type = "button";
  head.append(button);
  item.append(head, ...text.map((words) => make("p", words)));
  for (const show of shows) {
    const box = make("div", "", "show");
    box.append(make("p", show.label, "label"), CHARTS[show.kind](show));
    focusWhileScrolling(box, show.label);
    item.append(box);
  }
  if (VIEWS[id]) {
    const above = make("button", "Show it in the picture above", "above");
    above.type = "button";
    above.addEventListener("click", () => {
      /** @type {HTMLElement} */ (document.querySelector('#rp-explorer [data-view="' + VIEWS[id] + '"]')).click();
      const map = /** @type {HTMLElement} */ (document.querySelector("#rp-explorer .map"));
      map.scrollIntoView({ block: "center" });
      map.focus({ preventScroll: true });
    });
    item.append(above);
  }
  for (const event of ["pointerenter", "focusin", "click"])
    item.addEventListener(event, () => highlightStep(item, lights));
  return item;
}

// What the answers on the page belong to, as one string; "" while there are none.
const currentAnswers = () => {
  const { answeredRun, busy } = pageState;
  return answeredRun && !busy ? JSON.stringify(answeredRun) : "";
};

function requestSteps() {
  const now = currentAnswers();
  find(".story").dataset.state = shownFor && now && now !== shownFor ? "stale" : "";
  if (!inSight || !now || now === requestedFor) return;
  requestedFor = now;
  const { answeredRun, runRecord } = pageState;
  trigger("tell", { keep: answeredRun.keep, weight: answeredRun.weight, at: now, shows: runRecord });
}

function onValueChange() {
  const { at, told, said } = props.value || {};
  if (!at || at !== requestedFor) return; // of an answer that a newer one has replaced
  if (said) {
    find(".about").textContent = said;
    return;
  }
  const story = JSON.parse(told);
  shownFor = at;
  pictures = story.pictures;
  find(".picture img").dataset.lights = "";
  const note = JSON.parse(at).own
    ? " The pruned answer above is from your own choice of tokens; the steps below are those of the method."
    : "";
  find(".about").textContent = story.about + note;
  find(".steps").replaceChildren(...story.steps.map(makeStep));
  find(".body").hidden = false;
  find(".story").dataset.state = "";
  highlightStep(find(".step"), story.steps[0].lights);
}

pageState.untold = () => {
  requestedFor = "";
  find(".about").textContent = "Not shown: the page is busy, cannot be reached, or failed. Answer again to try again.";
};

// Who scrolls reads the step in the middle of the screen.
window.addEventListener(
  "scroll",
  () => {
    if (element.contains(document.activeElement)) return;
    const middle = innerHeight / 2;
    const item = stepItems().find((step) => {
      const box = step.getBoundingClientRect();
      return box.top <= middle && box.bottom > middle;
    });
    if (item && item.dataset.lit !== "true") item.dispatchEvent(new Event("pointerenter"));
  },
  { passive: true },
);
new IntersectionObserver(
  (changes) => {
    inSight = changes.at(-1).isIntersecting;
    requestSteps();
  },
  { rootMargin: "0px 0px -60px" },
).observe(find(".story"));
window.addEventListener("rp:state", requestSteps);
watch("value", onValueChange);
onValueChange();
