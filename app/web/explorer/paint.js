// @ts-check
// One frame on a canvas: ready copies of its picture, and where its patches lie. No state, no Gradio.

/**
 * @typedef {object} Layers A frame on a canvas of side * side device pixels: ready copies, and where its patches lie.
 * @property {number} side
 * @property {HTMLCanvasElement} bright the picture as it is
 * @property {HTMLCanvasElement} grey without its colours
 * @property {HTMLCanvasElement} dim grey and darkened
 * @property {number[]} visible left, top, width and height of what the model reads
 * @property {number[][]} x from and to of every column
 * @property {number[][]} y from and to of every row
 * @property {number} cols
 * @property {number} n number of patches
 * @property {boolean} cropped whether the model does not read all of the picture
 */

// `side` is the canvas in device pixels; `frame` has box (in pixels of its picture), and x and y: from and to of every
// column and of every row.
/** @returns {Layers} */
function makeLayers(picture, frame, side, dimming) {
  const scale = side / Math.max(picture.naturalWidth, picture.naturalHeight);
  const size = [picture.naturalWidth * scale, picture.naturalHeight * scale];
  const offset = size.map((s) => (side - s) / 2);
  const layer = (paint) => {
    const copy = document.createElement("canvas");
    copy.width = copy.height = side;
    paint(copy.getContext("2d"));
    return copy;
  };
  const bright = layer((p) => p.drawImage(picture, ...offset, ...size));
  const [left, top, right, bottom] = frame.box.map((b, i) => offset[i % 2] + b * scale);
  const visible = [left, top, right - left, bottom - top];
  const darkened = (amount) =>
    layer((p) => {
      p.globalAlpha = 0.3; // outside the box lies what this frame does not see: faded, neither kept nor dropped
      p.drawImage(bright, 0, 0);
      p.globalAlpha = 1;
      p.beginPath();
      p.rect(...visible);
      p.clip();
      p.drawImage(bright, 0, 0);
      p.globalCompositeOperation = "saturation"; // blending, because canvas filters are not in every browser
      p.fillStyle = "#000";
      p.fillRect(...visible);
      p.globalCompositeOperation = "source-over";
      p.fillStyle = "rgba(0, 0, 0, " + amount + ")";
      p.fillRect(...visible);
    });
  const spans = (edges, from) =>
    Array.from({ length: edges.length / 2 }, (_, i) =>
      [edges[2 * i], edges[2 * i + 1]].map((e) => Math.round(from + e * scale)),
    );
  const x = spans(frame.x, offset[0]);
  const y = spans(frame.y, offset[1]);
  return {
    side,
    bright,
    grey: darkened(0),
    dim: darkened(dimming),
    visible,
    x,
    y,
    cols: x.length,
    n: x.length * y.length,
    cropped: size[0] - visible[2] >= 1 || size[1] - visible[3] >= 1,
  };
}

// Patch i, as [x, y, width, height].
function patchRect({ x, y, cols }, i) {
  const [left, right] = x[i % cols];
  const [top, bottom] = y[Math.floor(i / cols)];
  return [left, top, right - left, bottom - top];
}

// What was dropped grey and dark, what was kept as it is.
function paintKept(pen, layers, inside) {
  pen.drawImage(layers.dim, 0, 0);
  paintPatches(pen, layers, layers.bright, inside);
}

// Some patches, as they are in one of the layers.
function paintPatches(pen, layers, layer, inside) {
  pen.save();
  pen.beginPath();
  for (let i = 0; i < layers.n; i++) if (inside(i)) pen.rect(...patchRect(layers, i));
  pen.clip();
  pen.drawImage(layer, 0, 0);
  pen.restore();
}

// Values between low and high on a ramp of [r, g, b]; a patch whose value is NaN stays grey.
function paintHeat(pen, layers, value, [low, high], ramp, alpha) {
  const top = ramp.length - 1;
  pen.drawImage(layers.grey, 0, 0);
  pen.globalAlpha = alpha;
  for (let i = 0; i < layers.n; i++) {
    const at = high > low ? ((value(i) - low) / (high - low)) * top : top / 2;
    if (Number.isNaN(at)) continue;
    const a = ramp[Math.floor(at)];
    const b = ramp[Math.ceil(at)];
    const t = at % 1;
    pen.fillStyle = "rgb(" + a.map((v, c) => Math.round(v + (b[c] - v) * t)).join() + ")";
    pen.fillRect(...patchRect(layers, i));
  }
  pen.globalAlpha = 1;
}

// The border between kept and dropped patches: a light line on a dark one, `strokes` as [width, colour]. Where a kept
// token stands for the whole frame, it is also a line around all that the frame sees.
function paintBorder(pen, layers, inside, strokes, whole) {
  const path = new Path2D();
  const { cols, n } = layers;
  const line = (open, ...p) => {
    if (open) {
      path.moveTo(p[0], p[1]);
      path.lineTo(p[2], p[3]);
    }
  };
  for (let i = 0; i < n; i++) {
    if (!inside(i)) continue;
    const [x, y, w, h] = patchRect(layers, i);
    const c = i % cols;
    line(c === 0 || !inside(i - 1), x, y, x, y + h);
    line(c === cols - 1 || !inside(i + 1), x + w, y, x + w, y + h);
    line(i < cols || !inside(i - cols), x, y, x + w, y);
    line(i >= n - cols || !inside(i + cols), x, y + h, x + w, y + h);
  }
  if (whole) {
    const [x, y, w, h] = layers.visible;
    const half = strokes[0][0] / 2;
    path.rect(x + half, y + half, w - 2 * half, h - 2 * half);
  }
  pen.lineCap = "square";
  for (const [width, colour] of strokes) {
    pen.lineWidth = width;
    pen.strokeStyle = colour;
    pen.stroke(path);
  }
}
