// The picture: what was kept, what was dropped, how relevant each patch is, frame by frame. Everything after the
// server's one message per (picture or clip, question, method, query) is drawn here; knobs arrive as window events,
// never by the server. A token's flat index is frame * n + patch, as in the library.
const shared = (window.rediprune ||= {});
const find = (selector) => element.querySelector(selector);
const canvas = find(".map"), pen = canvas.getContext("2d");
const ramp = props.look.ramp.map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16)));
const HINT = matchMedia("(hover: none)").matches ? "Tap a patch." : "Point at a patch, or use the arrow keys.";
const THUMB = 72; // side of a frame in the film strip, in CSS pixels
let run = null, view = "kept", at = 0, cell = -1, layers = null, thumbs = [], queued = false, playing = 0;
let sources = [], images = [];

function load() {
  const value = props.value;
  if (!value || !value.orders) return;
  const frames = value.frames.map((f) => ({ ...f, box: [...f.box] })), counts = [...value.counts];
  const size = (frames.length * value.n) / counts.length; // tokens of a group: one frame, or all of them
  run = { ...value, frames, counts, size, weights: [...value.weights],
    ranks: ranksOf(decode(value.orders, Uint16Array), size),
    relevance: value.relevance ? decode(value.relevance, Float32Array) : null };
  run.span = run.relevance ? span(run.relevance) : [0, 0];
  run.total = counts.reduce((a, b) => a + b, 0);
  shared.run = { n: run.total, ...run.setting };
  window.dispatchEvent(new CustomEvent("rp:run", { detail: shared.run }));
  find(".why").textContent = run.why;
  const wanted = [...value.pictures];
  if (wanted.join() !== sources.join()) {
    sources = wanted;
    images = sources.map((url) => Object.assign(new Image(), { onload: fresh, src: url }));
    at = 0;
    cell = -1;
    stop();
    film();
    fresh();
  } else later();
  older();
}

// After an error the menus may stand at something that was never drawn.
function older() {
  const { menus, busy } = shared, set = run && run.setting;
  const old = set && menus && !busy && ["method", "query", "budget"].some((name) => menus[name] !== undefined && menus[name] !== set[name]);
  if (run) find(".query").textContent = (old ? "Still the earlier setting. " : "") + run.about;
}

// What the two knobs choose: inside(flat) and the pick number of every token.
function chosen() {
  const knobs = shared.knobs || props, w = nearest(run.weights, knobs.weight), all = run.frames.length * run.n;
  const rank = run.ranks.subarray(w * all, (w + 1) * all);
  const k = run.counts.map((count) => keptCount(count, knobs.keep));
  const group = (flat) => Math.floor(flat / run.size);
  return { rank, k, group, inside: (flat) => rank[flat] < k[group(flat)] };
}

const pictureOf = (t) => images[run.frames[t].picture];
const ready = (t) => pictureOf(t).complete && pictureOf(t).naturalWidth > 0;
const pixelsOf = (shown) => Math.max(1, Math.round(shown.clientWidth * (window.devicePixelRatio || 1)));

function draw() {
  queued = false;
  if (!run || !ready(at) || !canvas.clientWidth) return;
  if (!layers) {
    canvas.width = canvas.height = pixelsOf(canvas);
    layers = layersOf(pictureOf(at), run.frames[at], canvas.width, props.look.dim);
  }
  const picks = chosen(), hot = view === "heat" && run.relevance, unit = layers.side / canvas.clientWidth;
  paint(pen, layers, at, picks, hot, unit);
  if (cell >= 0) {
    pen.lineWidth = 3 * unit;
    pen.strokeStyle = props.look.cursor;
    pen.strokeRect(...patchRect(layers, cell));
  }
  words(picks, hot);
  strip(picks, hot);
}

function paint(on, made, t, picks, hot, unit) {
  const inside = (i) => picks.inside(t * run.n + i);
  on.clearRect(0, 0, made.side, made.side);
  if (hot) paintHeat(on, made, (i) => run.relevance[t * run.n + i], run.span, ramp, props.look.heat);
  else paintKept(on, made, inside);
  paintBorder(on, made, inside, [[3 * unit, props.look.edge], [1.5 * unit, props.look.outline]]);
}

// The film strip: one small picture for each frame or tile, with how many of its tokens are kept.
function film() {
  const strip = find(".film"), frames = run.frames;
  strip.hidden = frames.length < 2;
  find(".play").hidden = !run.clip;
  find(".frames").replaceChildren(...(frames.length < 2 ? [] : frames).map((frame, t) => {
    const button = document.createElement("button"), small = document.createElement("canvas"), label = document.createElement("span");
    button.type = "button";
    button.append(small, label);
    button.addEventListener("click", () => { stop(); go(t); });
    return button;
  }));
}

function strip(picks, hot) {
  find(".frames").querySelectorAll("button").forEach((button, t) => {
    const small = button.firstChild, frame = run.frames[t];
    button.setAttribute("aria-pressed", String(t === at));
    let count = 0;
    for (let i = 0; i < run.n; i++) count += picks.inside(t * run.n + i);
    button.lastChild.textContent = (frame.label ? frame.label + ": " : "") + count;
    button.setAttribute("aria-label", frameName(t) + ", " + count + " tokens kept");
    button.dataset.kept = count;
    if (!ready(t)) return;
    const side = Math.round(THUMB * (window.devicePixelRatio || 1));
    if (!thumbs[t]) { small.width = small.height = side; thumbs[t] = layersOf(pictureOf(t), frame, side, props.look.dim); }
    const brush = small.getContext("2d");
    brush.clearRect(0, 0, side, side);
    if (hot) paintHeat(brush, thumbs[t], (i) => run.relevance[t * run.n + i], run.span, ramp, props.look.heat);
    else paintKept(brush, thumbs[t], (i) => picks.inside(t * run.n + i));
  });
}

const frameName = (t) => (run.clip ? "Frame " : "View ") + (t + 1) + " of " + run.frames.length + (run.frames[t].label ? " (" + run.frames[t].label + ")" : "");

function words({ rank, k, group, inside }, hot) {
  const kept = k.reduce((a, b) => a + b, 0), several = run.frames.length > 1, { rows, cols } = run.frames[at];
  find(".kept").textContent = kept;
  find(".total").textContent = run.total;
  find(".each").textContent = several ? "in " + run.frames.length + (run.clip ? " frames" : " views") : "(one per patch)";
  find(".legend-kept").hidden = hot;
  find(".legend-heat").hidden = !hot;
  find(".legend-cropped").hidden = !layers.cropped;
  find(".low").textContent = run.span[0].toFixed(2);
  find(".high").textContent = run.span[1].toFixed(2);
  canvas.setAttribute("aria-label", (several ? frameName(at) : "The picture") + " as " + cols + " by " + rows + " patches, " +
    kept + " of " + run.total + " visual tokens kept. Arrow keys walk over them.");
  // For tests and the benchmark: what is painted now.
  Object.assign(canvas.dataset, { kept, frame: at, view: hot ? "heat" : "kept", paints: 1 + Number(canvas.dataset.paints || 0) });
  if (cell < 0) { find(".readout").textContent = HINT; return; }
  const flat = at * run.n + cell, count = k[group(flat)];
  const where = (several ? frameName(at) + ", row " : "Row ") + (Math.floor(cell / cols) + 1) + ", column " + ((cell % cols) + 1) + ": ";
  if (rank[flat] >= run.counts[group(flat)]) { find(".readout").textContent = where + "no token here, only padding."; return; }
  const what = inside(flat) ? "kept, pick " + (rank[flat] + 1) + " of " + count : "dropped (would be pick " + (rank[flat] + 1) + ")";
  find(".readout").textContent = where + what + (run.relevance ? ". Relevance " + run.relevance[flat].toFixed(3) + "." : ".");
}

const later = () => { if (!queued) { queued = true; requestAnimationFrame(draw); } };
const fresh = () => { layers = null; thumbs = []; later(); };

function go(t) {
  const { rows, cols } = run.frames[t];
  if (rows !== run.frames[at].rows || cols !== run.frames[at].cols) cell = -1;
  at = t;
  layers = null;
  later();
}

// Plays the frames at the clip's own pace, a second at most for each.
function stop() {
  clearTimeout(playing);
  playing = 0;
  find(".play").setAttribute("aria-pressed", "false");
  find(".play").textContent = "Play";
}
function next() {
  const t = (at + 1) % run.frames.length, gap = run.frames[t].second - run.frames[at].second;
  playing = setTimeout(() => { go(t); next(); }, Math.min(1000, Math.max(120, (gap > 0 ? gap : 0.5) * 1000)));
}
find(".play").addEventListener("click", () => {
  if (playing) return stop();
  find(".play").setAttribute("aria-pressed", "true");
  find(".play").textContent = "Pause";
  next();
});

function show(wanted) {
  view = wanted;
  element.querySelectorAll("[data-view]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.view === view)));
  later();
}

element.querySelectorAll("[data-view]").forEach((b) => b.addEventListener("click", () => show(b.dataset.view)));
const under = (event) => {
  if (!run || !layers) return -1;
  const box = canvas.getBoundingClientRect(), unit = layers.side / box.width;
  const cellAt = (edges, where) => edges.findIndex((e, i) => i + 1 < edges.length && where >= e && where < edges[i + 1]);
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
watch("value", load);
load();
