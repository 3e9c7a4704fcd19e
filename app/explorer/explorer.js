// The picture: what was kept, what was dropped, how relevant each patch is. Everything after the server's one
// message per (image, question, method, query) is drawn here; knobs arrive as window events, never by the server.
const shared = (window.rediprune ||= {});
const find = (selector) => element.querySelector(selector);
const canvas = find(".map"), pen = canvas.getContext("2d"), picture = new Image();
const ramp = props.look.ramp.map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16)));
const HINT = matchMedia("(hover: none)").matches ? "Tap a patch." : "Point at a patch, or use the arrow keys.";
let run = null, view = "kept", cell = -1, layers = null, queued = false;

function load() {
  const value = props.value;
  if (!value || !value.orders) return;
  const orders = decode(value.orders, Uint16Array), n = value.rows * value.cols;
  run = { ...value, n, weights: [...value.weights], box: [...value.box], ranks: ranksOf(orders, n),
    relevance: value.relevance ? decode(value.relevance, Float32Array) : null };
  run.span = run.relevance ? span(run.relevance) : [0, 0];
  shared.run = { n, ...run.setting };
  window.dispatchEvent(new CustomEvent("rp:run", { detail: shared.run }));
  find(".why").textContent = run.why;
  if (picture.src !== run.picture) { cell = -1; layers = null; picture.src = run.picture; } else later();
  older();
}

// After an error the menus may stand at something that was never drawn.
function older() {
  const { menus, busy } = shared, at = run && run.setting;
  const old = at && menus && !busy && (menus.method !== at.method || menus.query !== at.query);
  if (run) find(".query").textContent = (old ? "Still the earlier setting. " : "") + run.about;
}

// The ranks of the weight that the knobs stand at, [N].
const ranks = () => {
  const w = nearest(run.weights, shared.knobs ? shared.knobs.weight : props.weight);
  return run.ranks.subarray(w * run.n, (w + 1) * run.n);
};
const kept = () => keptCount(run.n, shared.knobs ? shared.knobs.keep : props.keep);

// Two ready-made copies of the picture at the canvas's own resolution: as it is, and grey and dark.
function prepare() {
  const side = Math.max(1, Math.round(canvas.clientWidth * (window.devicePixelRatio || 1)));
  canvas.width = canvas.height = side;
  const scale = side / Math.max(picture.naturalWidth, picture.naturalHeight);
  const size = [picture.naturalWidth * scale, picture.naturalHeight * scale];
  const at = size.map((s) => (side - s) / 2);
  const layer = (paint) => {
    const copy = document.createElement("canvas");
    copy.width = copy.height = side;
    paint(copy.getContext("2d"));
    return copy;
  };
  const bright = layer((p) => p.drawImage(picture, ...at, ...size));
  const [left, top, right, bottom] = run.box.map((b, i) => at[i % 2] + b * scale);
  const seen = [left, top, right - left, bottom - top];
  const darkened = (amount) => layer((p) => {
    p.globalAlpha = 0.3; // outside the box lies what the processor cropped away: faded, neither kept nor dropped
    p.drawImage(bright, 0, 0);
    p.globalAlpha = 1;
    p.beginPath();
    p.rect(...seen);
    p.clip();
    p.drawImage(bright, 0, 0);
    p.globalCompositeOperation = "saturation"; // blending, because canvas filters are not in every browser
    p.fillStyle = "#000";
    p.fillRect(...seen);
    p.globalCompositeOperation = "source-over";
    p.fillStyle = "rgba(0, 0, 0, " + amount + ")";
    p.fillRect(...seen);
  });
  const grey = darkened(0), dim = darkened(props.look.dim);
  find(".legend-cropped").hidden = size[0] - seen[2] < 1 && size[1] - seen[3] < 1;
  const edge = (from, to, cells) => Array.from({ length: cells + 1 }, (_, i) => Math.round(from + ((to - from) * i) / cells));
  layers = { side, bright, grey, dim, x: edge(left, right, run.cols), y: edge(top, bottom, run.rows) };
}

const rect = (i) => {
  const c = i % run.cols, r = (i - c) / run.cols, { x, y } = layers;
  return [x[c], y[r], x[c + 1] - x[c], y[r + 1] - y[r]];
};

// The border between kept and dropped patches.
function outline(inside) {
  const path = new Path2D(), { cols, n } = run;
  for (let i = 0; i < n; i++) {
    if (!inside(i)) continue;
    const [x, y, w, h] = rect(i), c = i % cols;
    const line = (open, ...p) => { if (open) { path.moveTo(p[0], p[1]); path.lineTo(p[2], p[3]); } };
    line(c === 0 || !inside(i - 1), x, y, x, y + h);
    line(c === cols - 1 || !inside(i + 1), x + w, y, x + w, y + h);
    line(i < cols || !inside(i - cols), x, y, x + w, y);
    line(i >= n - cols || !inside(i + cols), x, y + h, x + w, y + h);
  }
  const unit = layers.side / canvas.clientWidth;
  pen.lineCap = "square";
  for (const [width, colour] of [[3, props.look.edge], [1.5, props.look.outline]]) {
    pen.lineWidth = width * unit;
    pen.strokeStyle = colour;
    pen.stroke(path);
  }
}

function heat() {
  const [low, high] = run.span, top = ramp.length - 1;
  pen.globalAlpha = props.look.heat;
  for (let i = 0; i < run.n; i++) {
    const at = high > low ? ((run.relevance[i] - low) / (high - low)) * top : top / 2;
    const a = ramp[Math.floor(at)], b = ramp[Math.ceil(at)], t = at % 1;
    pen.fillStyle = "rgb(" + a.map((v, c) => Math.round(v + (b[c] - v) * t)).join() + ")";
    pen.fillRect(...rect(i));
  }
  pen.globalAlpha = 1;
}

function draw() {
  queued = false;
  if (!run || !picture.complete || !picture.naturalWidth || !canvas.clientWidth) return;
  if (!layers) prepare();
  const rank = ranks(), k = kept(), inside = (i) => rank[i] < k, hot = view === "heat" && run.relevance;
  pen.clearRect(0, 0, layers.side, layers.side);
  pen.drawImage(hot ? layers.grey : layers.dim, 0, 0);
  if (hot) heat();
  else {
    pen.save();
    pen.beginPath();
    for (let i = 0; i < run.n; i++) if (inside(i)) pen.rect(...rect(i));
    pen.clip();
    pen.drawImage(layers.bright, 0, 0);
    pen.restore();
  }
  outline(inside);
  if (cell >= 0) {
    pen.lineWidth = (3 * layers.side) / canvas.clientWidth;
    pen.strokeStyle = props.look.cursor;
    pen.strokeRect(...rect(cell));
  }
  words(rank, k, hot);
}

function words(rank, k, hot) {
  find(".kept").textContent = k;
  find(".total").textContent = run.n;
  find(".legend-kept").hidden = hot;
  find(".legend-heat").hidden = !hot;
  find(".low").textContent = run.span[0].toFixed(2);
  find(".high").textContent = run.span[1].toFixed(2);
  canvas.setAttribute("aria-label",
    "The picture as " + run.cols + " by " + run.rows + " patches, " + k + " of " + run.n + " kept. Arrow keys walk over them.");
  // For tests and the benchmark: what is painted now.
  Object.assign(canvas.dataset, { kept: k, view: hot ? "heat" : "kept", paints: 1 + Number(canvas.dataset.paints || 0) });
  if (cell < 0) { find(".readout").textContent = HINT; return; }
  const where = "Row " + (Math.floor(cell / run.cols) + 1) + ", column " + ((cell % run.cols) + 1) + ": ";
  const what = rank[cell] < k ? "kept, pick " + (rank[cell] + 1) + " of " + k : "dropped (would be pick " + (rank[cell] + 1) + ")";
  find(".readout").textContent = where + what + (run.relevance ? ". Relevance " + run.relevance[cell].toFixed(3) + "." : ".");
}

const later = () => { if (!queued) { queued = true; requestAnimationFrame(draw); } };

function show(next) {
  view = next;
  element.querySelectorAll("[data-view]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.view === view)));
  later();
}

element.querySelectorAll("[data-view]").forEach((b) => b.addEventListener("click", () => show(b.dataset.view)));
const under = (event) => {
  if (!run || !layers) return -1;
  const box = canvas.getBoundingClientRect(), unit = layers.side / box.width;
  const cellAt = (edges, at) => edges.findIndex((e, i) => i + 1 < edges.length && at >= e && at < edges[i + 1]);
  const c = cellAt(layers.x, (event.clientX - box.left) * unit), r = cellAt(layers.y, (event.clientY - box.top) * unit);
  return c < 0 || r < 0 ? -1 : r * run.cols + c;
};
canvas.addEventListener("pointermove", (e) => { const at = under(e); if (at !== cell) { cell = at; later(); } });
canvas.addEventListener("pointerdown", (e) => { cell = under(e); later(); });
canvas.addEventListener("pointerleave", (e) => { if (e.pointerType === "mouse") { cell = -1; later(); } });
canvas.addEventListener("keydown", (e) => {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
  if (!step || !run) return;
  e.preventDefault();
  const c = Math.max(0, cell) % run.cols, r = Math.floor(Math.max(0, cell) / run.cols);
  const clamp = (v, top) => Math.min(top - 1, Math.max(0, v));
  cell = cell < 0 ? 0 : clamp(r + step[1], run.rows) * run.cols + clamp(c + step[0], run.cols);
  later();
});

picture.addEventListener("load", () => { layers = null; later(); });
new ResizeObserver(() => { layers = null; later(); }).observe(canvas);
window.addEventListener("rp:knobs", later);
window.addEventListener("rp:state", older);
watch("value", load);
load();
