// views.js and words.js: the scale of each view, its histogram, and what is said of a token.
import assert from "node:assert/strict";
import { test } from "node:test";
import { given, inside, page, range, run } from "./page.mjs";

const half = (found, own = null) => page.picksOf(found, { keep: 0.5, weight: given.weights[7] }, own);

test("relevance has one scale for all frames, and bars of the frame that is shown", () => {
  const found = run("whole"),
    picks = half(found),
    scale = page.scaleOf("heat", found, picks, 1, null);
  assert.equal(scale.value(3), found.relevance[13 + 3]);
  assert.deepEqual(scale.span, found.span);
  assert.deepEqual([...scale.bars()], [...found.relevance.subarray(13, 25)]); // without the token of the whole
  assert.deepEqual(
    scale.ends,
    found.span.map((x) => x.toFixed(2)),
  );
});

test("in the order the first pick is brightest, and what is dropped has no colour", () => {
  const found = run("plain"),
    picks = half(found),
    scale = page.scaleOf("order", found, picks, 0, null);
  const order = given.runs.plain.picks[7][0].map(([who]) => who);
  assert.deepEqual(scale.ends, ["pick 12", "pick 1"]);
  assert.equal(scale.span[1] - scale.value(order[0]), 0);
  assert.equal(scale.value(order[11]), scale.span[0]);
  assert.ok(Number.isNaN(scale.value(order[12])));
});

test("a choice by hand is coloured by the rule's order over all tokens", () => {
  const found = run("plain"),
    own = new Uint8Array(found.all).fill(1);
  const scale = page.scaleOf("order", found, half(found, own), 0, null);
  assert.deepEqual(scale.span, [1 - 24, 0]);
  assert.deepEqual(
    range(24)
      .map(scale.value)
      .sort((a, b) => b - a),
    range(24).map((i) => -i),
  );
});

test("the scale of distances ends at the farthest, and is 0 where nothing was dropped", () => {
  const found = run("plain"),
    picks = half(found),
    near = page.absorbed(found, picks, 0);
  const scale = page.scaleOf("distance", found, picks, 0, near);
  assert.equal(scale.span[1], Math.max(...[...near.far].filter((x) => !Number.isNaN(x))));
  const all = page.picksOf(found, { keep: 1, weight: 0 });
  assert.deepEqual(page.scaleOf("distance", found, all, 0, page.absorbed(found, all, 0)).span, [0, 0]);
});

test("a kept token and those it stands for name each other", () => {
  const found = run("uneven"),
    picks = half(found);
  for (const t of range(3)) {
    const near = page.absorbed(found, picks, t),
      mine = range(found.n).map((i) => t * found.n + i);
    const kept = mine.filter(picks.inside),
      dropped = mine.filter((i) => near.who[i] >= 0);
    assert.deepEqual(
      kept.flatMap((i) => page.bondOf(i, near)).sort((a, b) => a - b),
      dropped,
    );
    for (const i of dropped) assert.deepEqual(page.bondOf(i, near), [near.who[i]]);
  }
});

test("a histogram counts every number once: the top edge in the last bin, NaN nowhere", () => {
  assert.deepEqual(page.histogram([0, 0.1, 0.5, 1, NaN], [0, 1], 4), [2, 0, 1, 1]);
  assert.deepEqual(page.histogram([2, 2], [2, 2], 4), [0, 0, 2, 0]);
  assert.deepEqual(page.histogram([], [0, 1], 2), [0, 0]);
});

test("of a patch is said where it lies, what became of it, and how relevant it is", () => {
  const found = run("plain"),
    picks = half(found),
    order = given.runs.plain.picks[7][0].map(([who]) => who);
  const place = (i) => "Row " + (Math.floor(i / 6) + 1) + ", column " + ((i % 6) + 1) + ": ";
  const of = (i) => " Relevance " + found.relevance[i].toFixed(3) + ".";
  assert.equal(
    page.patchInWords(found, picks, 0, order[0], null),
    place(order[0]) + "kept, pick 1 of 12." + of(order[0]),
  );
  assert.equal(
    page.patchInWords(found, picks, 0, order[12], null),
    place(order[12]) + "dropped (would be pick 13)." + of(order[12]),
  );
  const early = page.picksOf(found, { keep: 0.5, weight: given.weights[7] }, null, { group: 0, count: 1 });
  assert.match(page.patchInWords(found, early, 0, order[1], null), /: later pick 2 of 12\./);
  const own = new Uint8Array(found.all);
  own[order[12]] = 1;
  assert.match(
    page.patchInWords(found, half(found, own), 0, order[12], null),
    /kept by you \(by the rule would be pick 13\)/,
  );
  assert.match(
    page.patchInWords(found, half(found, own), 0, order[0], null),
    /dropped by you \(by the rule pick 1 of 12\)/,
  );
});

test("in the distance view the stand-in is named, or how many a kept token stands for", () => {
  const found = run("plain"),
    picks = half(found),
    near = page.absorbed(found, picks, 0);
  const dropped = near.who.findIndex((i) => i >= 0),
    kept = near.who[dropped],
    count = near.who.filter((i) => i === kept).length;
  assert.match(
    page.patchInWords(found, picks, 0, dropped, near),
    new RegExp("Its stand-in is row .*, at distance " + near.far[dropped].toFixed(3)),
  );
  assert.match(
    page.patchInWords(found, picks, 0, kept, near),
    new RegExp("itself and " + count + " dropped token" + (count === 1 ? "\\." : "s\\.")),
  );
  assert.match(page.patchInWords({ ...found, between: null }, picks, 0, kept, near), /being fetched/);
  assert.match(
    page.patchInWords({ ...found, between: null, refused: "Too many." }, picks, 0, kept, near),
    /Too many\./,
  );
});

test("padding is called padding, a token of the whole is called so, and frames have their names", () => {
  const uneven = run("uneven"),
    absent = given.runs.uneven.absent[0];
  assert.match(
    page.patchInWords(uneven, half(uneven), 1, absent - uneven.n, null),
    /^Frame 2 of 3 \(1\.0 s\), row .*: no token here, only padding\.$/,
  );
  const whole = run("whole");
  assert.equal(page.placeName(whole, 12, 0), "the token of the whole");
  assert.equal(page.placeName(whole, 25, 0), "frame 2, the token of the whole");
  assert.equal(page.placeName(whole, 13 + 5, 0), "frame 2, row 2, column 2");
  assert.equal(page.placeName(whole, 5, 0), "row 2, column 2");
  assert.equal(page.budgetInWords(uneven), "in 3 frames, each its share");
  assert.equal(page.budgetInWords(run("shared")), "in 3 frames, shared");
  assert.equal(inside(whole, half(whole)).filter((i) => i === 12).length, Number(half(whole).inside(12)));
});
