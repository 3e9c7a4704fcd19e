// @ts-check
// How far the answer bears pruning: a curve for each method, drawn point by point as the server computes them. The
// chart is an SVG of its own, saved with its colours written out; texts go in by textContent.
const drawn = (tag, attributes, text) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
};
const DASHES = ["", "7 3", "2 3", "10 3 2 3", "5 2", "12 4", "1 4", "8 3 1 3 1 3", "3 3", "14 3 3 3", "4 6"];
const NOTES = {
  probability:
    "How likely the unpruned answer is from the kept tokens. Dotted: from all tokens. Shaded: from the worst to the best random draw.",
  kl: "How differently the two models guess the first word: the Kullback-Leibler divergence (KL), in nats, units of the natural logarithm. 0 is full agreement.",
};
const percent = (x) => +(100 * x).toFixed(1) + "%";
const PAD = { left: 48, right: 14, top: 10, bottom: 42 };
let data = null,
  measure = "probability";

const plan = () => {
  const runs = shared.runs?.() ?? 0; // compare.js may not be there yet
  const more = runs && find(".weights").checked && shared.methods().includes("rediprune") ? props.more : 0;
  return { ratios: [...props.ratios], runs: runs + more };
};
find(".weights").addEventListener("change", () => window.dispatchEvent(new CustomEvent("rp:methods")));
const drive = series(element, shared, trigger, plan, (news) => {
  data = JSON.parse(news);
  find(".body").hidden = false;
  draw();
  table();
  save(find(".csv"), data.csv, "text/csv");
});
shared.failed_sweep = drive.failed;

const dash = (i) => ({
  "stroke-dasharray": DASHES[i % DASHES.length],
  style: "stroke:var(--rp-method-" + data.lines[i].method + ")",
});

function draw() {
  const chart = find(".chart"),
    width = chart.clientWidth,
    height = chart.clientHeight;
  if (!data || !width) return;
  const ratios = [...props.ratios]; // all from the start, so that nothing moves while the curves grow
  const low = Math.log(ratios[0]),
    high = Math.max(Math.log(ratios.at(-1)), low + 0.1);
  const most = measure === "kl" ? Math.max(0.01, ...data.lines.flatMap((line) => line.points.map((p) => p.kl))) : 1;
  const x = (ratio) => PAD.left + ((Math.log(ratio) - low) / (high - low)) * (width - PAD.left - PAD.right);
  const y = (value) => height - PAD.bottom - (value / most) * (height - PAD.top - PAD.bottom);
  chart.setAttribute("viewBox", "0 0 " + width + " " + height);
  chart.setAttribute("aria-label", NOTES[measure] + " The table below names where each answer holds.");
  const parts = [];
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    const at = y(part * most);
    parts.push(drawn("line", { x1: PAD.left, x2: width - PAD.right, y1: at, y2: at, class: "grid" }));
    parts.push(
      drawn(
        "text",
        { x: PAD.left - 6, y: at + 4, "text-anchor": "end" },
        measure === "kl" ? (part * most).toFixed(2) : percent(part),
      ),
    );
  }
  for (const ratio of ratios)
    parts.push(drawn("text", { x: x(ratio), y: height - 24, "text-anchor": "middle" }, percent(ratio)));
  parts.push(
    drawn(
      "text",
      { x: (PAD.left + width - PAD.right) / 2, y: height - 6, "text-anchor": "middle" },
      "keep ratio (log scale)",
    ),
  );
  if (measure === "probability")
    parts.push(
      drawn("line", { x1: PAD.left, x2: width - PAD.right, y1: y(data.sure), y2: y(data.sure), class: "whole" }),
    );
  data.lines.forEach(({ method, points }, i) => {
    if (method === "random" && measure === "probability") {
      const edge = [
        ...points.map((p) => [x(p.ratio), y(p.high)]),
        ...points.map((p) => [x(p.ratio), y(p.low)]).reverse(),
      ];
      parts.push(drawn("polygon", { points: edge.join(" "), style: "fill:var(--rp-method-random)" }));
    }
    parts.push(
      drawn("polyline", {
        points: points.map((p) => [x(p.ratio), y(p[measure])]).join(" "),
        "data-method": method,
        "data-points": points.length,
        ...dash(i),
      }),
    );
    parts.push(
      ...points.map((p) =>
        drawn("circle", { cx: x(p.ratio), cy: y(p[measure]), r: 3, style: "fill:var(--rp-method-" + method + ")" }),
      ),
    );
  });
  chart.replaceChildren(...parts);
  find(".note").textContent = NOTES[measure];
  save(find(".svg"), figure(chart, width, height), "image/svg+xml");
}

function table() {
  const head = make("tr");
  head.append(...["Line", "Method", "Holds from", "Answer at the smallest ratio"].map((words) => make("th", words)));
  find("table").replaceChildren(
    head,
    ...data.lines.map(({ method, name, holds, points }, i) => {
      const row = make("tr"),
        key = make("td"),
        picture = drawn("svg", { viewBox: "0 0 34 10", "aria-hidden": "true" });
      row.dataset.method = method;
      picture.append(drawn("line", { x1: 0, x2: 34, y1: 5, y2: 5, ...dash(i) }));
      key.append(picture);
      row.append(
        key,
        make("td", name),
        make("td", holds, "from"),
        make("td", percent(points[0].ratio) + ": " + (points[0].text || "(no words)")),
      );
      return row;
    }),
  );
}

// The chart as a file of its own: every colour written out, the legend below, the page's background behind.
function figure(chart, width, height) {
  const row = 18,
    copy = chart.cloneNode(true),
    all = [chart, ...chart.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((node, i) => {
    const style = getComputedStyle(all[i]);
    node.setAttribute(
      "style",
      ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray"]
        .map((name) => name + ":" + style.getPropertyValue(name))
        .join(";"),
    );
  });
  const page = getComputedStyle(document.body),
    full = height + row * (data.lines.length + 1),
    ink = page.color;
  copy.setAttribute("viewBox", "0 0 " + width + " " + full);
  copy.setAttribute("width", width);
  copy.setAttribute("height", full);
  copy.setAttribute("font-family", "sans-serif");
  copy.setAttribute("font-size", "12");
  copy.prepend(drawn("rect", { width, height: full, fill: page.backgroundColor }));
  chart.querySelectorAll("polyline").forEach((curve, i) => {
    const at = height + row * i + 8,
      style = getComputedStyle(curve);
    copy.append(
      drawn("line", {
        x1: PAD.left,
        x2: PAD.left + 34,
        y1: at,
        y2: at,
        "stroke-width": 2,
        stroke: style.stroke,
        "stroke-dasharray": style.strokeDasharray,
      }),
    );
    copy.append(drawn("text", { x: PAD.left + 44, y: at + 4, fill: ink }, data.lines[i].name));
  });
  copy.append(drawn("text", { x: PAD.left, y: full - 6, fill: ink }, NOTES[measure]));
  return new XMLSerializer().serializeToString(copy);
}

function save(link, text, type) {
  if (link.href) URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([text], { type }));
}

element.querySelectorAll("[data-measure]").forEach((button) =>
  button.addEventListener("click", () => {
    measure = button.dataset.measure;
    element
      .querySelectorAll("[data-measure]")
      .forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    draw();
  }),
);
reachable(find(".wide"), "Where each method holds, table");
new ResizeObserver(draw).observe(find(".chart"));
watch("value", () => drive.load(props.value));
drive.load(props.value);
