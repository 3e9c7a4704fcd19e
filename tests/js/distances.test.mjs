// distances.js: why a pick was made, and which kept token is nearest, against the reference's own numbers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { given, inside, page, range, run } from "./page.mjs";

const isClose = (a, b) => assert.ok(Math.abs(a - b) < 1e-5, a + " is not " + b);

for (const [name, { picks }] of Object.entries(given.runs)) {
  test(name + ": every pick has the reference's distance and score, and a runner-up that is no better", () => {
    const found = run(name);
    for (const [w, groups] of Object.entries(picks))
      groups.forEach((mine, group) =>
        mine.forEach(([who, distance, score], i) => {
          const made = page.pickAt(found, Number(w), group, i + 1);
          assert.equal(made.token, who);
          assert.equal(made.total, mine.length);
          isClose(made.score, score);
          if (i) isClose(made.distance, distance);
          else assert.equal(made.nearestEarlier, null);
          assert.equal(made.runnerUp === null, i + 1 === mine.length);
          if (made.runnerUp) assert.ok(made.runnerUp.score <= made.score + 1e-6);
        }),
      );
  });

  test(name + ": every dropped token goes with its nearest kept one", () => {
    const found = run(name);
    for (const keep of given.keeps) {
      const made = page.computePicks(found, { keep, weight: given.weights[7] });
      const kept = inside(found, made);
      range(found.frames.length).forEach((t) => {
        const { token, distance } = page.findStandIns(found, made, t);
        const group = page.groupOf(found, t * found.n);
        for (let i = t * found.n; i < (t + 1) * found.n; i++) {
          if (kept.includes(i) || !page.isToken(found, made, i)) {
            assert.deepEqual([token[i], distance[i]], [-1, NaN]);
            continue;
          }
          const all = kept.filter((k) => page.groupOf(found, k) === group).map((k) => page.cosineDistance(found, i, k));
          assert.equal(distance[i], Math.min(...all));
          assert.equal(page.cosineDistance(found, i, token[i]), distance[i]);
        }
      });
    }
  });
}

test("of tied scores the runner-up is the lowest index", () => {
  const found = run("ties");
  const made = page.pickAt(found, given.weights.length - 1, 0, 1);
  assert.deepEqual([made.token, made.runnerUp.token], [0, 2]); // tokens 0, 2, 6 and 8 are equal
  assert.equal(made.runnerUp.score, made.score);
});

test("distances know no order, and a token has none to itself", () => {
  const found = run("plain");
  assert.equal(page.cosineDistance(found, 5, 5), 0);
  for (let a = 0; a < found.all; a++)
    for (let b = 0; b < a; b++) assert.equal(page.cosineDistance(found, a, b), page.cosineDistance(found, b, a));
});

test("without distances nothing is made up", () => {
  const found = { ...run("plain"), between: null };
  const made = page.pickAt(found, 7, 0, 3);
  assert.deepEqual([made.nearestEarlier, made.runnerUp], [null, null]);
  const { token, distance } = page.findStandIns(found, page.computePicks(found, { keep: 0.5, weight: 0.5 }), 0);
  assert.ok(token.every((i) => i === -1) && distance.every(Number.isNaN));
  const said = page.describePick(found, made, 12, String).at(-1);
  assert.match(said, /being fetched/);
});

test("alpha is Python's, and the weight 1 is relevance alone", () => {
  assert.deepEqual([0, 1 / 3, 0.5, 1].map(page.alphaFromWeight), [0, 0.5, 1, Infinity]);
  const lines = page.describePick(run("plain"), page.pickAt(run("plain"), given.weights.length - 1, 0, 2), 24, String);
  assert.match(lines[1], /relevance .* alone\.$/);
});
