// @ts-check
// What the explorer says of a token and of a pick, as sentences. No DOM.

// What became of a token, by the method or by the visitor's own hand.
/** @type {(run: Run, picks: Picks, flat: number) => string} */
function describeFate(run, picks, flat) {
  const pick = picks.rank[flat] + 1;
  const kept = picks.k[groupOf(run, flat)];
  const byMethod = pick <= kept ? "pick " + pick + " of " + kept : "would be pick " + pick;
  let fate = "dropped (" + byMethod + ")";
  if (picks.own) fate = (picks.inside(flat) ? "kept by you" : "dropped by you") + " (the method: " + byMethod + ")";
  else if (pick <= kept) fate = (picks.inside(flat) ? "kept, " : "later ") + byMethod;
  return fate + (run.relevance ? ". Relevance " + run.relevance[flat].toFixed(3) + "." : ".");
}

/** @type {(run: Run, picks: Picks, flat: number) => string} */
const describeWholeFrameToken = (run, picks, flat) =>
  "1 token stands for the whole frame: " + describeFate(run, picks, flat);

// Of patch `cell` of frame t; `standIns` where the view shows distances, else null.
/** @type {(run: Run, picks: Picks, t: number, cell: number, standIns: ?StandIns) => string} */
function describePatch(run, picks, t, cell, standIns) {
  const flat = t * run.n + cell;
  const { cols } = run.frames[t];
  const row = run.frames.length > 1 ? frameName(run, t) + ", row " : "Row ";
  const place = row + (Math.floor(cell / cols) + 1) + ", column " + ((cell % cols) + 1) + ": ";
  if (!isToken(run, picks, flat)) return place + "no token here, only padding.";
  return place + (standIns ? describeStandIn(run, picks, flat, t, standIns) : describeFate(run, picks, flat));
}

/** @type {(run: Run, picks: Picks, flat: number, t: number, standIns: StandIns) => string} */
function describeStandIn(run, picks, flat, t, standIns) {
  if (!run.between) return run.refused || "the distances are being fetched.";
  const nearest = standIns.token[flat];
  if (nearest >= 0) {
    const distance = standIns.distance[flat].toFixed(3);
    return "dropped. The nearest kept token is " + placeName(run, nearest, t) + ", at distance " + distance + ".";
  }
  const count = linkedTokens(flat, standIns).length;
  if (!count) return "kept. No dropped token is nearest to it.";
  return "kept. It is the nearest kept token of " + count + " dropped token" + (count === 1 ? "." : "s.");
}

// The line under the number of kept tokens.
/** @type {(run: Run) => string} */
function describeBudget(run) {
  const frames = "in " + run.frames.length + (run.clip ? " frames, " : " views, ");
  return frames + (run.setting.budget === "shared" ? "shared" : "each its share");
}

// A pick as lines: which token, by what score, and what it was compared with. place(flat) names a token.
/** @type {(run: Run, pick: ExplainedPick, kept: any, place: (flat: number) => string) => string[]} */
function describePick(run, pick, kept, place) {
  const lines = ["Pick " + pick.count + " of " + kept + ": " + place(pick.token), describeScore(run, pick)];
  if (pick.nearestEarlier !== null) lines.push("Nearest earlier pick: " + place(pick.nearestEarlier) + ".");
  const runnerUp = describeRunnerUp(run, pick, place);
  return runnerUp ? [...lines, runnerUp] : lines;
}

/** @type {(run: Run, pick: ExplainedPick) => string} */
function describeScore(run, pick) {
  const digits = (value) => value.toFixed(3);
  const { method } = run.setting;
  if (method === "rediprune") {
    if (pick.count === 1) return "Score: relevance " + digits(pick.score) + ", the highest of all.";
    if (pick.alpha === Infinity) return "Score: relevance " + digits(pick.relevance) + " alone.";
    const relevance = pick.alpha.toFixed(2) + " × relevance " + digits(pick.relevance);
    return "Distance " + digits(pick.distance) + " + " + relevance + " = score " + digits(pick.score) + ".";
  }
  if (method === "diversity") {
    const name = pick.count === 1 ? "Farthest from its nearest neighbour: " : "Score: its distance ";
    return name + digits(pick.score) + ".";
  }
  if (pick.score === null) return "This method measures no score.";
  if (pick.distance === null) return "Score " + digits(pick.score) + ".";
  return "Score " + digits(pick.score) + ", distance " + digits(pick.distance) + " as the language model sees it.";
}

/** @type {(run: Run, pick: ExplainedPick, place: (flat: number) => string) => string} */
function describeRunnerUp(run, pick, place) {
  const digits = (value) => value.toFixed(3);
  const { runnerUp } = pick;
  if (runnerUp) {
    let score = digits(runnerUp.score);
    if (runnerUp.distance !== undefined) {
      const relevance = pick.alpha.toFixed(2) + " × " + digits(runnerUp.relevance);
      score = digits(runnerUp.distance) + (pick.alpha ? " + " + relevance + " = " + score : "");
    }
    return "Runner-up: " + place(runnerUp.token) + ", " + score + ".";
  }
  if (pick.score === null) return "";
  const greedy = ["rediprune", "diversity"].includes(run.setting.method);
  if (greedy && pick.count > 1 && !run.between) return run.refused || "Runner-up: its distances are being fetched.";
  if (pick.count === pick.total) return "No token is left.";
  return "No runner-up is known for this method.";
}
