// @ts-check
// What the explorer says of one token, as sentences. No DOM.

// What became of a token, by the rule or by the visitor's own hand.
function fate(run, picks, flat) {
  const pick = picks.rank[flat] + 1,
    of = picks.k[groupOf(run, flat)];
  const byRule = pick <= of ? "pick " + pick + " of " + of : "would be pick " + pick;
  const what = picks.own
    ? (picks.inside(flat) ? "kept by you" : "dropped by you") + " (by the rule " + byRule + ")"
    : pick <= of
      ? (picks.inside(flat) ? "kept, " : "later ") + byRule
      : "dropped (" + byRule + ")";
  return what + (run.relevance ? ". Relevance " + run.relevance[flat].toFixed(3) + "." : ".");
}

const wholeInWords = (run, picks, flat) => "1 token stands for the whole frame: " + fate(run, picks, flat);

// Of patch `cell` of frame t; `near` is absorbed(...) where the view shows distances, else null.
function patchInWords(run, picks, t, cell, near) {
  const flat = t * run.n + cell,
    { cols } = run.frames[t],
    several = run.frames.length > 1;
  const where =
    (several ? frameName(run, t) + ", row " : "Row ") +
    (Math.floor(cell / cols) + 1) +
    ", column " +
    ((cell % cols) + 1) +
    ": ";
  if (!present(run, picks, flat)) return where + "no token here, only padding.";
  return where + (near ? bondInWords(run, picks, flat, t, near) : fate(run, picks, flat));
}

function bondInWords(run, picks, flat, t, near) {
  if (!run.between) return run.refused || "the distances are being fetched.";
  if (near.who[flat] >= 0)
    return (
      "dropped. Its stand-in is " +
      placeName(run, near.who[flat], t) +
      ", at distance " +
      near.far[flat].toFixed(3) +
      "."
    );
  const count = bondOf(flat, near).length;
  if (!count) return "kept. No dropped token is nearest to it.";
  return "kept. It stands for itself and " + count + " dropped token" + (count === 1 ? "." : "s.");
}

// The line under the number of kept tokens.
function budgetInWords(run) {
  return (
    "in " +
    run.frames.length +
    (run.clip ? " frames, " : " views, ") +
    (run.setting.budget === "shared" ? "shared" : "each its share")
  );
}
