// @ts-check
// Pure functions of the explorer: no DOM, no Gradio. Loaded in front of explorer.js.

// base64 -> typed array (little-endian on both sides).
function decode(text, Type) {
  return new Type(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer);
}

// Python's round: halves go to the even neighbour. 24.5 -> 24.
function roundHalfEven(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

// rediprune.kept_count, digit for digit.
function keptCount(n, keep) {
  return Math.min(n, Math.max(1, roundHalfEven(n * keep)));
}

// Orders [W, N] (token at each pick) -> ranks [W, N] (pick of each token, 0 first).
function ranksOf(orders, n) {
  const ranks = new orders.constructor(orders.length); // as wide as the orders: two bytes each, or four
  for (let i = 0; i < orders.length; i++) ranks[i - (i % n) + orders[i]] = i % n;
  return ranks;
}

// Index of the weight that lies nearest to w.
function nearestWeight(weights, w) {
  let best = 0;
  weights.forEach((x, i) => {
    if (Math.abs(x - w) < Math.abs(weights[best] - w)) best = i;
  });
  return best;
}

// [low, high] of the finite numbers.
function finiteRange(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}
