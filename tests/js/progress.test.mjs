// cards/progress.js: a button that starts, one that stops, an estimate of how long, and messages of the newest start alone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { element, page } from "./page.mjs";

function card(at = { keep: 0.15, weight: 0.5 }) {
  const parts = {};
  const sent = [];
  const drawn = [];
  const heard = {};
  globalThis.window = {
    addEventListener: (name, listener) => {
      heard[name] = listener;
    },
  };
  const state = { answeredRun: at, busy: false, runRecord: "record", tickedMethods: () => ["random"] };
  const send = (name, data) => sent.push([name, data]);
  const plan = () => ({ ratios: [0.5], runs: 2 });
  const controls = page.createTaskControls(element(parts), state, send, plan, (payload) => drawn.push(payload));
  return {
    controls,
    state,
    sent,
    drawn,
    onState: () => heard["rp:state"](),
    go: parts[".go"],
    stop: parts[".stop"],
    bar: parts.progress,
    line: parts[".line"],
  };
}

test("a start says what is asked, and nothing can be started twice", () => {
  const { sent, go, stop, bar, line } = card();
  assert.deepEqual([go.disabled, stop.hidden], [false, true]);
  go.hear("click");
  assert.deepEqual(sent, [
    [
      "start",
      {
        ticket: 1,
        keep: 0.15,
        weight: 0.5,
        methods: ["random"],
        weights: false,
        own: [],
        at: JSON.stringify({ keep: 0.15, weight: 0.5 }),
        shows: "record",
      },
    ],
  ]);
  assert.deepEqual(
    [go.disabled, stop.hidden, bar.hidden, line.textContent],
    [true, false, false, "Waiting for the model."],
  );
});

test("before an answer there is nothing to start from", () => {
  const { go, state, onState } = card(null);
  assert.equal(go.disabled, true);
  Object.assign(state, { answeredRun: { keep: 0.5, weight: 0 } });
  onState();
  assert.equal(go.disabled, false);
});

test("messages are drawn once, move the bar, and end with the button open again", () => {
  const { controls, drawn, go, bar, line } = card();
  go.hear("click");
  controls.onMessage({ ticket: 1, busy: true, of: 8, done: 3, told: "[1]", line: "3 of 8" });
  controls.onMessage({ ticket: 1, busy: true, of: 8, done: 3, told: "[1]", line: "3 of 8" });
  assert.deepEqual([drawn, bar.max, bar.value, line.textContent], [["[1]"], 8, 3, "3 of 8"]);
  controls.onMessage({ ticket: 1, busy: false, of: 8, done: 8, told: "[2]", line: "Done." });
  assert.deepEqual([drawn, go.disabled, bar.hidden, line.textContent], [["[1]", "[2]"], false, true, "Done."]);
});

test("messages of an earlier start are not for us", () => {
  const { controls, drawn, go, sent, stop } = card();
  go.hear("click");
  stop.hear("click");
  assert.deepEqual(sent.at(-1), ["halt", { ticket: 1 }]);
  controls.onMessage({ ticket: 1, busy: false, line: "Stopped." });
  go.hear("click");
  controls.onMessage({ ticket: 1, busy: false, told: "[old]", line: "old" });
  controls.onMessage(null);
  assert.deepEqual([drawn, go.disabled], [[], true]);
});

test("what belongs to an earlier answer says so, and only then", () => {
  const { controls, state, onState, go, line } = card();
  go.hear("click");
  controls.onMessage({ ticket: 1, busy: false, told: "[1]", line: "Done." });
  state.answeredRun = { keep: 0.3, weight: 0.5 };
  onState();
  assert.equal(line.textContent, "This belongs to an earlier answer. Done.");
  state.answeredRun = { keep: 0.15, weight: 0.5 };
  onState();
  assert.equal(line.textContent, "Done.");
});

test("tokens of the visitor's own choice go along as numbers", () => {
  const { state, sent, go } = card();
  state.ownTokens = "3,14,15";
  go.hear("click");
  assert.deepEqual(sent[0][1].own, [3, 14, 15]);
});

test("how long it takes is a straight line through both answers, and the unpruned one once", () => {
  const took = [
    { n: 100, seconds: [3, 1] },
    { n: 20, seconds: [1.5, 0.5] },
  ]; // 4 s at all tokens, 2 s at a fifth
  assert.equal(page.secondsFor(took, [0.2], 1), 4 + 2);
  assert.ok(Math.abs(page.secondsFor(took, [0.6, 1], 3) - (4 + 3 * (3 + 4))) < 1e-9);
  assert.equal(page.secondsFor(took, [0.5], 0), null);
  assert.equal(page.secondsFor(null, [0.5], 1), null);
  assert.equal(page.secondsFor([took[0], { n: 20, seconds: null }], [0.5], 1), null);
  assert.equal(page.secondsFor([took[0], took[0]], [0.5], 1), 4 + 4); // nothing pruned: no line to draw
});

test("the estimate is said before a start, as exact as it is, and not while one runs", () => {
  const { state, onState, go, line } = card();
  assert.equal(line.textContent, "");
  state.answerTimes = [
    { n: 100, seconds: [3, 1] },
    { n: 20, seconds: [1.5, 0.5] },
  ];
  onState();
  assert.match(line.textContent, /^Takes about 10 s here \(estimate/); // 4 + 2 x 2.75 = 9.5
  go.hear("click");
  assert.equal(line.textContent, "Waiting for the model.");
  assert.deepEqual([0.2, 119, 121, 600].map(page.roughly), ["1 s", "119 s", "2 min", "10 min"]);
});
