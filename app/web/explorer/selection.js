// @ts-check
// What the server sent once per (picture or clip, question, method, query, budget), unpacked, and what the sliders or
// the visitor's own hand choose of it. No DOM. A token's flat index is frame * n + token, as in the library; those
// of a frame that have no place (frame.whole) come behind its patches. A group is what one budget is spent on.

/**
 * @typedef {object} Frame One frame of a clip, or one tile of a picture.
 * @property {number} picture index of the picture in which its patches lie
 * @property {number[]} box left, top, right and bottom of what the model reads, in pixels of that picture
 * @property {number[]} x from, to, from, to, ... of every column, in pixels
 * @property {number[]} y the same of every row
 * @property {number} rows
 * @property {number} cols
 * @property {number} whole tokens that stand for the whole frame and have no place in it
 * @property {number} second when it is shown
 * @property {string} label
 */

/**
 * @typedef {object} Run The message of app/views/explorer.py, unpacked. W weights, T frames of n tokens.
 * @property {Frame[]} frames
 * @property {number} n tokens of a frame, padding included
 * @property {number} all T * n
 * @property {number} total tokens that are there, padding left out
 * @property {number} whole tokens of no place, of all frames
 * @property {number[]} counts tokens of each group
 * @property {number} size tokens of a group, padding included
 * @property {number[]} weights
 * @property {Uint16Array | Uint32Array} order [W, T * n] token at each pick, within its group
 * @property {Uint16Array | Uint32Array} ranks [W, T * n] pick of each token, 0 first
 * @property {?Float32Array} relevance [T * n], NaN where there is no token
 * @property {number[]} relevanceRange lowest and highest relevance of all patches
 * @property {?Float32Array} distance of each pick to the nearest earlier one, by pick
 * @property {?Float32Array} score of each pick
 * @property {?Float32Array} between cosine distances of every pair of a group, the triangle above the diagonal
 * @property {string} [refused] why there are no distances
 * @property {Setting} setting
 * @property {boolean} clip
 * @property {string} about
 * @property {string} why
 */

/**
 * @typedef {object} Picks The tokens that are kept.
 * @property {Uint16Array | Uint32Array} rank pick number of every token by the method, 0 first
 * @property {number[]} k tokens kept of each group by the method
 * @property {number} w index of the weight
 * @property {?Uint8Array} own 1 at every token chosen by hand; null where the method chooses
 * @property {?{ group: number, count: number }} step where only the first picks of a group are shown
 * @property {(flat: number) => boolean} inside
 */

const METHODS_BY_SCORE = ["relevance", "cls-attention"]; // a score that does not change as picks are made

/** @returns {Run} */
function unpackRun(message) {
  const frames = JSON.parse(message.frames);
  const counts = [...message.counts];
  for (const frame of frames) Object.assign(frame, { cols: frame.x.length / 2, rows: frame.y.length / 2 });
  const floats = (text) => (text ? decode(text, Float32Array) : null);
  const all = frames.length * message.n;
  const size = all / counts.length; // tokens of a group: of one frame, or of all of them
  const order = decode(message.orders, message.wide ? Uint32Array : Uint16Array);
  const run = {
    ...message,
    frames,
    counts,
    size,
    all,
    order,
    weights: [...message.weights],
    ranks: ranksOf(order, size),
    relevance: floats(message.relevance),
    distance: floats(message.pick_distance),
    score: floats(message.pick_score),
    between: floats(message.between),
    total: counts.reduce((sum, count) => sum + count, 0),
    whole: frames.reduce((sum, frame) => sum + frame.whole, 0),
  };
  run.relevanceRange = run.relevance ? finiteRange(relevanceOfPatches(run)) : [0, 0];
  return run;
}

// Of every frame; that of tokens of no place is no part of the scale.
function relevanceOfPatches({ frames, n, relevance }) {
  return frames.flatMap(({ rows, cols }, t) => [...relevance.subarray(t * n, t * n + rows * cols)]);
}

/** @type {(run: Run, flat: number) => number} */
const groupOf = (run, flat) => Math.floor(flat / run.size);

/**
 * @param {Run} run
 * @param {SliderValues} sliders
 * @param {?Uint8Array} own
 * @param {?{ group: number, count: number }} step
 * @returns {Picks}
 */
function computePicks(run, sliders, own = null, step = null) {
  const w = nearestWeight(run.weights, sliders.weight);
  const rank = run.ranks.subarray(w * run.all, (w + 1) * run.all);
  const k = run.counts.map((count) => keptCount(count, sliders.keep));
  const limit = [...k];
  if (step) limit[step.group] = Math.min(step.count, k[step.group]);
  const byHand = (flat) => own[flat] === 1;
  const byMethod = (flat) => rank[flat] < limit[groupOf(run, flat)];
  return { rank, k, w, own, step, inside: own ? byHand : byMethod };
}

// Whether there is a token: padding has none, though it has a number.
/** @type {(run: Run, picks: Picks, flat: number) => boolean} */
const isToken = (run, picks, flat) => picks.rank[flat] < run.counts[groupOf(run, flat)];

// How many tokens of frame t are kept, those of no place included.
/** @type {(run: Run, picks: Picks, t: number) => number} */
function countKept(run, picks, t) {
  let count = 0;
  for (let i = t * run.n; i < (t + 1) * run.n; i++) if (picks.inside(i)) count++;
  return count;
}

/** @type {(run: Run, t: number) => string} */
function frameName(run, t) {
  const { label } = run.frames[t];
  const name = (run.clip ? "Frame " : "View ") + (t + 1) + " of " + run.frames.length;
  return label ? name + " (" + label + ")" : name;
}

// "row 3, column 5", or that the token stands for its whole frame; the frame is named where it is not `at`.
/** @type {(run: Run, flat: number, at: number) => string} */
function placeName(run, flat, at) {
  const t = Math.floor(flat / run.n);
  const i = flat % run.n;
  const { rows, cols } = run.frames[t];
  let place = "the whole-frame token";
  if (i < rows * cols) place = "row " + (Math.floor(i / cols) + 1) + ", column " + ((i % cols) + 1);
  if (t === at || run.frames.length === 1) return place;
  return (run.clip ? "frame " : "view ") + (t + 1) + ", " + place;
}
