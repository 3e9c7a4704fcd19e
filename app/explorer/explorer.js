// The picture: what was kept, what was dropped, how relevant each patch is, frame by frame. Everything after the
// server's one message per (picture or clip, question, method, query, budget) is drawn here; knobs arrive as window
// events, never by the server. A token's flat index is frame * n + token, as in the library; those of a frame that
// have no place (frame.whole) come behind its patches.
const shared = (window.rediprune ||= {});
const find = (selector) => element.querySelector(selector);
const canvas = find(".map"), pen = canvas.getContext("2d");
const look = { ...props.look, ramp: props.look.ramp.map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16))) };
const HINT = matchMedia("(hover: none)").matches ? "Tap a patch." : "Point at a patch, or use the arrow keys.";
let run = null, view = "kept", at = 0, cell = -1, layers = null, queued = false, said = "";
let sources = [], images = [];
const strip = filmStrip(find(".film"), look, go);

function load() {
  const value = props.value;
  if (!value || !value.orders) return;
  const frames = JSON.parse(value.frames), counts = [...value.counts];
  for (const frame of frames) Object.assign(frame, { cols: frame.x.length / 2, rows: frame.y.length / 2 });
  const size = (frames.length * value.n) / counts.length; // tokens of a group: one frame, or all of them
  run = { ...value, frames, counts, size, weights: [...value.weights],
    ranks: ranksOf(decode(value.orders, value.wide ? Uint32Array : Uint16Array), size),
    relevance: value.relevance ? decode(value.relevance, Float32Array) : null };
  run.span = run.relevance ? spanOf(run) : [0, 0];
  run.total = counts.reduce((a, b) => a + b, 0);
  run.whole = frames.reduce((sum, frame) => sum + frame.whole, 0);
  said = "";
  shared.run = { n: run.total, frames: frames.length, ...run.setting };
  window.dispatchEvent(new CustomEvent("rp:run", { detail: shared.run }));
  find(".why").textContent = run.why;
  find(".unseen").textContent = frames.length > 1 && !run.clip ? "faded: outside this part" : "faded: outside the model's view";
  const wanted = [...value.pictures], other = wanted.join() !== sources.join();
  if (other) {
    sources = wanted;
    images = sources.map((url) => Object.assign(new Image(), { onload: fresh, src: url }));
  }
  if (other || at >= frames.length) {
    at = 0;
    cell = -1;
    strip.stop();
  }
  find(".stage").dataset.film = frames.length > 1;
  strip.load(run);
  fresh();
  older();
}

// [low, high] of the relevance of all patches, of every frame; that of tokens of no place is no part of the scale.
function spanOf({ frames, n, relevance }) {
  return span(frames.flatMap(({ rows, cols }, t) => [...relevance.subarray(t * n, t * n + rows * cols)]));
}

// After an error the menus may stand at something that was never drawn.
function older() {
  const { menus, busy } = shared, set = run && run.setting;
  const old = set && menus && !busy && ["method", "query", "budget"].some((name) => menus[name] !== undefined && menus[name] !== set[name]);
  const other = set && shared.model && !busy && shared.model.number !== set.model;
  const still = other ? "Still the earlier model's. " : old ? "Still the earlier setting. " : "";
  if (run) find(".query").textContent = still + run.about;
}

// What the two knobs choose: inside(flat) and the pick number of every token.
function chosen() {
  const knobs = shared.knobs || props, w = nearest(run.weights, knobs.weight), all = run.frames.length * run.n;
  const rank = run.ranks.subarray(w * all, (w + 1) * all);
  const k = run.counts.map((count) => keptCount(count, knobs.keep));
  const group = (flat) => Math.floor(flat / run.size);
  return { rank, k, group, inside: (flat) => rank[flat] < k[group(flat)] };
}

function pictureOf(t) {
  const image = images[run.frames[t].picture];
  return image.complete && image.naturalWidth > 0 ? image : null;
}

function draw() {
  queued = false;
  if (!run || !pictureOf(at) || !canvas.clientWidth) return;
  if (!layers) {
    canvas.width = canvas.height = Math.max(1, Math.round(canvas.clientWidth * (window.devicePixelRatio || 1)));
    layers = layersOf(pictureOf(at), run.frames[at], canvas.width, look.dim);
  }
  const picks = chosen(), hot = view === "heat" && run.relevance !== null, unit = layers.side / canvas.clientWidth;
  const first = at * run.n, inside = (i) => picks.inside(first + i);
  pen.clearRect(0, 0, layers.side, layers.side);
  if (hot) paintHeat(pen, layers, (i) => run.relevance[first + i], run.span, look.ramp, look.heat);
  else paintKept(pen, layers, inside);
  const whole = wholeOf(at).some(picks.inside);
  paintBorder(pen, layers, inside, [[3 * unit, look.edge], [1.5 * unit, look.outline]], whole);
  if (cell >= 0) {
    pen.lineWidth = 3 * unit;
    pen.strokeStyle = look.cursor;
    pen.strokeRect(...patchRect(layers, cell));
  }
  words(picks, hot);
  strip.draw(run, picks, hot, pictureOf, at);
  // For tests and the benchmark: what is painted now.
  Object.assign(canvas.dataset, { frame: at, view: hot ? "heat" : "kept", paints: 1 + Number(canvas.dataset.paints || 0) });
}

// Flat indices of the tokens that stand for all of frame t.
function wholeOf(t) {
  const { rows, cols, whole } = run.frames[t];
  return Array.from({ length: whole }, (_, i) => t * run.n + rows * cols + i);
}

function words(picks, hot) {
  const kept = picks.k.reduce((a, b) => a + b, 0), several = run.frames.length > 1, { rows, cols } = run.frames[at];
  find(".kept").textContent = canvas.dataset.kept = kept;
  find(".total").textContent = run.total;
  find(".one").hidden = several;
  find(".one").textContent = run.whole ? "(one per patch, " + run.whole + " for the whole)" : "(one per patch)";
  find(".each").hidden = !several;
  find(".each").textContent = "in " + run.frames.length + (run.clip ? " frames, " : " views, ") +
    (run.setting.budget === "shared" ? "shared" : "each its share");
  find(".still").hidden = run.clip && several;
  find(".legend-kept").hidden = hot;
  find(".legend-heat").hidden = !hot;
  find(".legend-cropped").hidden = !layers.cropped;
  find(".low").textContent = run.span[0].toFixed(2);
  find(".high").textContent = run.span[1].toFixed(2);
  canvas.setAttribute("aria-label", (several ? frameName(run, at) : "The picture") + " as " + cols + " by " + rows + " patches, " +
    kept + " of " + run.total + " visual tokens kept. Arrow keys walk over them.");
  const line = cell >= 0 ? patchInWords(picks, several) : said || [HINT, ...wholeOf(at).map((flat) => wholeInWords(picks, flat))].join(" ");
  if (find(".readout").textContent !== line) find(".readout").textContent = line;
}

function fate({ rank, k, group, inside }, flat) {
  const what = inside(flat) ? "kept, pick " + (rank[flat] + 1) + " of " + k[group(flat)] : "dropped (would be pick " + (rank[flat] + 1) + ")";
  return what + (run.relevance ? ". Relevance " + run.relevance[flat].toFixed(3) + "." : ".");
}
const wholeInWords = (picks, flat) => "1 token stands for the whole frame: " + fate(picks, flat);
function patchInWords(picks, several) {
  const flat = at * run.n + cell, { cols } = run.frames[at];
  const where = (several ? frameName(run, at) + ", row " : "Row ") + (Math.floor(cell / cols) + 1) + ", column " + ((cell % cols) + 1) + ": ";
  return where + (picks.rank[flat] >= run.counts[picks.group(flat)] ? "no token here, only padding." : fate(picks, flat));
}

function later() { if (!queued) { queued = true; requestAnimationFrame(draw); } }
function fresh() { layers = null; strip.fresh(); later(); }

function go(t) {
  const { rows, cols } = run.frames[t];
  if (rows !== run.frames[at].rows || cols !== run.frames[at].cols) cell = -1;
  at = t;
  layers = null;
  later();
}

function show(wanted) {
  view = wanted;
  element.querySelectorAll("[data-view]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.view === view)));
  later();
}
element.querySelectorAll("[data-view]").forEach((b) => b.addEventListener("click", () => show(b.dataset.view)));

// The server draws the file at the sliders of this moment; saved.js downloads it.
const savers = element.querySelectorAll(".save");
shared.saved = (sentence) => { savers.forEach((b) => { b.disabled = false; }); said = sentence; cell = -1; later(); };
savers.forEach((b) => b.addEventListener("click", () => {
  if (!run) return;
  savers.forEach((other) => { other.disabled = true; });
  said = "Making the file.";
  later();
  trigger("save", { kind: b.dataset.kind, at });
}));

const under = (event) => {
  if (!run || !layers) return -1;
  const box = canvas.getBoundingClientRect(), unit = layers.side / box.width;
  const cellAt = (spans, where) => spans.findIndex(([from, to]) => where >= from && where < to);
  const c = cellAt(layers.x, (event.clientX - box.left) * unit), r = cellAt(layers.y, (event.clientY - box.top) * unit);
  return c < 0 || r < 0 ? -1 : r * layers.cols + c;
};
canvas.addEventListener("pointermove", (e) => { const here = under(e); if (here !== cell) { cell = here; later(); } });
canvas.addEventListener("pointerdown", (e) => { cell = under(e); later(); });
canvas.addEventListener("pointerleave", (e) => { if (e.pointerType === "mouse") { cell = -1; later(); } });
canvas.addEventListener("keydown", (e) => {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
  if (!step || !run) return;
  e.preventDefault();
  const { rows, cols } = run.frames[at], c = Math.max(0, cell) % cols, r = Math.floor(Math.max(0, cell) / cols);
  const clamp = (v, top) => Math.min(top - 1, Math.max(0, v));
  cell = cell < 0 ? 0 : clamp(r + step[1], rows) * cols + clamp(c + step[0], cols);
  later();
});

new ResizeObserver(fresh).observe(canvas);
window.addEventListener("rp:knobs", later);
window.addEventListener("rp:state", older);
window.addEventListener("rp:model", older);
watch("value", load);
load();
