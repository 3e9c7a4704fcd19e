// @ts-check
// What the server sent once per (picture or clip, question, method, query, budget), unpacked, and what the knobs or
// the visitor's own hand choose of it. No DOM. A token's flat index is frame * n + token, as in the library; those
// of a frame that have no place (frame.whole) come behind its patches. A group is what one budget is spent on.
const METHODS_BY_SCORE = ["relevance", "cls-attention"]; // a score that does not change as picks are made

function runOf(value) {
  const frames = JSON.parse(value.frames),
    counts = [...value.counts];
  for (const frame of frames) Object.assign(frame, { cols: frame.x.length / 2, rows: frame.y.length / 2 });
  const floats = (text) => (text ? decode(text, Float32Array) : null);
  const size = (frames.length * value.n) / counts.length; // tokens of a group: of one frame, or of all of them
  const order = decode(value.orders, value.wide ? Uint32Array : Uint16Array);
  const run = {
    ...value,
    frames,
    counts,
    size,
    order,
    weights: [...value.weights],
    ranks: ranksOf(order, size),
    relevance: floats(value.relevance),
    distance: floats(value.pick_distance),
    score: floats(value.pick_score),
    between: floats(value.between),
    all: frames.length * value.n,
    total: counts.reduce((a, b) => a + b, 0),
    whole: frames.reduce((sum, frame) => sum + frame.whole, 0),
  };
  run.span = run.relevance ? span(relevanceOfPatches(run)) : [0, 0];
  return run;
}

// Of every frame; that of tokens of no place is no part of the scale.
function relevanceOfPatches({ frames, n, relevance }) {
  return frames.flatMap(({ rows, cols }, t) => [...relevance.subarray(t * n, t * n + rows * cols)]);
}

const groupOf = (run, flat) => Math.floor(flat / run.size);

// The tokens that are kept: inside(flat), and rank, the pick number of every token by the rule, 0 first. `own` is a
// Uint8Array over all tokens where the visitor chose, `step` {group, count} where only its first picks are shown.
function picksOf(run, knobs, own = null, step = null) {
  const w = nearest(run.weights, knobs.weight),
    rank = run.ranks.subarray(w * run.all, (w + 1) * run.all);
  const k = run.counts.map((count) => keptCount(count, knobs.keep)),
    limit = [...k];
  if (step) limit[step.group] = Math.min(step.count, k[step.group]);
  return {
    rank,
    k,
    w,
    own,
    step,
    inside: own ? (flat) => own[flat] === 1 : (flat) => rank[flat] < limit[groupOf(run, flat)],
  };
}

// Whether there is a token: padding has none, though it has a number.
const present = (run, picks, flat) => picks.rank[flat] < run.counts[groupOf(run, flat)];

// How many tokens of frame t are kept, those of no place included.
function countKept(run, picks, t) {
  let count = 0;
  for (let i = t * run.n; i < (t + 1) * run.n; i++) count += picks.inside(i);
  return count;
}

function frameName(run, t) {
  const { label } = run.frames[t];
  return (run.clip ? "Frame " : "View ") + (t + 1) + " of " + run.frames.length + (label ? " (" + label + ")" : "");
}

// "row 3, column 5", or of which frame the token is all; the frame is said where it is not `at`.
function placeName(run, flat, at) {
  const t = Math.floor(flat / run.n),
    i = flat % run.n,
    { rows, cols } = run.frames[t];
  const place =
    i < rows * cols ? "row " + (Math.floor(i / cols) + 1) + ", column " + ((i % cols) + 1) : "the token of the whole";
  return (t === at || run.frames.length === 1 ? "" : (run.clip ? "frame " : "view ") + (t + 1) + ", ") + place;
}
