// steps.js: the scrubber plays, pauses, follows the keys, and moves nothing by itself where motion is not wanted.
import assert from "node:assert/strict";
import { test } from "node:test";
import { element, page } from "./page.mjs";

// A clock that goes in small steps: a timer that is set while it goes is due in its turn.
function clock(t) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  return (ms) => {
    for (let past = 0; past < ms; past += 20) t.mock.timers.tick(20);
  };
}

function scrubber(total, reduced = false) {
  const asked = [];
  const shown = [];
  const parts = {};
  const root = element(parts);
  globalThis.matchMedia = (query) => {
    asked.push(query);
    return { matches: reduced };
  };
  const steps = page.createStepper(root, (count) => shown.push(count));
  steps.resize(total);
  return { steps, shown, asked, scrub: parts[".scrub"], play: parts[".step-play"], now: parts[".step-now"] };
}

test("a play shows every pick once and stops at the last", (t) => {
  const wait = clock(t);
  const { steps, shown, play, now } = scrubber(4);
  play.hear("click");
  assert.equal(play.textContent, "Pause");
  wait(600 * 4);
  assert.deepEqual(shown, [1, 2, 3, 4]);
  wait(10_000);
  assert.deepEqual([shown.length, steps.count, play.textContent, now.textContent], [4, 4, "Watch", "4/4"]);
  play.hear("click"); // from its end it begins again
  assert.equal(shown.at(-1), 1);
});

test("no play takes longer than six seconds, except where every pick has its least time", (t) => {
  const wait = clock(t);
  for (const [total, ms] of [
    [5, 3000],
    [50, 6000],
    [576, 576 * 60],
  ]) {
    const { steps, play } = scrubber(total);
    play.hear("click");
    wait(ms - 2 * Math.ceil(ms / total));
    assert.ok(steps.count < total);
    wait(2 * Math.ceil(ms / total));
    assert.equal(steps.count, total);
  }
});

test("paused, it stands still; played again, it goes on from there", (t) => {
  const wait = clock(t);
  const { steps, shown, play, scrub } = scrubber(10);
  play.hear("click");
  wait(600);
  scrub.hear("keydown", { key: " " });
  wait(5000);
  assert.deepEqual([steps.count, play.textContent], [2, "Watch"]);
  play.hear("click");
  assert.deepEqual(shown, [1, 2, 3]);
});

test("where motion is not wanted each press is one pick, and no clock runs", (t) => {
  const wait = clock(t);
  const { shown, play, asked } = scrubber(3, true);
  assert.deepEqual(asked, ["(prefers-reduced-motion: reduce)"]);
  for (let press = 0; press < 4; press++) {
    play.hear("click");
    wait(10_000);
  }
  assert.deepEqual(shown, [1, 2, 3, 1]);
  assert.equal(play.getAttribute("aria-label"), "Next pick");
});

test("the slider and its keys go where they say, and what is heard says how far", () => {
  const { steps, scrub } = scrubber(8);
  scrub.value = "5";
  scrub.hear("input");
  assert.deepEqual([steps.count, scrub.getAttribute("aria-valuetext")], [5, "pick 5 of 8"]);
  scrub.hear("keydown", { key: "End" });
  assert.equal(steps.count, 8);
  scrub.hear("keydown", { key: "Home" });
  assert.equal(steps.count, 0);
  steps.end();
  assert.deepEqual([steps.count, scrub.getAttribute("aria-valuetext")], [null, "all 8 picks"]);
});

test("with fewer picks it never stands behind the last", () => {
  const { steps, scrub } = scrubber(8);
  scrub.hear("keydown", { key: "End" });
  steps.resize(3);
  assert.deepEqual([steps.count, scrub.max], [3, 3]);
});
