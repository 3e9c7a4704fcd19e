// @ts-check
// Distances between tokens, and what follows from them: which kept token is nearest to a dropped one, and why a pick
// was made. Pure functions of a run (selection.js); every number is float32 and the library's own.

/**
 * @typedef {object} StandIns Of every token: its nearest kept one.
 * @property {Int32Array} token [T * n] flat index; -1: itself kept, no token, or nothing kept to compare with
 * @property {Float32Array} distance [T * n] cosine distance to it; NaN likewise
 *
 * @typedef {{ token: number, score?: number, relevance?: number, distance?: number }} Candidate
 *
 * @typedef {object} ExplainedPick One pick, and why it was made. What cannot be known in the browser is null.
 * @property {number} token flat index
 * @property {number} count which pick it is, 1 first
 * @property {number} total picks of its group
 * @property {number} alpha
 * @property {?number} relevance
 * @property {?number} distance to the nearest earlier pick
 * @property {?number} score
 * @property {?number} nearestEarlier flat index of the nearest earlier pick
 * @property {?Candidate} runnerUp the best of the tokens that were not taken
 */

// Cosine distance of two tokens of one group; run.between holds each group's triangle above the diagonal.
/** @type {(run: Run, a: number, b: number) => number} */
function cosineDistance(run, a, b) {
  if (a === b) return 0;
  const m = run.size;
  const i = Math.min(a, b) % m;
  const j = Math.max(a, b) % m;
  return run.between[groupOf(run, a) * ((m * (m - 1)) / 2) + (i * (2 * m - i - 1)) / 2 + j - i - 1];
}

// The token of `among` (flat indices, not empty) that lies nearest to `flat`, the first of equal ones, and how far.
/** @type {(run: Run, flat: number, among: number[]) => { token: number, distance: number }} */
function nearestToken(run, flat, among) {
  let token = among[0];
  let distance = cosineDistance(run, flat, token);
  for (let i = 1; i < among.length; i++) {
    const d = cosineDistance(run, flat, among[i]);
    if (d < distance) [token, distance] = [among[i], d];
  }
  return { token, distance };
}

// The nearest kept token of every token in the groups that frame t takes part in.
/** @type {(run: Run, picks: Picks, t: number) => StandIns} */
function findStandIns(run, picks, t) {
  const token = new Int32Array(run.all).fill(-1);
  const distance = new Float32Array(run.all).fill(NaN);
  if (!run.between) return { token, distance };
  const start = groupOf(run, t * run.n) * run.size;
  const kept = [];
  for (let i = start; i < start + run.size; i++) if (picks.inside(i)) kept.push(i);
  for (let i = start; kept.length && i < start + run.size; i++) {
    if (picks.inside(i) || !isToken(run, picks, i)) continue;
    const nearest = nearestToken(run, i, kept);
    token[i] = nearest.token;
    distance[i] = nearest.distance;
  }
  return { token, distance };
}

// Flat indices of the dropped tokens that a kept one is nearest to, or of a dropped one's nearest kept token.
/** @type {(flat: number, standIns: StandIns) => number[]} */
function linkedTokens(flat, standIns) {
  if (standIns.token[flat] >= 0) return [standIns.token[flat]];
  const linked = [];
  standIns.token.forEach((token, i) => {
    if (token === flat) linked.push(i);
  });
  return linked;
}

// Pick number `count` (1 first) of a group by the method, at weight index w.
/** @type {(run: Run, w: number, group: number, count: number) => ExplainedPick} */
function pickAt(run, w, group, count) {
  const base = group * run.size;
  const index = base + count - 1;
  const { method } = run.setting;
  const start = w * run.all + base;
  const ordered = Array.from(run.order.subarray(start, start + run.counts[group]), (i) => base + i);
  const token = ordered[count - 1];
  const earlier = ordered.slice(0, count - 1);
  const waiting = ordered.slice(count);
  // Evidence is [W, T * n] where it depends on the weight, else [T * n].
  const evidenceAt = (evidence, i) => (evidence ? evidence[(evidence.length > run.all ? w * run.all : 0) + i] : null);
  const alpha = method === "rediprune" ? alphaFromWeight(run.weights[w]) : 0;
  /** @type {ExplainedPick} */
  const pick = {
    token,
    count,
    total: ordered.length,
    alpha,
    relevance: run.relevance ? run.relevance[token] : null,
    distance: count > 1 ? evidenceAt(run.distance, index) : null,
    score: evidenceAt(run.score, index),
    nearestEarlier: null,
    runnerUp: null,
  };
  const greedy = method === "rediprune" || method === "diversity"; // distances before the projector, as sent
  if (greedy && run.between && earlier.length) pick.nearestEarlier = nearestToken(run, token, earlier).token;
  if (!waiting.length) return pick;
  if (METHODS_BY_SCORE.includes(method)) {
    pick.runnerUp = { token: waiting[0], score: evidenceAt(run.score, index + 1) };
  }
  if (method === "rediprune" && (count === 1 || alpha === Infinity)) {
    pick.runnerUp = highestScore(waiting, (i) => ({ score: run.relevance[i], relevance: run.relevance[i] }));
  } else if (greedy && run.between && count > 1) {
    pick.runnerUp = highestScore(waiting, (i) => {
      const { distance } = nearestToken(run, i, earlier);
      const relevance = run.relevance ? run.relevance[i] : 0;
      return { distance, relevance, score: Math.fround(Math.fround(alpha * relevance) + distance) };
    });
  }
  return pick;
}

// rediprune.alpha_from_weight, in float32 as the library multiplies with it.
const alphaFromWeight = (weight) => (weight === 1 ? Infinity : Math.fround(weight / (1 - weight)));

// The token of the highest score, of equal ones the lowest index.
/** @returns {Candidate} */
function highestScore(tokens, measure) {
  let best = null;
  for (const token of tokens) {
    const candidate = { token, ...measure(token) };
    const tied = best && candidate.score === best.score;
    if (!best || candidate.score > best.score || (tied && token < best.token)) best = candidate;
  }
  return best;
}
