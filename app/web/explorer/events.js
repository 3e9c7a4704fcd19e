// @ts-check
// What a visitor does to the picture. Loaded behind explorer.js, whose state it changes; every change ends in later().
function show(wanted) {
  view = wanted;
  element
    .querySelectorAll(".views button")
    .forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.view === view)));
  later();
  window.dispatchEvent(new CustomEvent("rp:view"));
}
element.querySelectorAll(".views button").forEach((b) =>
  b.addEventListener("click", () => {
    if (b.dataset.view === view && steps.count !== null) steps.end(); // the view that stands: all of it again
    show(b.dataset.view);
  }),
);

// saved.js lets the visitor choose a file and downloads it; the server draws it at the sliders of this moment.
const saver = find(".save");
saver.addEventListener("click", () => {
  if (run) shared.offerFiles?.({ clip: run.clip, own: choice.own !== null });
});
shared.save = (kind) => {
  saver.disabled = true;
  said = "Making the file.";
  cell = -1;
  later();
  trigger("save", { kind, at, tokens: choice.own ? tokensOf(choice.own) : null, shows: shared.shows });
};
shared.saved = (sentence) => {
  saver.disabled = false;
  said = sentence;
  cell = -1;
  later();
};

// Editing, and the choice that comes of it.
function edit(on) {
  editing = on;
  sketch = null;
  if (on) steps.end();
  later();
}
function told() {
  // the choice changed: by hand, by undo, or back to the rule
  sketch = null;
  shared.own = choice.own ? tokensOf(choice.own).join() : "";
  window.dispatchEvent(new CustomEvent("rp:own"));
  later();
}
function draft(cells, added) {
  const picks = picksOf(run, shared.knobs || props, choice.own),
    first = at * run.n;
  const base = choice.own || Uint8Array.from({ length: run.all }, (_, i) => Number(picks.inside(i)));
  return withTokens(
    base,
    cells.map((i) => first + i).filter((i) => present(run, picks, i)),
    added,
  );
}
function paint(cells, added, done) {
  if (done && cells.length) return choice.set(draft(cells, added));
  sketch = done ? null : draft(cells, added);
  later();
}
const point = (e) => {
  const box = canvas.getBoundingClientRect();
  return [((e.clientX - box.left) * layers.side) / box.width, ((e.clientY - box.top) * layers.side) / box.height];
};
const isKept = (i) => chosen().inside(at * run.n + i);
const lassoing = () => find(".lasso").getAttribute("aria-pressed") === "true";
const fingers = hand(canvas, point, { layers: () => layers, kept: isKept, lasso: lassoing, paint });

find(".edit").addEventListener("click", () => {
  if (steps.count !== null) steps.end();
  else if (run) edit(!editing);
});
find(".undo").addEventListener("click", choice.undo);
find(".redo").addEventListener("click", choice.redo);
find(".reset").addEventListener("click", () => {
  if (choice.own) choice.set(null);
});
find(".lasso").addEventListener("click", (e) => e.currentTarget.setAttribute("aria-pressed", String(!lassoing())));
find(".mine").addEventListener("click", () => trigger("mine", { tokens: tokensOf(choice.own) }));

// The pointer and the keyboard on the picture.
const under = (e) => (run && layers ? cellUnder(layers, ...point(e)) : -1);
canvas.addEventListener("pointermove", (e) => {
  if (editing) fingers.move(e);
  const here = under(e);
  if (here !== cell) {
    cell = here;
    later();
  }
});
canvas.addEventListener("pointerdown", (e) => {
  cell = under(e);
  if (editing && layers && e.button === 0) fingers.begin(e);
  later();
});
canvas.addEventListener("pointerup", fingers.end);
canvas.addEventListener("pointercancel", fingers.cancel);
canvas.addEventListener("pointerleave", (e) => {
  if (e.pointerType === "mouse") {
    cell = -1;
    later();
  }
});
canvas.addEventListener("keydown", (e) => {
  if (!run) return;
  if (editing && cell >= 0 && (e.key === "Enter" || e.key === " ")) {
    e.preventDefault();
    return paint([cell], !isKept(cell), true);
  }
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
  if (!step) return;
  e.preventDefault();
  const { rows, cols } = run.frames[at],
    c = Math.max(0, cell) % cols,
    r = Math.floor(Math.max(0, cell) / cols);
  const clamp = (v, top) => Math.min(top - 1, Math.max(0, v));
  cell = cell < 0 ? 0 : clamp(r + step[1], rows) * cols + clamp(c + step[0], cols);
  later();
});
element.addEventListener("keydown", (e) => {
  if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "z" && (editing || choice.own)) {
    e.preventDefault();
    if (e.shiftKey) choice.redo();
    else choice.undo();
  }
  if (e.key === "Escape") {
    steps.end();
    if (editing) edit(false);
  }
});

// A moved slider asks for the rule's choice again; what was chosen by hand can be had back by undo.
function turned() {
  const now = shared.knobs || props,
    same = knobs && knobs.keep === now.keep && knobs.weight === now.weight;
  if (knobs && !same && run) {
    steps.end();
    if (choice.own) choice.set(null);
  }
  knobs = { keep: now.keep, weight: now.weight };
  later();
}

// A visitor who gave a file wants to see it, and on a phone the place to give one is far below the picture. This is
// the only time that the page scrolls without being scrolled.
shared.toPicture = () => {
  const box = canvas.getBoundingClientRect(),
    seen = Math.min(box.bottom, innerHeight) - Math.max(box.top, 0);
  if (seen > box.height / 2) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  stage.scrollIntoView({ block: "start", behavior: still ? "auto" : "smooth" });
};

new ResizeObserver(fresh).observe(canvas);
window.addEventListener("rp:knobs", turned);
window.addEventListener("rp:state", older);
window.addEventListener("rp:model", older);
watch("value", load);
load();
