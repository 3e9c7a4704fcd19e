// @ts-check
// The four views of one frame: what is painted on every patch, and the scale beside it. Loaded in front of explorer.js.
const VIEWS = ["kept", "heat", "order", "distance"];
const NUMBERED = 19; // CSS pixels that a patch needs for its pick number

/**
 * @typedef {object} ViewScale What a view shows of one frame, and the scale beside it.
 * @property {(i: number) => number} value of patch i; NaN where it has none
 * @property {number[]} range lowest and highest value
 * @property {string[]} ends what the ends of the scale say
 * @property {string} name what the middle of the scale says
 * @property {?(() => Float32Array)} histogramValues null where there is no histogram
 */

// What a view other than "kept" shows of frame t; `standIns` where the view is "distance".
/** @type {(view: string, run: Run, picks: Picks, t: number, standIns: ?StandIns) => ViewScale} */
function viewScale(view, run, picks, t, standIns) {
  const first = t * run.n;
  const digits = (value) => value.toFixed(2);
  if (view === "heat") {
    const { rows, cols } = run.frames[t];
    return {
      value: (i) => run.relevance[first + i],
      range: run.relevanceRange,
      ends: run.relevanceRange.map(digits),
      name: "relevance",
      histogramValues: () => run.relevance.subarray(first, first + rows * cols),
    };
  }
  if (view === "order") {
    const last = picks.own ? run.size : Math.max(1, ...picks.k);
    return {
      value: (i) => (picks.inside(first + i) ? -picks.rank[first + i] : NaN),
      range: [1 - last, 0],
      ends: ["pick " + last, "pick 1"],
      name: "order of selection",
      histogramValues: null,
    };
  }
  const [, high] = finiteRange(standIns.distance);
  const farthest = Number.isFinite(high) ? high : 0;
  return {
    value: (i) => standIns.distance[first + i],
    range: [0, farthest],
    ends: ["0.00", digits(farthest)],
    name: "distance to nearest kept",
    histogramValues: () => standIns.distance.subarray(first, first + run.n),
  };
}

function paintView(pen, layers, view, scale, inside, look) {
  if (view === "kept") return paintKept(pen, layers, inside);
  paintHeat(pen, layers, scale.value, scale.range, look.ramp, look.heat);
  if (view === "order") paintPatches(pen, layers, layers.dim, (i) => !inside(i));
  if (view === "distance") paintPatches(pen, layers, layers.bright, inside);
}

// Pick numbers on the kept patches, where they are large enough to be read; unit is device per CSS pixel.
function paintNumbers(pen, layers, number, unit, look) {
  pen.font = "600 " + 11 * unit + "px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineWidth = 3 * unit;
  pen.strokeStyle = look.edge;
  pen.fillStyle = look.outline;
  for (let i = 0; i < layers.n; i++) {
    const text = number(i);
    const [x, y, w, h] = patchRect(layers, i);
    if (!text || Math.min(w, h) < NUMBERED * unit) continue;
    pen.strokeText(text, x + w / 2, y + h / 2);
    pen.fillText(text, x + w / 2, y + h / 2);
  }
}

// In the distance view, what goes with patch `cell`: a kept one and all that it is nearest to, a dropped one and its
// nearest kept one. The rest is veiled.
function paintLinks(pen, layers, first, cell, standIns, unit, look) {
  const linked = linkedTokens(first + cell, standIns)
    .map((flat) => flat - first)
    .filter((i) => i >= 0 && i < layers.n);
  pen.fillStyle = "rgba(0, 0, 0, .55)";
  for (let i = 0; i < layers.n; i++) if (i !== cell && !linked.includes(i)) pen.fillRect(...patchRect(layers, i));
  const middle = (i) => {
    const [x, y, w, h] = patchRect(layers, i);
    return [x + w / 2, y + h / 2];
  };
  for (const [width, colour] of [
    [4 * unit, look.edge],
    [2 * unit, look.cursor],
  ]) {
    pen.lineWidth = width;
    pen.strokeStyle = colour;
    pen.beginPath();
    if (standIns.token[first + cell] >= 0 && linked.length) {
      pen.moveTo(...middle(cell));
      pen.lineTo(...middle(linked[0]));
    }
    for (const i of linked) pen.rect(...patchRect(layers, i));
    pen.stroke();
  }
}

// A line that is being drawn, through points in device pixels; strokes as in paintBorder.
function paintLine(pen, line, strokes) {
  for (const [width, colour] of strokes) {
    pen.lineWidth = width;
    pen.strokeStyle = colour;
    pen.beginPath();
    line.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.stroke();
  }
}

// Counts of the finite values in `bins` equal parts of [low, high]; the top edge belongs to the last.
/** @type {(values: Iterable<number>, range: number[], bins: number) => number[]} */
function histogram(values, [low, high], bins) {
  const counts = new Array(bins).fill(0);
  for (const v of values) {
    if (Number.isNaN(v)) continue;
    counts[high > low ? Math.min(bins - 1, Math.max(0, Math.floor(((v - low) / (high - low)) * bins))) : bins >> 1]++;
  }
  return counts;
}

// Bars over the scale, all in the quiet colour, those of kept tokens (same bins) in front in theirs. The canvas's size
// and colours are asked for once: to ask lays out the page, and this runs at every move of a slider.
const barCanvases = new WeakMap();
function paintBars(canvas, all, kept) {
  const unit = window.devicePixelRatio || 1;
  const pen = canvas.getContext("2d");
  const look = document.body.className;
  if (barCanvases.get(canvas)?.look !== look) {
    const style = getComputedStyle(canvas);
    const colours = ["--rp-dropped", "--rp-kept"].map((name) => style.getPropertyValue(name));
    barCanvases.set(canvas, { look, colours });
    canvas.width = Math.round(canvas.clientWidth * unit);
    canvas.height = Math.round(canvas.clientHeight * unit);
  }
  const { colours } = barCanvases.get(canvas);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  const top = Math.max(1, ...all);
  const step = canvas.width / all.length;
  for (const [i, counts] of [all, kept].entries()) {
    pen.fillStyle = colours[i];
    counts.forEach((count, i) => {
      const height = (count / top) * canvas.height;
      pen.fillRect(Math.round(i * step), canvas.height - height, Math.max(1, Math.round(step) - unit), height);
    });
  }
}
