// @ts-check
// Both answers as equal cards. Text of models and users goes in by textContent only. The cards know what they
// answer and at which knobs, and say so as soon as the page stands at something else.
//
// Every request of the page passes through `begin` on its way to the server (ui.py): it gets a ticket and the newest
// knobs, the older ones are stopped, and the cards wait from this moment on.
const same = (a, b) => Math.abs(a.keep - b.keep) < 1e-6 && Math.abs(a.weight - b.weight) < 1e-6;
const percent = (x) => Math.round(x * 100) + "%";
const WAITING = "Waiting for the model.";
const FIRST_OF = 48; // characters
const LONG_MS = 900;
let value = {},
  settled = {},
  since = 0,
  clock = 0;
shared.ticket ||= 0;
shared.who ||= Math.random().toString(36).slice(2); // names this page to the server, which tells its place in the queue

const knobsOf = (args) => args.findIndex((a) => a && typeof a === "object" && "keep" in a && "weight" in a);
const MENUS = ["method", "query", "budget"]; // the last of every request's arguments
const menusOf = (args) => Object.fromEntries(MENUS.map((name, i) => [name, args.at(i - MENUS.length)]));
const menusAt = (at) => Object.fromEntries(MENUS.map((name) => [name, at[name]]));
const differ = (a, b) => MENUS.some((name) => a[name] !== b[name]);

shared.begin = (args) => {
  const at = knobsOf(args);
  if (value.busy) trigger("stop", { ticket: shared.ticket });
  shared.ticket++;
  if (at < args.length - 1) shared.menus = menusOf(args);
  become({ ...settled, busy: true, waiting: true, line: WAITING });
  return args.map((a, i) =>
    i === at ? { ...a, ...shared.knobs, ticket: shared.ticket, shows: shared.shows, who: shared.who } : a,
  );
};

// A menu that only lost the focus: nothing is stopped, and its ticket is one that is over (desk.py).
shared.change = (args) => {
  if (differ(menusOf(args), shared.menus || shared.run || {})) return shared.begin(args);
  return args.map((a, i) => (i === knobsOf(args) ? { ...a, ticket: -1 } : a));
};

// The queue is full, or the connection broke; Gradio itself says which.
shared.failed = () => {
  if (value.waiting) become({ ...settled, line: "Not answered: the page is busy or cannot be reached. Try again." });
};

function become(next) {
  // Another model's answers: its menu of queries came with them.
  if (next.at && value.at && next.at.model !== value.at.model) shared.menus = menusAt(next.at);
  if (next.busy && !(value.busy && value.ticket === next.ticket)) since = performance.now();
  value = next;
  if (!value.busy) settled = value;
  shared.quick = value.quick;
  shared.snippet = value.snippet;
  shared.at = value.at;
  if (value.shows) shared.shows = value.shows; // sent with every request: the server may have lost it (shown_run.py)
  shared.took = ["full", "pruned"].map((side) => ({ n: value[side]?.n, seconds: value[side]?.seconds }));
  shared.busy = Boolean(value.busy);
  clearInterval(clock);
  // While answers come, the cards do not become smaller: what stands below them moves down, and not up and down.
  find(".pair").style.minHeight = value.busy ? find(".pair").offsetHeight + "px" : "";
  if (value.busy) clock = setInterval(tick, 1000);
  draw();
  requestAnimationFrame(draw); // the question box may be written in the same breath
  window.dispatchEvent(new CustomEvent("rp:state"));
}

// Once a second while there is something to wait for; every other second the server is asked for the place in its queue.
function tick() {
  draw();
  if (value.waiting && value.line.startsWith("Waiting") && Math.round((performance.now() - since) / 1000) % 2 === 0)
    askPlace();
}
async function askPlace() {
  const { ticket } = shared;
  try {
    const { place, seconds } = await (
      await fetch("rediprune/place?" + new URLSearchParams({ who: shared.who, ticket }))
    ).json();
    if (!value.waiting || ticket !== shared.ticket || !value.line.startsWith("Waiting")) return;
    value.line = place
      ? "Waiting: " + place + " before you, about " + Math.max(1, Math.round(seconds)) + " s more (estimate)."
      : WAITING;
    draw();
  } catch {
    /* the page cannot be reached: Gradio says so */
  }
}

// Only what changed: text that is written again is laid out again, and this runs at every move of a slider.
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Both answers in one line, for where the cards are out of sight: an answer of many words by its first ones.
const first = (text) => (text.length > FIRST_OF ? text.slice(0, FIRST_OF).trimEnd() + "…" : text);
function hear(line) {
  const said = ["full", "pruned"]
    .filter((side) => value[side]?.text)
    .map((side) => value[side].n + " tokens: " + first(value[side].text));
  const heard = value.waiting && performance.now() - since > LONG_MS ? line : said.join(" · ");
  if (heard === shared.heard) return;
  shared.heard = heard;
  window.dispatchEvent(new CustomEvent("rp:heard"));
}

function card(side, stale) {
  const box = find(".card." + side),
    from = value[side] || {},
    part = (name) => box.querySelector(name);
  box.dataset.state = stale ? "stale" : from.state || "idle";
  const own = side === "pruned" && value.at && value.at.own && value.full;
  write(part(".n"), own ? from.n + " of " + value.full.n : String(from.n ?? "–"));
  if (side === "pruned") write(part(".what"), own ? "Your own" : "Pruned to");
  if (side === "pruned") write(part(".unit"), own ? "" : " tokens");
  write(part(".text"), from.text || "");
  part(".text").classList.toggle("long", (from.text || "").length > 40);
  write(part(".time"), from.time || "");
  part(".foreign").hidden = !(value.foreign || value.opened);
  write(part(".foreign"), value.opened ? "from a file, not run here" : "unknown to this model");
}

// In what the cards differ from the rest of the page: each a sentence, or "".
function differences() {
  const { at } = value,
    { run, menus, knobs } = shared,
    box = document.querySelector("#rp-ask textarea");
  const none = { model: "", asked: "", menus: "", knobs: "" };
  if (!at) return none;
  const weighted = !run || run.weighted,
    now = knobs && (weighted ? knobs : { ...knobs, weight: at.weight });
  const own = shared.own || "",
    ours = "your own " + (own ? own.split(",").length : 0) + " tokens";
  const where = (k) => percent(k.keep) + (weighted ? ", weight " + k.weight.toFixed(2) : "");
  return {
    model:
      shared.model && at.model >= 0 && shared.model.number !== at.model
        ? "The picture and these answers are an earlier model's." +
          (shared.model.name ? " The model is now " + shared.model.name + "." : "")
        : "",
    asked:
      (box && box.value.trim() !== at.question) || (run && run.picture !== at.picture)
        ? "These answers are to the earlier question, after “Asked:”."
        : "",
    menus:
      menus && differ(menus, at)
        ? "The picture and the pruned answer are those of the earlier method, query or budget."
        : "",
    knobs:
      own !== (at.own || "")
        ? "Answered " +
          (at.own ? "with your own " + at.own.split(",").length + " tokens" : "at " + where(at)) +
          "; the picture shows " +
          (own ? ours : "the rule's choice") +
          "."
        : now && !own && !same(at, now)
          ? "Answered at " +
            where(at) +
            "; the picture shows " +
            where(knobs) +
            (value.quick ? ". Refreshing when you let go." : ".")
          : "",
  };
}

function draw() {
  const now = differences(),
    stale = now.model || now.asked || now.menus || now.knobs;
  card("full", value.waiting || (!value.busy && (now.model || now.asked)));
  card("pruned", value.waiting || (!value.busy && stale));
  element.dataset.state = value.busy ? "busy" : stale ? "stale" : "done";
  write(find(".question"), value.at ? value.at.question : "");
  find(".again").hidden =
    value.busy || !(now.model ? shared.model.name : !shared.own && (!value.quick || value.at?.own) && now.knobs);
  find(".stop").hidden = !value.busy;
  find(".def").hidden = Boolean(value.busy || stale);
  const seconds = " " + ((performance.now() - since) / 1000).toFixed(0) + " s";
  const line = value.busy ? value.line + seconds : stale || value.line || "";
  write(find(".line"), line);
  hear(line);
}

function load() {
  const news = JSON.parse(JSON.stringify(props.value || {}));
  if ((news.ticket || 0) < shared.ticket) {
    // of a request that a newer one has replaced
    if (news.full && !news.busy) settled = news;
  } else if (news.full) {
    if (news.dials) shared.menus = menusAt(news.at); // a link or an opened trace set them
    become(news);
  } else if (news.busy)
    become({ ...settled, ...news, waiting: true }); // nothing new to read yet
  else become(settled); // it came to nothing: back to what was there
}

// A file of the visitor's own is on its way: they see the picture while it is read.
shared.given = (args) => {
  if (args[0]) shared.toPicture?.();
  return shared.begin(args);
};

document.addEventListener("input", (e) => {
  if (e.target.closest("#rp-ask")) draw();
});
reachable(find(".asked"), "The question that was asked");
find(".again").addEventListener("click", () => trigger("again"));
find(".stop").addEventListener("click", () => {
  trigger("stop", { ticket: shared.ticket });
  if (value.waiting) become(settled);
});
window.addEventListener("rp:knobs", draw);
window.addEventListener("rp:run", draw);
window.addEventListener("rp:own", draw);
window.addEventListener("rp:model", draw);
watch("value", load);
load();
