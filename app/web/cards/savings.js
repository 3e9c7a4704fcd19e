// @ts-check
// What pruning saves. The estimates come as one row per percent of keep ratio, so they follow the slider without
// the server; the measured times belong to the last answer and say at which setting they were taken.
const HINT = "Point at or tap an underlined name for its definition.";
const FLOPS = ["FLOPs", "kFLOPs", "MFLOPs", "GFLOPs", "TFLOPs", "PFLOPs"];
const BYTES = ["B", "KiB", "MiB", "GiB"];
let table = null; // the estimates (app/views/cards.py)
let ratioParts = [];
let bars = [];

const timesText = (x) => x.toFixed(x < 9.95 ? 1 : 0) + "×";
function withUnit(x, units, step) {
  let i = 0;
  while (x >= step && i < units.length - 1) {
    x /= step;
    i++;
  }
  return x.toFixed(x < 9.95 ? 1 : 0) + " " + units[i];
}
const flopsText = (x) => withUnit(x, FLOPS, 1000);
const bytesText = (x) => withUnit(x, BYTES, 1024);
const sum = (list) => list.reduce((a, b) => a + b, 0);
const stationColour = (i) => "var(--rp-station-" + i + ")";

function showDefinition(name) {
  find(".definition").textContent = (table && table.definitions[name]) || HINT;
}

// The rows are made once for each table; a moved slider changes their widths and numbers, where they change.
function makeBar(label) {
  const row = make("span", "", "bar");
  const number = make("span", "");
  const pieces = table.stations.map((_, i) => {
    const piece = make("i");
    piece.style.background = stationColour(i);
    return piece;
  });
  row.append(...pieces);
  return { nodes: [make("span", label), row, number], pieces, number };
}

function resizeBar({ pieces, number }, parts, longest) {
  parts.forEach((part, i) => {
    pieces[i].style.width = (100 * part) / longest + "%";
  });
  setText(number, sum(parts) ? flopsText(sum(parts)) : "–");
}

// The estimates at the slider; null for a choice by hand that is not answered yet.
function currentRow() {
  const { ownTokens, sliders } = pageState;
  if (ownTokens) return ownTokens === table.own ? table.mine : null;
  const percent = Math.round((sliders ? sliders.keep : table.keep) * 100);
  return table.rows[Math.min(100, Math.max(1, percent)) - 1];
}

function draw() {
  if (!table) return;
  const row = currentRow();
  ratioParts.forEach(([name, node]) => setText(node, row ? timesText(row[name]) : "–"));
  setText(find(".kv"), bytesText(table.kv_full) + " → " + (row ? bytesText(row.kv) : "–"));
  const pruned = row ? row.flops : table.full.map(() => 0);
  const longest = Math.max(sum(table.full), sum(pruned));
  [table.full, pruned].forEach((parts, i) => resizeBar(bars[i], parts, longest));
  find(".bars").setAttribute("aria-label", describeBars(row, pruned));
}

function describeBars(row, pruned) {
  const total = row ? flopsText(sum(pruned)) + " pruned. " : "the pruned answer is not estimated yet. ";
  const station = (name, i) => name + " " + flopsText(table.full[i]) + " and " + flopsText(pruned[i]);
  const full = "Estimated compute of the whole answer: " + flopsText(sum(table.full)) + " with all tokens, ";
  return full + total + table.stations.map(station).join("; ") + ".";
}

// Between a new picture and its first answers, what stands here is another picture's.
function markStale() {
  const { run } = pageState;
  const { picture } = props.value || {};
  find(".savings").dataset.state = run && picture && run.picture !== picture ? "stale" : "done";
}

function onValueChange() {
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
  ratioParts = [];
  find(".ratios").replaceChildren(
    ...table.ratios.map(([name, label]) => {
      const button = make("button", "", "ratio");
      const number = make("b", "");
      button.type = "button";
      button.dataset.def = name;
      button.append(number, make("span", label));
      ratioParts.push([name, number]);
      return button;
    }),
  );
  const key = make("span", "", "key");
  table.stations.forEach((name, i) => {
    const swatch = make("i");
    const item = make("span", "");
    swatch.style.background = stationColour(i);
    item.append(swatch, name);
    key.append(item);
  });
  bars = ["All", "Pruned"].map(makeBar);
  find(".bars").replaceChildren(...bars.flatMap(({ nodes }) => nodes), key);
  find(".measured").textContent = value.measured || "–";
  markStale();
  if (!find(".definition").textContent) showDefinition("");
  draw();
}

for (const kind of ["pointerover", "focusin", "click"]) {
  document.addEventListener(kind, (event) => {
    const { target } = event;
    const named = target instanceof Element && /** @type {?HTMLElement} */ (target.closest("[data-def]"));
    if (named) showDefinition(named.dataset.def);
  });
}
window.addEventListener("rp:knobs", draw);
window.addEventListener("rp:own", draw);
window.addEventListener("rp:run", markStale);
watch("value", onValueChange);
onValueChange();
