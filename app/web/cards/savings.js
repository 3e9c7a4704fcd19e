// @ts-check
// What pruning saves. The estimates come as one row per percent of keep ratio, so they follow the slider without
// the server; the measured times belong to the last answer and say at which setting they were taken.
const HINT = "Point at or tap an underlined name for its definition.";
const times = (x) => x.toFixed(x < 9.95 ? 1 : 0) + "×";
const scaled = (x, units, step) => {
  let i = 0;
  while (x >= step && i < units.length - 1) {
    x /= step;
    i++;
  }
  return (x < 9.95 ? x.toFixed(1) : x.toFixed(0)) + " " + units[i];
};
const flops = (x) => scaled(x, ["FLOPs", "kFLOPs", "MFLOPs", "GFLOPs", "TFLOPs", "PFLOPs"], 1000);
const bytes = (x) => scaled(x, ["B", "KiB", "MiB", "GiB"], 1024);
const total = (list) => list.reduce((a, b) => a + b, 0);
let table = null,
  ratios = [],
  bars = [];

function define(name) {
  find(".definition").textContent = (table && table.definitions[name]) || HINT;
}

// The rows are made once for each table; a moved slider changes their widths and numbers, where they change.
function bar(label) {
  const row = make("span", "", "bar"),
    number = make("span", "");
  const pieces = table.stations.map((_, i) => {
    const piece = document.createElement("i");
    piece.style.background = "var(--rp-station-" + i + ")";
    return piece;
  });
  row.append(...pieces);
  return { nodes: [make("span", label), row, number], pieces, number };
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function size({ pieces, number }, parts, top) {
  parts.forEach((part, i) => {
    pieces[i].style.width = (100 * part) / top + "%";
  });
  write(number, total(parts) ? flops(total(parts)) : "–");
}

function draw() {
  if (!table) return;
  const keep = shared.knobs ? shared.knobs.keep : table.keep;
  // A choice by hand has no estimate before it is answered.
  const mine = shared.own === table.own ? table.mine : null;
  const row = shared.own ? mine : table.rows[Math.min(100, Math.max(1, Math.round(keep * 100))) - 1];
  ratios.forEach(([name, node]) => write(node, row ? times(row[name]) : "–"));
  write(find(".kv"), bytes(table.kv_full) + " → " + (row ? bytes(row.kv) : "–"));
  const none = table.full.map(() => 0),
    pruned = row ? row.flops : none;
  const top = Math.max(total(table.full), total(pruned));
  [table.full, pruned].forEach((parts, i) => size(bars[i], parts, top));
  find(".bars").setAttribute(
    "aria-label",
    "Estimated compute of the whole answer: " +
      flops(total(table.full)) +
      " with all tokens, " +
      (row ? flops(total(pruned)) + " pruned. " : "the pruned answer is not estimated yet. ") +
      table.stations.map((name, i) => name + " " + flops(table.full[i]) + " and " + flops(pruned[i])).join("; ") +
      ".",
  );
}

// Between a new picture and its first answers, what stands here is another picture's.
function older() {
  const { run } = window.rediprune || {},
    { picture } = props.value || {};
  find(".savings").dataset.state = run && picture && run.picture !== picture ? "stale" : "done";
}

function load() {
  const value = props.value;
  if (!value || !value.table) return;
  table = JSON.parse(value.table);
  // Unseen and unread, they keep the room that the longest of them needs.
  find(".defined").replaceChildren(
    find(".definition"),
    ...Object.values(table.definitions).map((words) => {
      const spare = make("span", words, "spare");
      spare.setAttribute("aria-hidden", "true");
      return spare;
    }),
  );
  ratios = [];
  find(".ratios").replaceChildren(
    ...table.ratios.map(([name, label]) => {
      const button = make("button", "", "ratio"),
        number = make("b", "");
      button.type = "button";
      button.dataset.def = name;
      button.append(number, make("span", label));
      ratios.push([name, number]);
      return button;
    }),
  );
  const key = make("span", "", "key");
  table.stations.forEach((name, i) => {
    const swatch = document.createElement("i"),
      item = make("span", "");
    swatch.style.background = "var(--rp-station-" + i + ")";
    item.append(swatch, name);
    key.append(item);
  });
  bars = ["All", "Pruned"].map(bar);
  find(".bars").replaceChildren(...bars.flatMap(({ nodes }) => nodes), key);
  find(".measured").textContent = value.measured || "–";
  older();
  if (!find(".definition").textContent) define("");
  draw();
}

for (const kind of ["pointerover", "focusin", "click"]) {
  document.addEventListener(kind, (e) => {
    const at = e.target.closest?.("[data-def]");
    if (at) define(at.dataset.def);
  });
}
window.addEventListener("rp:knobs", draw);
window.addEventListener("rp:own", draw);
window.addEventListener("rp:run", older);
watch("value", load);
load();
