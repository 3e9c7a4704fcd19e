// @ts-check
// Methods side by side on the answered input: asked for by a button, drawn card by card. The ticked methods are those
// of the sweep as well. Texts of models go in by textContent.
const percent = (x) => (x > 0 && x < 0.005 ? "below 0.5%" : Math.round(100 * x) + "%");

find(".methods").append(
  ...props.methods.map(({ method, name }) => {
    const label = make("label"),
      box = make("input");
    box.type = "checkbox";
    box.value = method;
    box.checked = true;
    box.disabled = method === "random";
    label.append(box, make("span", name + (box.disabled ? " (always)" : "")));
    return label;
  }),
);
shared.methods = () => [...element.querySelectorAll(".methods input:checked")].map((box) => box.value);

reachable(find(".wide"), "Tokens in common, table");
find(".methods").addEventListener("change", () => window.dispatchEvent(new CustomEvent("rp:methods")));
// How many answers the ticked methods take at one keep ratio, for the sweep as well.
const runsOf = new Map(props.methods.map(({ method, runs }) => [method, runs]));
shared.runs = () => shared.methods().reduce((sum, method) => sum + runsOf.get(method), 0);

const plan = () => ({ ratios: [shared.at?.keep ?? 0], runs: shared.runs() + Number(Boolean(shared.own)) });
const drive = series(element, shared, trigger, plan, (news) => draw(JSON.parse(news)));
shared.failed_compare = drive.failed;

function card(one) {
  const box = make("article"),
    pictures = make("div", "", "pictures" + (one.pictures.length > 1 ? " several" : ""));
  box.style.setProperty("--mine", "var(--rp-method-" + one.method + ")");
  box.dataset.method = one.method;
  pictures.append(
    ...one.pictures.map((url) => {
      const image = make("img");
      image.src = url;
      image.alt = "Tokens kept by " + one.name;
      return image;
    }),
  );
  const several = one.runs > 1,
    range = several ? " (" + percent(one.low) + " to " + percent(one.high) + ")" : "";
  box.append(
    make("h3", one.name + (several ? ", " + one.runs + " draws" : "")),
    pictures,
    make("p", one.text || "(no words)", "text"),
    make(
      "p",
      several
        ? one.same + " of " + one.runs + " answers the same; the first is shown"
        : one.same
          ? "Same answer"
          : "Different answer",
      "same",
    ),
    make("p", "Probability of the unpruned answer: " + percent(one.probability) + range),
    make("p", "First word: KL " + one.kl.toFixed(3) + " nats"),
    make(
      "p",
      one.kept +
        " tokens; prefill " +
        one.prefill.toFixed(1) +
        "×, end to end " +
        one.end_to_end.toFixed(1) +
        "× less (estimate)",
    ),
  );
  return box;
}

function draw({ full, sure, at, cards, overlap }) {
  find(".full").textContent =
    "All tokens: “" + (full || "(no words)") + "”, probability " + percent(sure) + ". At " + at + " kept:";
  find(".cards").replaceChildren(...cards.map(card));
  find(".overlap").hidden = cards.length < 2;
  const line = (cells) => {
    const row = make("tr");
    row.append(...cells);
    return row;
  };
  find("table").replaceChildren(
    line([make("th", "Method"), ...cards.map((one) => make("th", one.name))]),
    ...cards.map((one, i) =>
      line([
        make("th", one.name),
        ...overlap[i].map((share) => {
          const cell = make("td", share === null ? "–" : share.toFixed(2));
          cell.style.setProperty("--share", share || 0);
          return cell;
        }),
      ]),
    ),
  );
}

window.dispatchEvent(new CustomEvent("rp:methods"));
watch("value", () => drive.load(props.value));
drive.load(props.value);
