// @ts-check
// The four views of one frame: what is painted on every patch, and the scale beside it. Loaded in front of explorer.js.
const VIEWS = ["kept", "heat", "order", "distance"];
const NUMBERED = 19; // CSS pixels that a patch needs for its pick number

// What a view shows of frame t: value(i) of patch i (NaN: none), its span, what the ends and the middle of the scale
// say, and the values of the histogram. `near` is absorbed(...) where the view is "distance".
function scaleOf(view, run, picks, t, near) {
  const first = t * run.n,
    x = (value) => value.toFixed(2);
  if (view === "heat")
    return {
      value: (i) => run.relevance[first + i],
      span: run.span,
      ends: run.span.map(x),
      of: "relevance",
      bars: relevanceOfFrame,
    };
  if (view === "order") {
    const top = Math.max(1, ...picks.k),
      last = picks.own ? run.size : top;
    return {
      value: (i) => (picks.inside(first + i) ? -picks.rank[first + i] : NaN),
      span: [1 - last, 0],
      ends: ["pick " + last, "pick 1"],
      of: "order of picking",
      bars: null,
    };
  }
  const [, high] = span(near.far),
    far = Number.isFinite(high) ? high : 0;
  return {
    value: (i) => near.far[first + i],
    span: [0, far],
    ends: ["0.00", x(far)],
    of: "distance to its stand-in",
    bars: () => near.far.subarray(first, first + run.n),
  };
  function relevanceOfFrame() {
    return run.relevance.subarray(first, first + run.frames[t].rows * run.frames[t].cols);
  }
}

function paintView(pen, layers, view, scale, inside, look) {
  if (view === "kept") return paintKept(pen, layers, inside);
  paintHeat(pen, layers, scale.value, scale.span, look.ramp, look.heat);
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
    const said = number(i),
      [x, y, w, h] = patchRect(layers, i);
    if (!said || Math.min(w, h) < NUMBERED * unit) continue;
    pen.strokeText(said, x + w / 2, y + h / 2);
    pen.fillText(said, x + w / 2, y + h / 2);
  }
}

// In the distance view, what goes with patch `cell`: a kept one and all that it stands for, a dropped one and its
// stand-in. The rest is veiled.
function paintBond(pen, layers, first, cell, near, unit, look) {
  const mine = bondOf(first + cell, near)
    .map((flat) => flat - first)
    .filter((i) => i >= 0 && i < layers.n);
  pen.fillStyle = "rgba(0, 0, 0, .55)";
  for (let i = 0; i < layers.n; i++) if (i !== cell && !mine.includes(i)) pen.fillRect(...patchRect(layers, i));
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
    if (near.who[first + cell] >= 0 && mine.length) {
      pen.moveTo(...middle(cell));
      pen.lineTo(...middle(mine[0]));
    }
    for (const i of mine) pen.rect(...patchRect(layers, i));
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

// Flat indices of the dropped tokens that a kept one stands for, or of a dropped one's stand-in.
function bondOf(flat, near) {
  if (near.who[flat] >= 0) return [near.who[flat]];
  const found = [];
  near.who.forEach((who, i) => {
    if (who === flat) found.push(i);
  });
  return found;
}

// Counts of the finite values in `bins` equal parts of [low, high]; the top edge belongs to the last.
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
const measured = new WeakMap();
function paintBars(canvas, all, kept) {
  const unit = window.devicePixelRatio || 1,
    pen = canvas.getContext("2d"),
    look = document.body.className;
  if (measured.get(canvas)?.look !== look) {
    const style = getComputedStyle(canvas),
      colours = ["--rp-dropped", "--rp-kept"].map((name) => style.getPropertyValue(name));
    measured.set(canvas, { look, colours });
    canvas.width = Math.round(canvas.clientWidth * unit);
    canvas.height = Math.round(canvas.clientHeight * unit);
  }
  const { colours } = measured.get(canvas);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  const top = Math.max(1, ...all),
    step = canvas.width / all.length;
  for (const [i, counts] of [all, kept].entries()) {
    pen.fillStyle = colours[i];
    counts.forEach((count, i) => {
      const height = (count / top) * canvas.height;
      pen.fillRect(Math.round(i * step), canvas.height - height, Math.max(1, Math.round(step) - unit), height);
    });
  }
}
