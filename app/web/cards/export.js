// @ts-check
// What a visitor takes along: the trace as a file, a link, and the same run in Python. Values go in as text only.
// The link and the program follow the sliders of this moment; the trace is of the answers, and of what they say.
const OURS = ["scene", "clip", "q", "keep", "weight", "method", "query", "budget", "view"]; // link.py
const views = () => [...document.querySelectorAll("#rp-explorer .views button")];
const REST_MS = 250; // browsers allow some hundred changes of the address in half a minute, and a slider makes more
let wanted = location.search,
  opening = null; // opening: the answers that stood before a file was opened

// What an address can say of where the page stands, by link.py's names; null until there is something to say. A file
// of the visitor's own is not in it, nor is the question, which was about that file.
function standing() {
  const { run, at, knobs } = shared;
  if (!run || !at || !knobs) return null;
  const rendered = run.seed !== null && run.seed !== undefined;
  const view = views().find((button) => button.getAttribute("aria-pressed") === "true");
  return {
    ...(rendered && { [run.clip ? "clip" : "scene"]: run.seed, q: at.question }),
    keep: Math.round(100 * knobs.keep),
    weight: knobs.weight.toFixed(4),
    method: run.method,
    query: run.query,
    budget: run.budget,
    view: view ? view.dataset.view : "kept",
  };
}

function linkNow() {
  const said = standing();
  return said && "q" in said ? location.origin + location.pathname + "?" + new URLSearchParams(said) : "";
}

// The address bar says where the page stands, so that a reload, a bookmark and the way back lead here again. It is left
// alone while the page stands as it came up. Names that are not ours stay in it.
let cameUp = null,
  writing = 0;
const where = () => new URLSearchParams(standing() || {}).toString();
function note() {
  if (!shared.busy && !wanted) cameUp ??= where() || null;
  clearTimeout(writing);
  if (cameUp !== null) writing = setTimeout(write, REST_MS);
}
function write() {
  if (shared.busy || wanted || where() === cameUp) return;
  cameUp = ""; // from here on the address follows everywhere
  const search = new URLSearchParams(location.search);
  OURS.forEach((name) => search.delete(name));
  Object.entries(standing()).forEach(([name, value]) => search.set(name, value));
  if (location.search === "?" + search) return;
  try {
    history.replaceState(history.state, "", location.pathname + "?" + search + location.hash);
  } catch {
    // Browsers limit how often; the next change writes it.
  }
}

function codeNow() {
  const { snippet, knobs, own } = shared;
  if (!snippet || !knobs) return "";
  const [a, b, c] = snippet.parts,
    kept = own ? "torch.tensor([" + own.split(",").join(", ") + "])" : snippet.by_rule;
  return (own ? "import torch\n\n" : "") + a + knobs.keep + b + knobs.weight + c + kept + snippet.tail;
}

function draw() {
  const { run, at, busy, own } = shared,
    link = linkNow(),
    ready = Boolean(at && !busy);
  find(".take").disabled = !ready;
  find(".linked").hidden = !link;
  if (find(".link").value !== link) find(".link").value = link;
  const none =
    !run || link
      ? ""
      : run.trace
        ? "An opened trace cannot travel in a link: hand on its file."
        : "Your own file cannot travel in a link: save the trace, which holds it.";
  find(".why-no-link").textContent = link && own ? "Tokens chosen by hand are not in it: save the trace." : none;
  find(".why-no-link").hidden = !find(".why-no-link").textContent;
  find(".note").textContent = shared.snippet ? shared.snippet.note : "";
  if (find(".code").textContent !== codeNow()) find(".code").textContent = codeNow();
  find(".copy-code").disabled = !codeNow();
}

const say = (text) => {
  find(".said").textContent = text;
};

// Where a page has no clipboard (plain http on another machine), the old way; where that fails too, by hand.
async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    return say(what + " copied.");
  } catch {
    const box = document.createElement("textarea"),
      before = document.activeElement;
    box.value = text;
    element.append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    before?.focus();
    say(done ? what + " copied." : "Not copied: select it and press Ctrl+C.");
  }
}

// An address that says more than where the page is: asked for once, when the first answers stand, so that nothing
// that the page does by itself at its start comes in between.
function restore() {
  const { at, model, run } = shared;
  if (!wanted || !run || !at || !model || at.model !== model.number) return;
  const given = new URLSearchParams(wanted);
  const search = wanted;
  wanted = "";
  if (!OURS.some((name) => given.has(name))) return;
  views()
    .find((button) => button.dataset.view === given.get("view"))
    ?.click();
  trigger("restore", { search });
}

async function open(file) {
  say("Opening " + file.name + ".");
  try {
    const given = await upload(file);
    opening = shared.at;
    shared.toPicture?.();
    trigger("open", { path: given.path });
  } catch {
    say("Not opened: the file could not be sent. The page is busy or cannot be reached, or it is too large.");
  }
}

// The picture and the page's news may be far above.
function opened() {
  if (opening === null || shared.busy) return;
  say(
    shared.at !== opening
      ? "Opened: picture and answers above are the file's."
      : "Not opened: the message at the top says why.",
  );
  opening = null;
}

function load() {
  const { file, said } = props.value || {};
  if (!said) return;
  if (file) {
    const link = document.createElement("a");
    link.href = file.url;
    link.download = file.orig_name;
    link.click();
  }
  say(said);
}
shared.untaken = () => say("Not saved: the page is busy or cannot be reached. Try again.");

find(".take").addEventListener("click", () => {
  const { keep, weight, own } = shared.at;
  say("Making the file.");
  trigger("take", { keep, weight, tokens: own ? own.split(",").map(Number) : null, shows: shared.shows });
});
find(".pick").addEventListener("click", () => find(".file").click());
find(".file").addEventListener("change", () => {
  const [file] = find(".file").files;
  if (file) open(file);
  find(".file").value = ""; // the same file again is a change again
});
find(".link").addEventListener("focus", () => find(".link").select());
find(".copy-link").addEventListener("click", () => {
  draw();
  copy(linkNow(), "Link");
});
find(".copy-code").addEventListener("click", () => copy(codeNow(), "Code"));
for (const event of ["pointerenter", "focusin", "toggle"]) find(".along").addEventListener(event, draw);
for (const event of ["rp:run", "rp:knobs", "rp:own", "rp:state"]) window.addEventListener(event, draw);
for (const event of ["rp:run", "rp:state", "rp:model"]) window.addEventListener(event, restore);
for (const event of ["rp:run", "rp:knobs", "rp:state", "rp:view"]) window.addEventListener(event, note);
window.addEventListener("rp:state", opened);
watch("value", load);
draw();
restore();
note();
