// views.js and labels.js: the scale of each view, its histogram, and what is said of a token.
import assert from "node:assert/strict";
import { test } from "node:test";
import { given, inside, page, range, run } from "./page.mjs";

const half = (found, own = null) => page.computePicks(found, { keep: 0.5, weight: given.weights[7] }, own);

test("relevance has one scale for all frames, and bars of the frame that is shown", () => {
  const found = run("whole");
  const picks = half(found);
  const scale = page.viewScale("heat", found, picks, 1, null);
  assert.equal(scale.value(3), found.relevance[13 + 3]);
  assert.deepEqual(scale.range, found.relevanceRange);
  assert.deepEqual([...scale.histogramValues()], [...found.relevance.subarray(13, 25)]); // without the token of the whole
  assert.deepEqual(
    scale.ends,
    found.relevanceRange.map((x) => x.toFixed(2)),
  );
});

test("in the order the first pick is brightest, and what is dropped has no colour", () => {
  const found = run("plain");
  const picks = half(found);
  const scale = page.viewScale("order", found, picks, 0, null);
  const order = given.runs.plain.picks[7][0].map(([who]) => who);
  assert.deepEqual(scale.ends, ["pick 12", "pick 1"]);
  assert.equal(scale.range[1] - scale.value(order[0]), 0);
  assert.equal(scale.value(order[11]), scale.range[0]);
  assert.ok(Number.isNaN(scale.value(order[12])));
});

test("a choice by hand is coloured by the method's order over all tokens", () => {
  const found = run("plain");
  const own = new Uint8Array(found.all).fill(1);
  const scale = page.viewScale("order", found, half(found, own), 0, null);
  assert.deepEqual(scale.range, [1 - 24, 0]);
  assert.deepEqual(
    range(24)
      .map(scale.value)
      .sort((a, b) => b - a),
    range(24).map((i) => -i),
  );
});

test("the scale of distances ends at the farthest, and is 0 where nothing was dropped", () => {
  const found = run("plain");
  const picks = half(found);
  const standIns = page.findStandIns(found, picks, 0);
  const scale = page.viewScale("distance", found, picks, 0, standIns);
  assert.equal(scale.range[1], Math.max(...[...standIns.distance].filter((x) => !Number.isNaN(x))));
  const all = page.computePicks(found, { keep: 1, weight: 0 });
  assert.deepEqual(page.viewScale("distance", found, all, 0, page.findStandIns(found, all, 0)).range, [0, 0]);
});

test("a kept token and the dropped ones nearest to it name each other", () => {
  const found = run("uneven");
  const picks = half(found);
  for (const t of range(3)) {
    const standIns = page.findStandIns(found, picks, t);
    const mine = range(found.n).map((i) => t * found.n + i);
    const kept = mine.filter(picks.inside);
    const dropped = mine.filter((i) => standIns.token[i] >= 0);
    assert.deepEqual(
      kept.flatMap((i) => page.linkedTokens(i, standIns)).sort((a, b) => a - b),
      dropped,
    );
    for (const i of dropped) assert.deepEqual(page.linkedTokens(i, standIns), [standIns.token[i]]);
  }
});

test("a histogram counts every number once: the top edge in the last bin, NaN nowhere", () => {
  assert.deepEqual(page.histogram([0, 0.1, 0.5, 1, NaN], [0, 1], 4), [2, 0, 1, 1]);
  assert.deepEqual(page.histogram([2, 2], [2, 2], 4), [0, 0, 2, 0]);
  assert.deepEqual(page.histogram([], [0, 1], 2), [0, 0]);
});

test("of a patch is said where it lies, what became of it, and how relevant it is", () => {
  const found = run("plain");
  const picks = half(found);
  const order = given.runs.plain.picks[7][0].map(([who]) => who);
  const place = (i) => "Row " + (Math.floor(i / 6) + 1) + ", column " + ((i % 6) + 1) + ": ";
  const of = (i) => " Relevance " + found.relevance[i].toFixed(3) + ".";
  assert.equal(
    page.describePatch(found, picks, 0, order[0], null),
    place(order[0]) + "kept, pick 1 of 12." + of(order[0]),
  );
  assert.equal(
    page.describePatch(found, picks, 0, order[12], null),
    place(order[12]) + "dropped (would be pick 13)." + of(order[12]),
  );
  const early = page.computePicks(found, { keep: 0.5, weight: given.weights[7] }, null, { group: 0, count: 1 });
  assert.match(page.describePatch(found, early, 0, order[1], null), /: later pick 2 of 12\./);
  const own = new Uint8Array(found.all);
  own[order[12]] = 1;
  assert.match(
    page.describePatch(found, half(found, own), 0, order[12], null),
    /kept by you \(the method: would be pick 13\)/,
  );
  assert.match(
    page.describePatch(found, half(found, own), 0, order[0], null),
    /dropped by you \(the method: pick 1 of 12\)/,
  );
});

test("in the distance view the nearest kept token is named, or how many dropped tokens go with a kept one", () => {
  const found = run("plain");
  const picks = half(found);
  const standIns = page.findStandIns(found, picks, 0);
  const dropped = standIns.token.findIndex((i) => i >= 0);
  const kept = standIns.token[dropped];
  const count = standIns.token.filter((i) => i === kept).length;
  assert.match(
    page.describePatch(found, picks, 0, dropped, standIns),
    new RegExp("The nearest kept token is row .*, at distance " + standIns.distance[dropped].toFixed(3)),
  );
  assert.match(
    page.describePatch(found, picks, 0, kept, standIns),
    new RegExp("the nearest kept token of " + count + " dropped token" + (count === 1 ? "\\." : "s\\.")),
  );
  assert.match(page.describePatch({ ...found, between: null }, picks, 0, kept, standIns), /being fetched/);
  assert.match(
    page.describePatch({ ...found, between: null, refused: "Too many." }, picks, 0, kept, standIns),
    /Too many\./,
  );
});

test("padding is called padding, a whole-frame token is called so, and frames have their names", () => {
  const uneven = run("uneven");
  const absent = given.runs.uneven.absent[0];
  assert.match(
    page.describePatch(uneven, half(uneven), 1, absent - uneven.n, null),
    /^Frame 2 of 3 \(1\.0 s\), row .*: no token here, only padding\.$/,
  );
  const whole = run("whole");
  assert.equal(page.placeName(whole, 12, 0), "the whole-frame token");
  assert.equal(page.placeName(whole, 25, 0), "frame 2, the whole-frame token");
  assert.equal(page.placeName(whole, 13 + 5, 0), "frame 2, row 2, column 2");
  assert.equal(page.placeName(whole, 5, 0), "row 2, column 2");
  assert.equal(page.describeBudget(uneven), "in 3 frames, each its share");
  assert.equal(page.describeBudget(run("shared")), "in 3 frames, shared");
  assert.equal(inside(whole, half(whole)).filter((i) => i === 12).length, Number(half(whole).inside(12)));
});
