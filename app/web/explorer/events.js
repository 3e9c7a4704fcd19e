// @ts-check
// What a visitor does to the picture. Loaded behind explorer.js, whose state it changes; every change ends in
// requestDraw().

/** @type {HTMLButtonElement[]} */
const viewButtons = Array.from(element.querySelectorAll(".views button"));
function showView(name) {
  view = name;
  viewButtons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.view === view)));
  requestDraw();
  notifyPage("rp:view");
}
viewButtons.forEach((button) =>
  button.addEventListener("click", () => {
    if (button.dataset.view === view && steps.count !== null) steps.end(); // the view that stands: all of it again
    showView(button.dataset.view);
  }),
);

// saved.js lets the visitor choose a file and downloads it; the server draws it at the sliders of this moment.
const saveButton = find(".save");
function showMessage(text) {
  message = text;
  cell = -1;
  requestDraw();
}
saveButton.addEventListener("click", () => {
  if (run) pageState.openSaveDialog?.({ clip: run.clip, own: choice.own !== null });
});
pageState.savePicture = (kind) => {
  saveButton.disabled = true;
  showMessage("Making the file.");
  const tokens = choice.own ? chosenTokens(choice.own) : null;
  trigger("save", { kind, at: frameIndex, tokens, shows: pageState.runRecord });
};
pageState.onPictureSaved = (sentence) => {
  saveButton.disabled = false;
  showMessage(sentence);
};

// Editing, and the choice that comes of it.
function setEditing(on) {
  editing = on;
  sketch = null;
  if (on) steps.end();
  requestDraw();
}
// By hand, by undo, or back to the method's choice.
function onSelectionChange() {
  sketch = null;
  pageState.ownTokens = choice.own ? chosenTokens(choice.own).join() : "";
  notifyPage("rp:own");
  requestDraw();
}
// The choice with these cells of the frame added, or taken out.
function editedChoice(cells, added) {
  const picks = computePicks(run, currentSliders(), choice.own);
  const base = choice.own || Uint8Array.from({ length: run.all }, (_, i) => Number(picks.inside(i)));
  const tokens = cells.map((i) => frameIndex * run.n + i).filter((flat) => isToken(run, picks, flat));
  return withTokens(base, tokens, added);
}
function onStroke(cells, added, done) {
  if (done && cells.length) return choice.set(editedChoice(cells, added));
  sketch = done ? null : editedChoice(cells, added);
  requestDraw();
}
const canvasPoint = (event) => {
  const box = canvas.getBoundingClientRect();
  const scale = [layers.side / box.width, layers.side / box.height];
  return [(event.clientX - box.left) * scale[0], (event.clientY - box.top) * scale[1]];
};
const isKept = (i) => currentPicks().inside(frameIndex * run.n + i);
const lassoButton = find(".lasso");
const lassoActive = () => lassoButton.getAttribute("aria-pressed") === "true";
const pointerEditor = createPointerEditor(canvas, canvasPoint, {
  layers: () => layers,
  isKept,
  lassoActive,
  onStroke,
});

find(".edit").addEventListener("click", () => {
  if (steps.count !== null) steps.end();
  else if (run) setEditing(!editing);
});
find(".undo").addEventListener("click", choice.undo);
find(".redo").addEventListener("click", choice.redo);
find(".reset").addEventListener("click", () => {
  if (choice.own) choice.set(null);
});
lassoButton.addEventListener("click", () => lassoButton.setAttribute("aria-pressed", String(!lassoActive())));
find(".mine").addEventListener("click", () => trigger("mine", { tokens: chosenTokens(choice.own) }));

// The pointer and the keyboard on the picture.
const cellUnderPointer = (event) => {
  if (!run || !layers) return -1;
  const [x, y] = canvasPoint(event);
  return cellAt(layers, x, y);
};
canvas.addEventListener("pointermove", (event) => {
  if (editing) pointerEditor.move(event);
  const here = cellUnderPointer(event);
  if (here === cell) return;
  cell = here;
  requestDraw();
});
canvas.addEventListener("pointerdown", (event) => {
  cell = cellUnderPointer(event);
  if (editing && layers && event.button === 0) pointerEditor.begin(event);
  requestDraw();
});
canvas.addEventListener("pointerup", pointerEditor.end);
canvas.addEventListener("pointercancel", pointerEditor.cancel);
canvas.addEventListener("pointerleave", (event) => {
  if (event.pointerType !== "mouse") return;
  cell = -1;
  requestDraw();
});
canvas.addEventListener("keydown", (event) => {
  if (!run) return;
  if (editing && cell >= 0 && (event.key === "Enter" || event.key === " ")) {
    event.preventDefault();
    onStroke([cell], !isKept(cell), true);
    return;
  }
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!step) return;
  event.preventDefault();
  const { rows, cols } = run.frames[frameIndex];
  const column = Math.max(0, cell) % cols;
  const row = Math.floor(Math.max(0, cell) / cols);
  const clamp = (index, count) => Math.min(count - 1, Math.max(0, index));
  cell = cell < 0 ? 0 : clamp(row + step[1], rows) * cols + clamp(column + step[0], cols);
  requestDraw();
});
element.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && (editing || choice.own)) {
    event.preventDefault();
    if (event.shiftKey) choice.redo();
    else choice.undo();
  }
  if (event.key === "Escape") {
    steps.end();
    if (editing) setEditing(false);
  }
});

// A moved slider asks for the method's choice again; what was chosen by hand can be had back by undo.
function onSliderChange() {
  const { keep, weight } = currentSliders();
  const moved = lastSliders && (lastSliders.keep !== keep || lastSliders.weight !== weight);
  if (moved && run) {
    steps.end();
    if (choice.own) choice.set(null);
  }
  lastSliders = { keep, weight };
  requestDraw();
}

// A visitor who gave a file wants to see it, and on a phone the place to give one is far below the picture. This is
// the only time that the page scrolls without being scrolled.
pageState.scrollToPicture = () => {
  const box = canvas.getBoundingClientRect();
  const visible = Math.min(box.bottom, innerHeight) - Math.max(box.top, 0);
  if (visible > box.height / 2) return;
  const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)").matches;
  stage.scrollIntoView({ block: "start", behavior: reducedMotion ? "auto" : "smooth" });
};

new ResizeObserver(resize).observe(canvas);
window.addEventListener("rp:knobs", onSliderChange);
window.addEventListener("rp:state", markStale);
window.addEventListener("rp:model", markStale);
watch("value", onValueChange);
onValueChange();
