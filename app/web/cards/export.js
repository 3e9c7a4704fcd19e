// @ts-check
// What a visitor saves and shares: the trace as a file, a link, and the same run in Python. Values go in as text only.
// The link and the program follow the sliders of this moment; the trace is of the answers, and of what they say.
const LINK_NAMES = ["scene", "clip", "q", "keep", "weight", "method", "query", "budget", "view"]; // app/state/link.py
const REST_MS = 250; // browsers allow some hundred changes of the address in half a minute, and a slider makes more
let pendingSearch = location.search; // what the address asks for, until it was asked for
let answersBeforeOpening = null; // while a trace is being opened

/** @type {() => HTMLButtonElement[]} */
const viewButtons = () => Array.from(document.querySelectorAll("#rp-explorer .views button"));

// What an address can say of where the page stands, by link.py's names; null until there is something to say. A file
// of the visitor's own is not in it, nor is the question, which was about that file.
/** @returns {?Record<string, string>} */
function linkParameters() {
  const { run, answeredRun, sliders } = pageState;
  if (!run || !answeredRun || !sliders) return null;
  const rendered = run.seed !== null && run.seed !== undefined;
  const view = viewButtons().find((button) => button.getAttribute("aria-pressed") === "true");
  return {
    ...(rendered && { [run.clip ? "clip" : "scene"]: String(run.seed), q: answeredRun.question }),
    keep: String(Math.round(100 * sliders.keep)),
    weight: sliders.weight.toFixed(4),
    method: run.method,
    query: run.query,
    budget: run.budget,
    view: view ? view.dataset.view : "kept",
  };
}

function currentLink() {
  const parameters = linkParameters();
  if (!parameters || !("q" in parameters)) return "";
  return location.origin + location.pathname + "?" + new URLSearchParams(parameters);
}

// The address bar says where the page stands, so that a reload, a bookmark and the way back lead here again. It is left
// alone while the page stands as it came up. Names that are not ours stay in it.
let firstParameters = null;
let addressTimer = 0;
const currentParameters = () => new URLSearchParams(linkParameters() || {}).toString();
function updateAddressSoon() {
  if (!pageState.busy && !pendingSearch) firstParameters ??= currentParameters() || null;
  clearTimeout(addressTimer);
  if (firstParameters !== null) addressTimer = setTimeout(updateAddress, REST_MS);
}
function updateAddress() {
  if (pageState.busy || pendingSearch || currentParameters() === firstParameters) return;
  firstParameters = ""; // from here on the address follows everywhere
  const search = new URLSearchParams(location.search);
  LINK_NAMES.forEach((name) => search.delete(name));
  Object.entries(linkParameters()).forEach(([name, value]) => search.set(name, value));
  if (location.search === "?" + search) return;
  try {
    history.replaceState(history.state, "", location.pathname + "?" + search + location.hash);
  } catch {
    // Browsers limit how often; the next change writes it.
  }
}

function currentCode() {
  const { snippet, sliders, ownTokens } = pageState;
  if (!snippet || !sliders) return "";
  const [beforeKeep, beforeWeight, beforeKept] = snippet.parts;
  const kept = ownTokens ? "torch.tensor([" + ownTokens.split(",").join(", ") + "])" : snippet.by_rule;
  const call = beforeKeep + sliders.keep + beforeWeight + sliders.weight + beforeKept + kept + snippet.tail;
  return (ownTokens ? "import torch\n\n" : "") + call;
}

function whyNoLink(link) {
  const { run, ownTokens } = pageState;
  if (link) return ownTokens ? "Tokens chosen by hand are not part of the link: save the trace instead." : "";
  if (!run) return "";
  if (run.trace) return "An opened trace does not fit into a link: share its file instead.";
  return "Your own file does not fit into a link: save and share the trace instead, which contains it.";
}

function draw() {
  const { answeredRun, busy, snippet } = pageState;
  const link = currentLink();
  const code = currentCode();
  const reason = whyNoLink(link);
  find(".take").disabled = !answeredRun || busy;
  find(".linked").hidden = !link;
  if (find(".link").value !== link) find(".link").value = link;
  find(".why-no-link").textContent = reason;
  find(".why-no-link").hidden = !reason;
  find(".note").textContent = snippet ? snippet.note : "";
  setText(find(".code"), code);
  find(".copy-code").disabled = !code;
}

function showMessage(text) {
  find(".said").textContent = text;
}

// Where a page has no clipboard (plain http on another machine), the old way; where that fails too, by hand.
async function copy(text, name) {
  try {
    await navigator.clipboard.writeText(text);
    showMessage(name + " copied.");
  } catch {
    const box = make("textarea");
    const focused = /** @type {?HTMLElement} */ (document.activeElement);
    box.value = text;
    element.append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    focused?.focus();
    showMessage(done ? name + " copied." : "Not copied: select it and press Ctrl+C.");
  }
}

// An address that says more than where the page is: asked for once, when the first answers stand, so that nothing
// that the page does by itself at its start comes in between.
function restoreFromAddress() {
  const { answeredRun, model, run } = pageState;
  if (!pendingSearch || !run || !answeredRun || !model || answeredRun.model !== model.number) return;
  const search = pendingSearch;
  const parameters = new URLSearchParams(search);
  pendingSearch = "";
  if (!LINK_NAMES.some((name) => parameters.has(name))) return;
  const view = viewButtons().find((button) => button.dataset.view === parameters.get("view"));
  view?.click();
  trigger("restore", { search });
}

async function openTrace(file) {
  showMessage("Opening " + file.name + ".");
  try {
    const { path } = await upload(file);
    answersBeforeOpening = pageState.answeredRun;
    pageState.scrollToPicture?.();
    trigger("open", { path });
  } catch {
    showMessage("Not opened: the file could not be sent. The page is busy or cannot be reached, or it is too large.");
  }
}

// The picture and the page's news may be far above.
function onAnswersChange() {
  if (answersBeforeOpening === null || pageState.busy) return;
  const opened = pageState.answeredRun !== answersBeforeOpening;
  const failure = "Not opened: the message at the top says why.";
  showMessage(opened ? "Opened: picture and answers above are the file's." : failure);
  answersBeforeOpening = null;
}

function onValueChange() {
  const { file, said } = props.value || {};
  if (!said) return;
  if (file) {
    const link = make("a");
    link.href = file.url;
    link.download = file.orig_name;
    link.click();
  }
  showMessage(said);
}
pageState.untaken = () => showMessage("Not saved: the page is busy or cannot be reached. Try again.");

find(".take").addEventListener("click", () => {
  const { keep, weight, own } = pageState.answeredRun;
  showMessage("Making the file.");
  trigger("take", { keep, weight, tokens: own ? own.split(",").map(Number) : null, shows: pageState.runRecord });
});
find(".pick").addEventListener("click", () => find(".file").click());
find(".file").addEventListener("change", () => {
  const [file] = find(".file").files;
  if (file) openTrace(file);
  find(".file").value = ""; // the same file again is a change again
});
find(".link").addEventListener("focus", () => find(".link").select());
find(".copy-link").addEventListener("click", () => {
  draw();
  copy(currentLink(), "Link");
});
find(".copy-code").addEventListener("click", () => copy(currentCode(), "Code"));
for (const event of ["pointerenter", "focusin", "toggle"]) find(".along").addEventListener(event, draw);
for (const event of ["rp:run", "rp:knobs", "rp:own", "rp:state"]) window.addEventListener(event, draw);
for (const event of ["rp:run", "rp:state", "rp:model"]) window.addEventListener(event, restoreFromAddress);
for (const event of ["rp:run", "rp:knobs", "rp:state", "rp:view"]) window.addEventListener(event, updateAddressSoon);
window.addEventListener("rp:state", onAnswersChange);
watch("value", onValueChange);
draw();
restoreFromAddress();
updateAddressSoon();
