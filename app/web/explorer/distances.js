// @ts-check
// Distances between tokens, and what follows from them: who stands for whom, and why a pick was made. Pure functions
// of a run (run.js); every number is float32 and the library's own.

// Cosine distance of two tokens of one group; run.between holds each group's triangle above the diagonal.
function apart(run, a, b) {
  if (a === b) return 0;
  const m = run.size,
    i = Math.min(a, b) % m,
    j = Math.max(a, b) % m;
  return run.between[groupOf(run, a) * ((m * (m - 1)) / 2) + (i * (2 * m - i - 1)) / 2 + j - i - 1];
}

// The token of `among` (flat indices, not empty) that lies nearest to `flat`, the first of equal ones, and how far.
function nearestAmong(run, flat, among) {
  let who = among[0],
    far = apart(run, flat, who);
  for (let i = 1; i < among.length; i++) {
    const d = apart(run, flat, among[i]);
    if (d < far) [who, far] = [among[i], d];
  }
  return { who, far };
}

// Of every token of the groups that frame t takes part in: its nearest kept token, `who` (-1: itself kept, not
// present, or nothing kept to compare with), and how `far` it is, NaN likewise. Arrays over all tokens.
function absorbed(run, picks, t) {
  const who = new Int32Array(run.all).fill(-1),
    far = new Float32Array(run.all).fill(NaN);
  if (!run.between) return { who, far };
  const start = groupOf(run, t * run.n) * run.size,
    kept = [];
  for (let i = start; i < start + run.size; i++) if (picks.inside(i)) kept.push(i);
  for (let i = start; kept.length && i < start + run.size; i++) {
    if (picks.inside(i) || !present(run, picks, i)) continue;
    const found = nearestAmong(run, i, kept);
    who[i] = found.who;
    far[i] = found.far;
  }
  return { who, far };
}

// Pick number `count` (1 first) of a group by the rule: {who, count, of, relevance, distance, score, alpha, from, runner}. `from` is
// the nearest earlier pick, `runner` the best of those not taken; null where this cannot be known here.
function pickAt(run, w, group, count) {
  const base = group * run.size,
    here = base + count - 1,
    method = run.setting.method;
  const taken = Array.from(
    run.order.subarray(w * run.all + base, w * run.all + base + run.counts[group]),
    (i) => base + i,
  );
  const who = taken[count - 1],
    earlier = taken.slice(0, count - 1),
    waiting = taken.slice(count);
  const measured = (evidence, i) => (evidence ? evidence[(evidence.length > run.all ? w * run.all : 0) + i] : null);
  const alpha = method === "rediprune" ? alphaOf(run.weights[w]) : 0;
  const found = {
    who,
    count,
    of: taken.length,
    alpha,
    relevance: run.relevance ? run.relevance[who] : null,
    distance: count > 1 ? measured(run.distance, here) : null,
    score: measured(run.score, here),
    from: null,
    runner: null,
  };
  const greedy = method === "rediprune" || method === "diversity"; // distances before the projector, as sent
  if (greedy && run.between && earlier.length) found.from = nearestAmong(run, who, earlier).who;
  if (!waiting.length) return found;
  if (METHODS_BY_SCORE.includes(method)) found.runner = { who: waiting[0], score: measured(run.score, here + 1) };
  if (method === "rediprune" && (count === 1 || alpha === Infinity))
    found.runner = best(waiting, (i) => ({ score: run.relevance[i], relevance: run.relevance[i] }));
  else if (greedy && run.between && count > 1) {
    found.runner = best(waiting, (i) => {
      const { far } = nearestAmong(run, i, earlier),
        relevance = run.relevance ? run.relevance[i] : 0;
      return { distance: far, relevance, score: Math.fround(Math.fround(alpha * relevance) + far) };
    });
  }
  return found;
}

// rediprune.alpha_from_weight, in float32 as the library multiplies with it.
const alphaOf = (weight) => (weight === 1 ? Infinity : Math.fround(weight / (1 - weight)));

// The highest score, of equal ones the lowest index.
function best(tokens, measure) {
  let top = null;
  for (const who of tokens) {
    const made = measure(who);
    if (!top || made.score > top.score || (made.score === top.score && who < top.who)) top = { who, ...made };
  }
  return top;
}

// A pick in words, as lines; place(flat) names a token.
function pickInWords(run, made, total, place) {
  const x = (value) => value.toFixed(3),
    { method } = run.setting,
    runner = made.runner;
  const sum = (m) =>
    made.alpha === Infinity
      ? "relevance " + x(m.relevance) + " alone decides"
      : x(m.distance) + (made.alpha ? " + " + made.alpha.toFixed(2) + " × " + x(m.relevance) + " = " + x(m.score) : "");
  const lines = ["Pick " + made.count + " of " + total + ": " + place(made.who)];
  if (method === "rediprune" && made.count === 1)
    lines.push("Score: relevance " + x(made.score) + ", the highest of all.");
  else if (method === "rediprune" && made.alpha === Infinity)
    lines.push("Score: relevance " + x(made.relevance) + " alone.");
  else if (method === "rediprune")
    lines.push(
      "Distance " +
        x(made.distance) +
        " + " +
        made.alpha.toFixed(2) +
        " × relevance " +
        x(made.relevance) +
        " = score " +
        x(made.score) +
        ".",
    );
  else if (method === "diversity")
    lines.push(
      (made.count === 1 ? "Farthest from its nearest neighbour: " : "Score: its distance ") + x(made.score) + ".",
    );
  else if (made.score !== null)
    lines.push(
      "Score " +
        x(made.score) +
        (made.distance !== null ? ", distance " + x(made.distance) + " behind the projector." : "."),
    );
  else lines.push("This method measures no score.");
  if (made.from !== null) lines.push("Nearest earlier pick: " + place(made.from) + ".");
  const unknown = "No runner-up is known for this method.",
    fetched = run.refused || "Runner-up: its distances are being fetched.";
  if (runner)
    lines.push(
      "Runner-up: " + place(runner.who) + ", " + (runner.distance !== undefined ? sum(runner) : x(runner.score)) + ".",
    );
  else if (made.score !== null)
    lines.push(
      ["rediprune", "diversity"].includes(method) && made.count > 1 && !run.between
        ? fetched
        : made.count === made.of
          ? "No token is left."
          : unknown,
    );
  return lines;
}
