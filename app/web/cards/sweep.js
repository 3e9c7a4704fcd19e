// @ts-check
// How few tokens are enough: a curve for each method, drawn point by point as the server computes them. The chart is
// an SVG of its own, saved with its colours written out; texts go in by textContent.
const DASHES = ["", "7 3", "2 3", "10 3 2 3", "5 2", "12 4", "1 4", "8 3 1 3 1 3", "3 3", "14 3 3 3", "4 6"];
const NOTES = {
  probability:
    "How likely the unpruned answer is from the kept tokens. Dotted: from all tokens. " +
    "Shaded: from the worst to the best random draw.",
  kl:
    "How differently the two models guess the first word: the Kullback-Leibler divergence (KL), in nats, " +
    "units of the natural logarithm. 0 is full agreement.",
};
const PAD = { left: 48, right: 14, top: 10, bottom: 42 };
const LEGEND_ROW = 18;
const SAVED_STYLES = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray"];
let data = null; // the newest results (app/answer/compare.py)
let measure = "probability";

const percent = (x) => +(100 * x).toFixed(1) + "%";

/** @type {(tag: string, attributes: object, text?: string) => SVGElement} */
function svg(tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

const plan = () => {
  const runs = pageState.countRuns?.() ?? 0; // compare.js may not be there yet
  const moreWeights = runs && find(".weights").checked && pageState.tickedMethods().includes("rediprune");
  return { ratios: [...props.ratios], runs: runs + (moreWeights ? props.more : 0) };
};
find(".weights").addEventListener("change", () => notifyPage("rp:methods"));
const controls = createTaskControls(element, pageState, trigger, plan, (payload) => {
  data = JSON.parse(payload);
  find(".body").hidden = false;
  draw();
  drawTable();
  offerFile(find(".csv"), data.csv, "text/csv");
});
pageState.failed_sweep = controls.onFailure;

const methodColour = (method) => "var(--rp-method-" + method + ")";
const lineStyle = (i) => ({
  "stroke-dasharray": DASHES[i % DASHES.length],
  style: "stroke:" + methodColour(data.lines[i].method),
});

function draw() {
  const chart = find(".chart");
  const width = chart.clientWidth;
  const height = chart.clientHeight;
  if (!data || !width) return;
  const axes = makeAxes(width, height);
  chart.setAttribute("viewBox", "0 0 " + width + " " + height);
  chart.setAttribute("aria-label", NOTES[measure] + " The table below names where each answer holds.");
  chart.replaceChildren(
    ...gridParts(axes, width, height),
    ...data.lines.flatMap((line, i) => curveParts(axes, line, i)),
  );
  find(".note").textContent = NOTES[measure];
  offerFile(find(".svg"), figureSource(chart, width, height), "image/svg+xml");
}

// x(ratio) and y(value) in pixels of the chart; `most` is the value at its upper edge.
function makeAxes(width, height) {
  const ratios = [...props.ratios]; // all from the start, so that nothing moves while the curves grow
  const low = Math.log(ratios[0]);
  const high = Math.max(Math.log(ratios.at(-1)), low + 0.1);
  const divergences = data.lines.flatMap(({ points }) => points.map(({ kl }) => kl));
  const most = measure === "kl" ? Math.max(0.01, ...divergences) : 1;
  const x = (ratio) => PAD.left + ((Math.log(ratio) - low) / (high - low)) * (width - PAD.left - PAD.right);
  const y = (value) => height - PAD.bottom - (value / most) * (height - PAD.top - PAD.bottom);
  return { ratios, most, x, y };
}

function gridParts({ ratios, most, x, y }, width, height) {
  const right = width - PAD.right;
  const parts = [];
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const value = share * most;
    const text = measure === "kl" ? value.toFixed(2) : percent(share);
    parts.push(svg("line", { x1: PAD.left, x2: right, y1: y(value), y2: y(value), class: "grid" }));
    parts.push(svg("text", { x: PAD.left - 6, y: y(value) + 4, "text-anchor": "end" }, text));
  }
  for (const ratio of ratios) {
    parts.push(svg("text", { x: x(ratio), y: height - 24, "text-anchor": "middle" }, percent(ratio)));
  }
  const middle = { x: (PAD.left + right) / 2, y: height - 6, "text-anchor": "middle" };
  parts.push(svg("text", middle, "keep ratio (log scale)"));
  if (measure === "probability") {
    parts.push(svg("line", { x1: PAD.left, x2: right, y1: y(data.sure), y2: y(data.sure), class: "whole" }));
  }
  return parts;
}

function curveParts({ x, y }, { method, points }, i) {
  const parts = [];
  if (method === "random" && measure === "probability") {
    const upper = points.map(({ ratio, high }) => [x(ratio), y(high)]);
    const lower = points.map(({ ratio, low }) => [x(ratio), y(low)]);
    const edge = [...upper, ...lower.reverse()].join(" ");
    parts.push(svg("polygon", { points: edge, style: "fill:" + methodColour("random") }));
  }
  const corners = points.map((point) => [x(point.ratio), y(point[measure])]);
  const curve = { points: corners.join(" "), "data-method": method, "data-points": points.length };
  const dot = ([cx, cy]) => svg("circle", { cx, cy, r: 3, style: "fill:" + methodColour(method) });
  return [...parts, svg("polyline", { ...curve, ...lineStyle(i) }), ...corners.map(dot)];
}

function drawTable() {
  const head = make("tr");
  const names = ["Line", "Method", "Holds from", "Answer at the smallest ratio"];
  head.append(...names.map((name) => make("th", name)));
  const rows = data.lines.map(({ method, name, holds, points }, i) => {
    const row = make("tr");
    const key = make("td");
    const picture = svg("svg", { viewBox: "0 0 34 10", "aria-hidden": "true" });
    row.dataset.method = method;
    picture.append(svg("line", { x1: 0, x2: 34, y1: 5, y2: 5, ...lineStyle(i) }));
    key.append(picture);
    const answer = percent(points[0].ratio) + ": " + (points[0].text || "(no words)");
    row.append(key, make("td", name), make("td", holds, "from"), make("td", answer));
    return row;
  });
  find("table").replaceChildren(head, ...rows);
}

// The chart as a file of its own: every colour written out, the legend below, the page's background behind.
function figureSource(chart, width, height) {
  const copy = chart.cloneNode(true);
  const originals = [chart, ...chart.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((node, i) => {
    const style = getComputedStyle(originals[i]);
    const written = SAVED_STYLES.map((name) => name + ":" + style.getPropertyValue(name));
    node.setAttribute("style", written.join(";"));
  });
  const page = getComputedStyle(document.body);
  const full = height + LEGEND_ROW * (data.lines.length + 1);
  copy.setAttribute("viewBox", "0 0 " + width + " " + full);
  copy.setAttribute("width", width);
  copy.setAttribute("height", full);
  copy.setAttribute("font-family", "sans-serif");
  copy.setAttribute("font-size", "12");
  copy.prepend(svg("rect", { width, height: full, fill: page.backgroundColor }));
  chart.querySelectorAll("polyline").forEach((curve, i) => {
    const y = height + LEGEND_ROW * i + 8;
    const { stroke, strokeDasharray } = getComputedStyle(curve);
    const line = { x1: PAD.left, x2: PAD.left + 34, y1: y, y2: y, "stroke-width": 2, stroke };
    copy.append(svg("line", { ...line, "stroke-dasharray": strokeDasharray }));
    copy.append(svg("text", { x: PAD.left + 44, y: y + 4, fill: page.color }, data.lines[i].name));
  });
  copy.append(svg("text", { x: PAD.left, y: full - 6, fill: page.color }, NOTES[measure]));
  return new XMLSerializer().serializeToString(copy);
}

function offerFile(link, text, type) {
  if (link.href) URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([text], { type }));
}

/** @type {HTMLButtonElement[]} */
const measureButtons = Array.from(element.querySelectorAll("[data-measure]"));
measureButtons.forEach((button) =>
  button.addEventListener("click", () => {
    measure = button.dataset.measure;
    measureButtons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    draw();
  }),
);
focusWhileScrolling(find(".wide"), "Where each method holds, table");
new ResizeObserver(draw).observe(find(".chart"));
watch("value", () => controls.onMessage(props.value));
controls.onMessage(props.value);
