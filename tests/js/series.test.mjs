// cards/series.js: a button that starts, one that stops, and news of the newest start alone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { element, page } from "./page.mjs";

function card(at = { keep: 0.15, weight: 0.5 }) {
  const parts = {}, sent = [], drawn = [], heard = {};
  globalThis.window = { addEventListener: (name, listener) => { heard[name] = listener; } };
  const shared = { at, busy: false, methods: () => ["random"] };
  const series = page.series(element(parts), shared, (name, data) => sent.push([name, data]), (told) => drawn.push(told));
  return { series, shared, sent, drawn, state: () => heard["rp:state"](), go: parts[".go"], stop: parts[".stop"], bar: parts.progress, line: parts[".line"] };
}

test("a start says what is asked, and nothing can be started twice", () => {
  const { sent, go, stop, bar, line } = card();
  assert.deepEqual([go.disabled, stop.hidden], [false, true]);
  go.hear("click");
  assert.deepEqual(sent, [["start", { ticket: 1, keep: 0.15, weight: 0.5, methods: ["random"], weights: false, at: JSON.stringify({ keep: 0.15, weight: 0.5 }) }]]);
  assert.deepEqual([go.disabled, stop.hidden, bar.hidden, line.textContent], [true, false, false, "Waiting for the model."]);
});

test("before an answer there is nothing to start from", () => {
  const { go, shared, state } = card(null);
  assert.equal(go.disabled, true);
  Object.assign(shared, { at: { keep: 0.5, weight: 0 } });
  state();
  assert.equal(go.disabled, false);
});

test("news are drawn once, move the bar, and end with the button open again", () => {
  const { series, drawn, go, bar, line } = card();
  go.hear("click");
  series.load({ ticket: 1, busy: true, of: 8, done: 3, told: "[1]", line: "3 of 8" });
  series.load({ ticket: 1, busy: true, of: 8, done: 3, told: "[1]", line: "3 of 8" });
  assert.deepEqual([drawn, bar.max, bar.value, line.textContent], [["[1]"], 8, 3, "3 of 8"]);
  series.load({ ticket: 1, busy: false, of: 8, done: 8, told: "[2]", line: "Done." });
  assert.deepEqual([drawn, go.disabled, bar.hidden, line.textContent], [["[1]", "[2]"], false, true, "Done."]);
});

test("news of an earlier start are not for us", () => {
  const { series, drawn, go, sent, stop } = card();
  go.hear("click");
  stop.hear("click");
  assert.deepEqual(sent.at(-1), ["halt", { ticket: 1 }]);
  series.load({ ticket: 1, busy: false, line: "Stopped." });
  go.hear("click");
  series.load({ ticket: 1, busy: false, told: "[old]", line: "old" });
  series.load(null);
  assert.deepEqual([drawn, go.disabled], [[], true]);
});

test("what belongs to an earlier answer says so, and only then", () => {
  const { series, shared, state, go, line } = card();
  go.hear("click");
  series.load({ ticket: 1, busy: false, told: "[1]", line: "Done." });
  shared.at = { keep: 0.3, weight: 0.5 };
  state();
  assert.equal(line.textContent, "This belongs to an earlier answer. Done.");
  shared.at = { keep: 0.15, weight: 0.5 };
  state();
  assert.equal(line.textContent, "Done.");
});
