// @ts-check
// The picture: what was kept, what was dropped, how relevant each patch is, frame by frame, and the visitor's hand in
// it. Everything after the server's one message per (picture or clip, question, method, query, budget) is worked out
// here; moved sliders arrive as window events, never by the server. Only where the distances are too many to come along
// are they asked for, once, when a view needs them.
const stage = find(".stage");
const canvas = find(".map");
const pen = canvas.getContext("2d");
const rgb = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
const look = { ...props.look, ramp: props.look.ramp.map(rgb) };
const HINT = matchMedia("(hover: none)").matches ? "Tap a patch." : "Point at a patch, or use the arrow keys.";
const EDIT_HINT = "Click or draw over patches, or use the arrow keys and Enter.";

/** @type {?Run} */
let run = null;
let view = "kept";
let frameIndex = 0;
let cell = -1; // patch under the pointer or the arrow keys
/** @type {?Layers} */
let layers = null; // of the frame that is shown; null until it is drawn at the canvas's size
let drawRequested = false;
let message = ""; // in place of the hint
/** @type {?SliderValues} */
let lastSliders = null;
let canvasWidth = 0; // in CSS pixels; read in resize() alone, for a read in draw() lays out the whole page
let pictureUrls = [];
let pictures = [];
let editing = false;
/** @type {?Uint8Array} */
let sketch = null; // the choice with a stroke that is not finished
/** @type {?Run} */
let distancesRequestedFor = null;
/** @type {?StandIns} */
let standIns = null;
let standInsKey = null;
const strip = createFilmStrip(find(".film"), look, showFrame);
const choice = createChoice(onSelectionChange);
const steps = createStepper(find(".steps"), onStep);

function onValueChange() {
  const value = props.value;
  if (!value || !value.orders) return;
  const earlier = run;
  run = unpackRun(value);
  if (!run.between && earlier && sameDistances(earlier.setting, run.setting)) run.between = earlier.between;
  message = "";
  distancesRequestedFor = null;
  pageState.run = { n: run.total, frames: run.frames.length, ...run.setting };
  notifyPage("rp:run", pageState.run);
  find(".why").textContent = run.why;
  const tiled = run.frames.length > 1 && !run.clip;
  find(".unseen").textContent = tiled ? "faded: outside this part" : "faded: outside the model's view";
  const urls = [...value.pictures];
  const otherPictures = urls.join() !== pictureUrls.join();
  if (otherPictures) {
    pictureUrls = urls;
    pictures = urls.map((url) => Object.assign(new Image(), { onload: resize, src: url }));
  }
  if (otherPictures || frameIndex >= run.frames.length) {
    frameIndex = 0;
    cell = -1;
    strip.stop();
  }
  stage.dataset.film = run.frames.length > 1;
  strip.setRun(run);
  steps.end();
  setEditing(false);
  choice.forget();
  if (value.own) {
    // An opened trace whose tokens were chosen by hand.
    lastSliders = { keep: value.own.keep, weight: value.own.weight };
    choice.set(withTokens(new Uint8Array(run.all), [...value.own.tokens], true));
  }
  resize();
  markStale();
}

/** @type {(a: Setting, b: Setting) => boolean} */
const sameDistances = (a, b) => a.picture === b.picture && a.budget === b.budget && a.model === b.model;

// Says where the picture is an earlier model's or setting's: after an error the menus may stand at something that was
// never drawn.
function markStale() {
  if (!run) return;
  const { options, busy, model } = pageState;
  const { setting } = run;
  const differs = (name) => options[name] !== undefined && options[name] !== setting[name];
  let stale = "";
  if (options && !busy && ["method", "query", "budget"].some(differs)) stale = "Still the earlier setting. ";
  if (model && !busy && setting.model >= 0 && model.number !== setting.model) stale = "Still the earlier model's. ";
  find(".query").textContent = stale + run.about;
  renderEditButtons();
}

const currentSliders = () => pageState.sliders || /** @type {any} */ (props);

function currentPicks() {
  const step = steps.count === null ? null : { group: groupOf(run, frameIndex * run.n), count: steps.count };
  return computePicks(run, currentSliders(), step ? null : sketch || choice.own, step);
}

// The nearest kept token of every token, worked out once for each set of picks.
function currentStandIns(picks) {
  const group = groupOf(run, frameIndex * run.n);
  const key = [run, run.between, picks.own, picks.w, picks.k.join(), steps.count, group];
  if (!standInsKey || key.some((part, i) => part !== standInsKey[i])) {
    standIns = findStandIns(run, picks, frameIndex);
    standInsKey = key;
  }
  return standIns;
}

// Distances that did not come along are asked for once, and come to pageState.onDistances.
function requestDistances() {
  if (run.between || distancesRequestedFor === run) return;
  distancesRequestedFor = run;
  trigger("measure", { shows: pageState.runRecord });
}
pageState.onDistances = (reply) => {
  if (!run || !distancesRequestedFor) return;
  const { picture, budget } = run.setting;
  if (reply.between && reply.picture === picture && reply.budget === budget) {
    run.between = decode(reply.between, Float32Array);
  } else {
    run.refused = reply.said || "Not measured: it belonged to another picture.";
  }
  requestDraw();
};
pageState.unmeasured = () => pageState.onDistances({ said: "Not measured: the page is busy or cannot be reached." });

// The picture in which frame t lies; null until it is loaded.
function loadedPicture(t) {
  const picture = pictures[run.frames[t].picture];
  return picture.complete && picture.naturalWidth > 0 ? picture : null;
}

function draw() {
  drawRequested = false;
  if (!run || !loadedPicture(frameIndex) || !canvasWidth) return;
  if (!layers) {
    canvas.width = canvas.height = Math.max(1, Math.round(canvasWidth * (window.devicePixelRatio || 1)));
    layers = makeLayers(loadedPicture(frameIndex), run.frames[frameIndex], canvas.width, look.dim);
  }
  const picks = currentPicks();
  const shownView = view === "heat" && !run.relevance ? "kept" : view;
  const unit = layers.side / canvasWidth;
  const first = frameIndex * run.n;
  const inside = (i) => picks.inside(first + i);
  const stepping = picks.step !== null;
  const nearest = shownView === "distance" ? currentStandIns(picks) : null;
  if (nearest || stepping) requestDistances();
  const scale = shownView === "kept" ? null : viewScale(shownView, run, picks, frameIndex, nearest);
  pen.clearRect(0, 0, layers.side, layers.side);
  paintView(pen, layers, shownView, scale, inside, look);
  const wholeKept = wholeFrameTokens(frameIndex).some(picks.inside);
  const strokes = [
    [3 * unit, look.edge],
    [1.5 * unit, look.outline],
  ];
  paintBorder(pen, layers, inside, strokes, wholeKept);
  if (shownView === "order") {
    paintNumbers(pen, layers, (i) => (inside(i) ? String(picks.rank[first + i] + 1) : ""), unit, look);
  }
  if (nearest && cell >= 0 && !editing) paintLinks(pen, layers, first, cell, nearest, unit, look);
  const pick = stepping && steps.count > 0 ? pickAt(run, picks.w, picks.step.group, steps.count) : null;
  for (const marked of [cell, pick ? pick.token - first : -1]) {
    if (marked < 0 || marked >= layers.n) continue;
    pen.lineWidth = 3 * unit;
    pen.strokeStyle = look.cursor;
    pen.strokeRect(...patchRect(layers, marked));
  }
  if (pointerEditor.line) {
    const lasso = [
      [4 * unit, look.edge],
      [2 * unit, look.cursor],
    ];
    paintLine(pen, pointerEditor.line, lasso);
  }
  renderSidebar(picks, shownView, scale, nearest, pick);
  strip.draw(run, picks, shownView === "heat", loadedPicture, frameIndex);
  // For tests and the benchmark: what is painted now.
  const paints = 1 + Number(canvas.dataset.paints || 0);
  Object.assign(canvas.dataset, { frame: frameIndex, view: shownView, step: steps.count ?? "", paints });
}

// Flat indices of the tokens that stand for all of frame t.
function wholeFrameTokens(t) {
  const { rows, cols, whole } = run.frames[t];
  return Array.from({ length: whole }, (_, i) => t * run.n + rows * cols + i);
}

function requestDraw() {
  if (drawRequested) return;
  drawRequested = true;
  requestAnimationFrame(draw);
}
function resize() {
  canvasWidth = canvas.clientWidth;
  layers = null;
  strip.resize();
  barCanvases.delete(find(".bars"));
  requestDraw();
}

function showFrame(t) {
  const { rows, cols } = run.frames[t];
  if (rows !== run.frames[frameIndex].rows || cols !== run.frames[frameIndex].cols) cell = -1;
  frameIndex = t;
  layers = null;
  requestDraw();
}

// Under a shared budget picks come from any frame: the picture goes with them.
function onStep(count) {
  if (!run) return;
  if (count !== null) setEditing(false);
  if (count && run.counts.length === 1) {
    const { token } = pickAt({ ...run, between: null }, currentPicks().w, 0, count);
    const t = Math.floor(token / run.n);
    if (t !== frameIndex) showFrame(t);
  }
  cell = -1;
  requestDraw();
}
