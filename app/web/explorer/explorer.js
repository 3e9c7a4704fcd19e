// @ts-check
// The picture: what was kept, what was dropped, how relevant each patch is, frame by frame, and the visitor's hand in
// it. Everything after the server's one message per (picture or clip, question, method, query, budget) is worked out
// here; knobs arrive as window events, never by the server. Only where the distances are too many to come along are
// they asked for, once, when a view needs them.
const stage = find(".stage"),
  canvas = find(".map"),
  pen = canvas.getContext("2d");
const look = { ...props.look, ramp: props.look.ramp.map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16))) };
const HINT = matchMedia("(hover: none)").matches ? "Tap a patch." : "Point at a patch, or use the arrow keys.";
const EDIT_HINT = "Click or draw over patches, or use the arrow keys and Enter.";
let run = null,
  view = "kept",
  at = 0,
  cell = -1,
  layers = null,
  queued = false,
  said = "",
  knobs = null;
let width = 0; // of the canvas in CSS pixels; read in fresh() alone, for a read in draw() lays out the whole page
let sources = [],
  images = [],
  editing = false,
  sketch = null,
  asked = null,
  near = null,
  nearOf = null;
const strip = filmStrip(find(".film"), look, go);
const choice = ownChoice(told);
const steps = stepper(find(".steps"), stepped);

function load() {
  const value = props.value;
  if (!value || !value.orders) return;
  const earlier = run;
  run = runOf(value);
  if (!run.between && earlier && sameDistances(earlier.setting, run.setting)) run.between = earlier.between;
  said = "";
  asked = null;
  shared.run = { n: run.total, frames: run.frames.length, ...run.setting };
  window.dispatchEvent(new CustomEvent("rp:run", { detail: shared.run }));
  find(".why").textContent = run.why;
  find(".unseen").textContent =
    run.frames.length > 1 && !run.clip ? "faded: outside this part" : "faded: outside the model's view";
  const wanted = [...value.pictures],
    other = wanted.join() !== sources.join();
  if (other) {
    sources = wanted;
    images = sources.map((url) => Object.assign(new Image(), { onload: fresh, src: url }));
  }
  if (other || at >= run.frames.length) {
    at = 0;
    cell = -1;
    strip.stop();
  }
  stage.dataset.film = run.frames.length > 1;
  strip.load(run);
  steps.end();
  edit(false);
  choice.forget();
  if (value.own) {
    // an opened trace whose tokens were chosen by hand
    knobs = { keep: value.own.keep, weight: value.own.weight };
    choice.set(withTokens(new Uint8Array(run.all), [...value.own.tokens], true));
  }
  fresh();
  older();
}

const sameDistances = (a, b) => a.picture === b.picture && a.budget === b.budget && a.model === b.model;

// After an error the menus may stand at something that was never drawn.
function older() {
  const { menus, busy } = shared,
    set = run && run.setting;
  const old =
    set &&
    menus &&
    !busy &&
    ["method", "query", "budget"].some((name) => menus[name] !== undefined && menus[name] !== set[name]);
  const other = set && shared.model && !busy && set.model >= 0 && shared.model.number !== set.model;
  const still = other ? "Still the earlier model's. " : old ? "Still the earlier setting. " : "";
  if (run) find(".query").textContent = still + run.about;
  if (run) offer();
}

function chosen() {
  const step = steps.count === null ? null : { group: groupOf(run, at * run.n), count: steps.count };
  return picksOf(run, shared.knobs || props, step ? null : sketch || choice.own, step);
}

// absorbed(...) of these picks, worked out once for each.
function standIns(picks) {
  const now = [run, run.between, picks.own, picks.w, picks.k.join(), steps.count, groupOf(run, at * run.n)];
  if (!nearOf || now.some((part, i) => part !== nearOf[i])) [near, nearOf] = [absorbed(run, picks, at), now];
  return near;
}

// Distances that did not come along are asked for once, and come to shared.measured.
function fetchDistances() {
  if (run.between || asked === run) return;
  asked = run;
  trigger("measure", { shows: shared.shows });
}
shared.measured = (value) => {
  if (!run || !asked) return;
  if (value.between && value.picture === run.setting.picture && value.budget === run.setting.budget)
    run.between = decode(value.between, Float32Array);
  else run.refused = value.said || "Not measured: it belonged to another picture.";
  later();
};
shared.unmeasured = () => shared.measured({ said: "Not measured: the page is busy or cannot be reached." });

function pictureOf(t) {
  const image = images[run.frames[t].picture];
  return image.complete && image.naturalWidth > 0 ? image : null;
}

function draw() {
  queued = false;
  if (!run || !pictureOf(at) || !width) return;
  if (!layers) {
    canvas.width = canvas.height = Math.max(1, Math.round(width * (window.devicePixelRatio || 1)));
    layers = layersOf(pictureOf(at), run.frames[at], canvas.width, look.dim);
  }
  const picks = chosen(),
    shown = view === "heat" && !run.relevance ? "kept" : view,
    unit = layers.side / width;
  const first = at * run.n,
    inside = (i) => picks.inside(first + i),
    stepping = picks.step !== null;
  const bonds = shown === "distance" ? standIns(picks) : null;
  if (bonds || stepping) fetchDistances();
  const scale = shown === "kept" ? null : scaleOf(shown, run, picks, at, bonds);
  pen.clearRect(0, 0, layers.side, layers.side);
  paintView(pen, layers, shown, scale, inside, look);
  const whole = wholeOf(at).some(picks.inside);
  paintBorder(
    pen,
    layers,
    inside,
    [
      [3 * unit, look.edge],
      [1.5 * unit, look.outline],
    ],
    whole,
  );
  if (shown === "order")
    paintNumbers(pen, layers, (i) => (inside(i) ? String(picks.rank[first + i] + 1) : ""), unit, look);
  if (bonds && cell >= 0 && !editing) paintBond(pen, layers, first, cell, bonds, unit, look);
  const made = stepping && steps.count > 0 ? pickAt(run, picks.w, picks.step.group, steps.count) : null;
  for (const marked of [cell, made ? made.who - first : -1]) {
    if (marked < 0 || marked >= layers.n) continue;
    pen.lineWidth = 3 * unit;
    pen.strokeStyle = look.cursor;
    pen.strokeRect(...patchRect(layers, marked));
  }
  if (fingers.line)
    paintLine(pen, fingers.line, [
      [4 * unit, look.edge],
      [2 * unit, look.cursor],
    ]);
  tell(picks, shown, scale, bonds, made);
  strip.draw(run, picks, shown === "heat", pictureOf, at);
  // For tests and the benchmark: what is painted now.
  Object.assign(canvas.dataset, {
    frame: at,
    view: shown,
    step: steps.count ?? "",
    paints: 1 + Number(canvas.dataset.paints || 0),
  });
}

// Flat indices of the tokens that stand for all of frame t.
function wholeOf(t) {
  const { rows, cols, whole } = run.frames[t];
  return Array.from({ length: whole }, (_, i) => t * run.n + rows * cols + i);
}

function later() {
  if (!queued) {
    queued = true;
    requestAnimationFrame(draw);
  }
}
function fresh() {
  width = canvas.clientWidth;
  layers = null;
  strip.fresh();
  measured.delete(find(".bars"));
  later();
}

function go(t) {
  const { rows, cols } = run.frames[t];
  if (rows !== run.frames[at].rows || cols !== run.frames[at].cols) cell = -1;
  at = t;
  layers = null;
  later();
}

// Under a shared budget picks come from any frame: the picture goes with them.
function stepped(count) {
  if (!run) return;
  if (count !== null) edit(false);
  if (count && run.counts.length === 1) {
    const { who } = pickAt({ ...run, between: null }, chosen().w, 0, count),
      t = Math.floor(who / run.n);
    if (t !== at) go(t);
  }
  cell = -1;
  later();
}
