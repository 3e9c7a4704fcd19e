// @ts-check
// Both answers as equal cards. Text of models and users goes in by textContent only. The cards know what they
// answer and at which sliders, and say so as soon as the page stands at something else.
//
// Every request of the page passes through `begin` on its way to the server (app/page/events.py): it gets a ticket and
// the newest sliders, the older ones are stopped, and the cards wait from this moment on.
const WAITING = "Waiting for the model.";
const SUMMARY_CHARACTERS = 48; // of each answer
const LONG_WAIT_MS = 900;
const LOST_AFTER = 2; // checks in a row in which the server did not know of the request
const MENUS = ["method", "query", "budget"]; // the last of every request's arguments

/** @type {any} */
let value = {}; // what the cards show (app/answer/answering.py)
/** @type {any} */
let settled = {}; // the newest value of a request that has ended
let busySince = 0;
let clock = 0;
let unknownChecks = 0;

const percent = (x) => Math.round(x * 100) + "%";
const closeTo = (a, b) => Math.abs(a.keep - b.keep) < 1e-6 && Math.abs(a.weight - b.weight) < 1e-6;
const isSliderValues = (arg) => arg && typeof arg === "object" && "keep" in arg && "weight" in arg;
const slidersIndex = (args) => args.findIndex(isSliderValues);
/** @type {(args: any[]) => MenuOptions} */
const optionsOfRequest = (args) => Object.fromEntries(MENUS.map((name, i) => [name, args.at(i - MENUS.length)]));
/** @type {(answeredRun: AnsweredRun) => MenuOptions} */
const optionsOfRun = (answeredRun) => Object.fromEntries(MENUS.map((name) => [name, answeredRun[name]]));
/** @type {(a: MenuOptions, b: MenuOptions) => boolean} */
const optionsDiffer = (a, b) => MENUS.some((name) => a[name] !== b[name]);

pageState.begin = (args) => {
  const index = slidersIndex(args);
  if (value.busy) trigger("stop", { ticket: pageState.ticket });
  pageState.ticket++;
  unknownChecks = 0;
  if (index < args.length - 1) pageState.options = optionsOfRequest(args);
  show({ ...settled, busy: true, waiting: true, line: WAITING });
  const { sliders, ticket, runRecord: shows, visitorId: who } = pageState;
  return args.map((arg, i) => (i === index ? { ...arg, ...sliders, ticket, shows, who } : arg));
};

// A menu that only lost the focus: nothing is stopped, and its ticket is one that is over (app/state/app_state.py).
pageState.change = (args) => {
  if (optionsDiffer(optionsOfRequest(args), pageState.options || pageState.run || {})) return pageState.begin(args);
  return args.map((arg, i) => (i === slidersIndex(args) ? { ...arg, ticket: -1 } : arg));
};

// A file of the visitor's own is on its way: they see the picture while it is read.
pageState.given = (args) => {
  if (args[0]) pageState.scrollToPicture?.();
  return pageState.begin(args);
};

// The queue is full, or the connection broke; Gradio itself says which.
pageState.failed = () => {
  if (value.waiting) show({ ...settled, line: "Not answered: the page is busy or cannot be reached. Try again." });
};

function show(next) {
  // Another model's answers: its menu of queries came with them.
  if (next.at && value.at && next.at.model !== value.at.model) pageState.options = optionsOfRun(next.at);
  if (next.busy && !(value.busy && value.ticket === next.ticket)) busySince = performance.now();
  value = next;
  if (!value.busy) settled = value;
  pageState.quick = value.quick;
  pageState.snippet = value.snippet;
  pageState.answeredRun = value.at;
  if (value.shows) pageState.runRecord = value.shows; // the server may have lost it (app/state/shown_run.py)
  pageState.answerTimes = ["full", "pruned"].map((side) => ({ n: value[side]?.n, seconds: value[side]?.seconds }));
  pageState.busy = Boolean(value.busy);
  clearInterval(clock);
  // While answers come, the cards do not become smaller: what stands below them moves down, and not up and down.
  const pair = find(".pair");
  pair.style.minHeight = value.busy ? pair.getBoundingClientRect().height + "px" : "";
  if (value.busy) clock = setInterval(onTick, 1000);
  draw();
  requestAnimationFrame(draw); // the question box may be written in the same breath
  notifyPage("rp:state");
}

const inQueue = () => value.waiting && value.line.startsWith("Waiting");

// Once a second while there is something to wait for; every other second the server is asked for the place in its
// queue.
function onTick() {
  draw();
  const seconds = Math.round((performance.now() - busySince) / 1000);
  if (inQueue() && seconds % 2 === 0) fetchQueuePlace();
}
async function fetchQueuePlace() {
  const { ticket, visitorId } = pageState;
  const query = new URLSearchParams({ who: visitorId, ticket: String(ticket) });
  try {
    const { place, seconds, known } = await (await fetch("rediprune/place?" + query)).json();
    if (!inQueue() || ticket !== pageState.ticket) return;
    unknownChecks = known ? 0 : unknownChecks + 1;
    if (unknownChecks >= LOST_AFTER) {
      // Answered, but on a stream that Gradio's client had closed: nothing more will come.
      pageState.failed();
      notifyPage("rp:lost");
      return;
    }
    const wait = Math.max(1, Math.round(seconds));
    value.line = place ? "Waiting: " + place + " before you, about " + wait + " s more (estimate)." : WAITING;
    draw();
  } catch {
    // The page cannot be reached: Gradio says so.
  }
}

// Both answers in one line, for where the cards are out of sight: an answer of many words by its first ones.
function summarise(line) {
  const shorten = (text) =>
    text.length > SUMMARY_CHARACTERS ? text.slice(0, SUMMARY_CHARACTERS).trimEnd() + "…" : text;
  const answers = ["full", "pruned"].filter((side) => value[side]?.text);
  const texts = answers.map((side) => value[side].n + " tokens: " + shorten(value[side].text));
  const waitsLong = value.waiting && performance.now() - busySince > LONG_WAIT_MS;
  const summary = waitsLong ? line : texts.join(" · ");
  if (summary === pageState.answerSummary) return;
  pageState.answerSummary = summary;
  notifyPage("rp:heard");
}

function drawCard(side, stale) {
  const card = find(".card." + side);
  const answer = value[side] || {};
  const text = answer.text || "";
  const own = side === "pruned" && value.at && value.at.own && value.full;
  const part = (name) => card.querySelector(name);
  card.dataset.state = stale ? "stale" : answer.state || "idle";
  setText(part(".n"), own ? answer.n + " of " + value.full.n : String(answer.n ?? "–"));
  if (side === "pruned") {
    setText(part(".what"), own ? "Your own" : "Pruned to");
    setText(part(".unit"), own ? "" : " tokens");
  }
  setText(part(".text"), text);
  part(".text").classList.toggle("long", text.length > 40);
  setText(part(".time"), answer.time || "");
  part(".foreign").hidden = !(value.foreign || value.opened);
  setText(part(".foreign"), value.opened ? "from a file, not run here" : "unlike this model's training data");
}

// In what the cards differ from the rest of the page: each a sentence, or "".
function differences() {
  const { run, options, sliders, model } = pageState;
  /** @type {AnsweredRun} */
  const answered = value.at;
  if (!answered) return { model: "", question: "", options: "", selection: "" };
  const box = /** @type {?HTMLTextAreaElement} */ (document.querySelector("#rp-ask textarea"));
  const otherModel = model && answered.model >= 0 && model.number !== answered.model;
  const otherQuestion = (box && box.value.trim() !== answered.question) || (run && run.picture !== answered.picture);
  const otherOptions = options && optionsDiffer(options, answered);
  const modelNow = model?.name ? " The model is now " + model.name + "." : "";
  return {
    model: otherModel ? "The picture and these answers are an earlier model's." + modelNow : "",
    question: otherQuestion ? "These answers are to the earlier question, after “Asked:”." : "",
    options: otherOptions ? "The picture and the pruned answer are those of the earlier method, query or budget." : "",
    selection: selectionDifference(answered, run, sliders),
  };
}

/** @type {(answered: AnsweredRun, run: PageState["run"], sliders: ?SliderValues) => string} */
function selectionDifference(answered, run, sliders) {
  const { ownTokens } = pageState;
  const weighted = !run || run.weighted;
  const count = (tokens) => (tokens ? tokens.split(",").length : 0);
  const setting = ({ keep, weight }) => percent(keep) + (weighted ? ", weight " + weight.toFixed(2) : "");
  if (ownTokens !== (answered.own || "")) {
    const by = answered.own ? "with your own " + count(answered.own) + " tokens" : "at " + setting(answered);
    const shown = ownTokens ? "your own " + count(ownTokens) + " tokens" : "the method's choice";
    return "Answered " + by + "; the picture shows " + shown + ".";
  }
  const compared = sliders && (weighted ? sliders : { ...sliders, weight: answered.weight });
  if (!compared || ownTokens || closeTo(answered, compared)) return "";
  const end = value.quick ? ". Refreshing when you let go." : ".";
  return "Answered at " + setting(answered) + "; the picture shows " + setting(sliders) + end;
}

// A button where the picture has left the answers behind and nothing answers by itself.
function canAnswerAgain(differs) {
  if (value.busy) return false;
  if (differs.model) return Boolean(pageState.model.name);
  const byItself = value.quick && !value.at?.own;
  return !pageState.ownTokens && !byItself && Boolean(differs.selection);
}

function draw() {
  const differs = differences();
  const stale = differs.model || differs.question || differs.options || differs.selection;
  drawCard("full", value.waiting || (!value.busy && (differs.model || differs.question)));
  drawCard("pruned", value.waiting || (!value.busy && stale));
  element.dataset.state = stale ? "stale" : "done";
  if (value.busy) element.dataset.state = "busy";
  setText(find(".question"), value.at ? value.at.question : "");
  find(".again").hidden = !canAnswerAgain(differs);
  find(".stop").hidden = !value.busy;
  find(".def").hidden = Boolean(value.busy || stale);
  const seconds = " " + ((performance.now() - busySince) / 1000).toFixed(0) + " s";
  const line = value.busy ? value.line + seconds : stale || value.line || "";
  setText(find(".line"), line);
  summarise(line);
}

function onValueChange() {
  const message = JSON.parse(JSON.stringify(props.value || {}));
  const complete = Boolean(message.full);
  if ((message.ticket || 0) < pageState.ticket) {
    // Of a request that a newer one has replaced.
    if (complete && !message.busy) settled = message;
  } else if (complete) {
    if (message.dials) pageState.options = optionsOfRun(message.at); // a link or an opened trace set them
    show(message);
  } else if (message.busy) {
    show({ ...settled, ...message, waiting: true }); // nothing new to read yet
  } else {
    show(settled); // it came to nothing: back to what was there
  }
}

document.addEventListener("input", (event) => {
  if (/** @type {Element} */ (event.target).closest("#rp-ask")) draw();
});
focusWhileScrolling(find(".asked"), "The question that was asked");
find(".again").addEventListener("click", () => trigger("again"));
find(".stop").addEventListener("click", () => {
  trigger("stop", { ticket: pageState.ticket });
  if (value.waiting) show(settled);
});
for (const event of ["rp:knobs", "rp:run", "rp:own", "rp:model"]) window.addEventListener(event, draw);
watch("value", onValueChange);
onValueChange();
