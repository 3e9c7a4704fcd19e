// maths.js and selection.js: the kept tokens are those of the plain reference, for every run, weight and ratio.
import assert from "node:assert/strict";
import { test } from "node:test";
import { given, inside, page, range, run } from "./page.mjs";

for (const [name, { kept, picks, absent }] of Object.entries(given.runs)) {
  test(name + ": the same tokens are kept as by the reference", () => {
    const found = run(name);
    for (const [key, expected] of Object.entries(kept)) {
      const [w, keep] = key.split(" ").map(Number);
      assert.deepEqual(
        inside(found, page.computePicks(found, { keep, weight: given.weights[w] })),
        expected,
        "weight, keep: " + key,
      );
    }
  });

  test(name + ": one pick of a group is its first, and all of them are all that is there", () => {
    const found = run(name);
    const weight = given.weights[7];
    const least = page.computePicks(found, { keep: 0.001, weight });
    const most = page.computePicks(found, { keep: 1, weight });
    assert.deepEqual(
      inside(found, least),
      picks[7].map(([[first]]) => first).sort((a, b) => a - b),
    );
    assert.deepEqual(
      inside(found, most),
      range(found.all).filter((i) => !absent.includes(i)),
    );
    assert.equal(
      most.k.reduce((a, b) => a + b),
      found.total,
    );
  });

  test(name + ": step by step the set grows by the reference's next pick", () => {
    const found = run(name);
    for (const [w, groups] of Object.entries(picks))
      groups.forEach((mine, group) => {
        let before = inside(
          found,
          page.computePicks(found, { keep: 1, weight: given.weights[w] }, null, { group, count: 0 }),
        );
        mine.forEach(([who], i) => {
          const picked = page.computePicks(found, { keep: 1, weight: given.weights[w] }, null, { group, count: i + 1 });
          const now = inside(found, picked);
          assert.deepEqual(
            now.filter((token) => !before.includes(token)),
            [who],
          );
          before = now;
        });
      });
  });

  test(name + ": what is not there is never kept, and counted nowhere", () => {
    const found = run(name);
    for (const keep of given.keeps) {
      const made = page.computePicks(found, { keep, weight: 0.5 });
      for (const i of absent) assert.ok(!made.inside(i) && !page.isToken(found, made, i));
      const counted = range(found.frames.length).map((t) => page.countKept(found, made, t));
      assert.equal(
        counted.reduce((a, b) => a + b),
        inside(found, made).length,
      );
    }
  });
}

test("a choice by hand is kept as it is, whatever the sliders say", () => {
  const found = run("uneven");
  const own = new Uint8Array(found.all);
  own[3] = own[13] = 1;
  for (const keep of given.keeps)
    assert.deepEqual(inside(found, page.computePicks(found, { keep, weight: 0 }, own)), [3, 13]);
});

test("so many tokens are kept as Python keeps, halves going to the even neighbour", () => {
  for (const [n, keep, k] of given.counts) assert.equal(page.keptCount(n, keep), k, n + " tokens at " + keep);
  assert.deepEqual([0.5, 1.5, 2.5, 24.5, 2.4999, 2.5001].map(page.roundHalfEven), [0, 2, 2, 24, 2, 3]);
});

test("ranks undo orders, row by row, also where there are more tokens than two bytes can count", () => {
  assert.deepEqual([...page.ranksOf(Uint16Array.of(2, 0, 1, 1, 2, 0), 3)], [1, 2, 0, 2, 0, 1]);
  const n = 2 ** 16 + 5;
  const wide = Uint32Array.from({ length: n }, (_, i) => n - 1 - i);
  const ranks = page.ranksOf(wide, n);
  assert.equal(ranks[0], n - 1);
  assert.equal(ranks[n - 1], 0);
});

test("the nearest weight, the first of equally near ones", () => {
  assert.equal(page.nearestWeight([0, 0.25, 0.5], 0.3), 1);
  assert.equal(page.nearestWeight([0, 0.5], 0.25), 0);
  assert.deepEqual(
    given.weights.map((w) => page.nearestWeight(given.weights, w)),
    range(given.weights.length),
  );
});

test("the scale of relevance spans what has a place, NaN and the whole frame's token left out", () => {
  assert.deepEqual(page.finiteRange([3, NaN, -1, 2]), [-1, 3]);
  const found = run("whole");
  const values = range(found.all)
    .filter((i) => i % 13 < 12)
    .map((i) => found.relevance[i]);
  assert.deepEqual(found.relevanceRange, [Math.min(...values), Math.max(...values)]);
  const uneven = run("uneven");
  assert.ok(
    uneven.relevanceRange.every(Number.isFinite) && Number.isNaN(uneven.relevance[given.runs.uneven.absent[0]]),
  );
});
