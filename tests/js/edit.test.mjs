// edit.js: the visitor's own choice, its history, and the pointer that changes it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { page } from "./page.mjs";

const sides = [0, 1, 2, 3].map((i) => [i * 10, i * 10 + 10]);
const layers = { x: sides, y: sides, cols: 4, n: 16 };

test("a choice can be undone, redone and forgotten", () => {
  let told = 0;
  const choice = page.createChoice(() => told++);
  const base = new Uint8Array(6);
  const seen = () => choice.own && page.chosenTokens(choice.own);
  choice.set(page.withTokens(base, [4, 1], true));
  assert.deepEqual(seen(), [1, 4]);
  choice.set(page.withTokens(choice.own, [1], false));
  assert.deepEqual(seen(), [4]);
  choice.undo();
  assert.deepEqual(seen(), [1, 4]);
  choice.undo();
  assert.equal(seen(), null); // the method's choice
  choice.undo(); // there is no earlier one
  assert.deepEqual([seen(), told, choice.undoable, choice.redoable], [null, 4, false, true]);
  choice.redo();
  choice.set(page.withTokens(choice.own, [5], true));
  assert.deepEqual([seen(), choice.undoable, choice.redoable], [[1, 4, 5], true, false]); // a new choice has no future
  choice.forget();
  assert.deepEqual([seen(), told, choice.undoable, choice.redoable], [null, 7, false, false]);
  assert.deepEqual([...base], [0, 0, 0, 0, 0, 0]); // nothing is changed in place
});

test("two hundred steps are remembered, the oldest is forgotten first", () => {
  const choice = page.createChoice(() => {});
  for (let i = 0; i < 250; i++) choice.set(Uint8Array.of(i));
  let undone = 0;
  for (; choice.undoable; undone++) choice.undo();
  assert.deepEqual([undone, choice.own[0]], [200, 49]);
});

test("a point belongs to one patch, and none lies outside or in a gap", () => {
  assert.deepEqual(
    [
      [0, 0],
      [9.9, 0],
      [10, 0],
      [39, 39],
      [41, 5],
      [5, -1],
    ].map((p) => page.cellAt(layers, ...p)),
    [0, 0, 1, 15, -1, -1],
  );
  const gap = {
    x: [
      [0, 10],
      [15, 25],
    ],
    y: [[0, 10]],
    cols: 2,
    n: 2,
  };
  assert.deepEqual(
    [9, 12, 15].map((x) => page.cellAt(gap, x, 5)),
    [0, -1, 1],
  );
});

test("a fast editor leaves no gap, whichever way it goes", () => {
  assert.deepEqual(page.cellsBetween(layers, [5, 5], [35, 5]), [0, 1, 2, 3]);
  assert.deepEqual(page.cellsBetween(layers, [35, 35], [5, 5]), [15, 10, 5, 0]);
  assert.deepEqual(page.cellsBetween(layers, [5, 5], [5, 5]), [0]);
  assert.deepEqual(page.cellsBetween(layers, [5, 5], [-30, 5]), [0]);
});

function drawing(kept) {
  const calls = [];
  const canvas = { setPointerCapture() {} };
  const hooks = {
    layers: () => layers,
    isKept: (cell) => kept.includes(cell),
    lassoActive: () => false,
    onStroke: (...call) => calls.push(call),
  };
  return { editor: page.createPointerEditor(canvas, (e) => e.at, hooks), calls };
}

test("what a stroke begins on decides whether it adds or takes out", () => {
  for (const [kept, added] of [
    [[], true],
    [[0], false],
  ]) {
    const { editor, calls } = drawing(kept);
    editor.begin({ at: [5, 5] });
    editor.move({ at: [25, 5] });
    editor.end();
    assert.deepEqual(calls, [
      [[0], added, false],
      [[0, 1, 2], added, false],
      [[0, 1, 2], added, true],
    ]);
  }
});

test("a cancelled stroke changes nothing, and a move without one is no stroke", () => {
  const { editor, calls } = drawing([]);
  editor.move({ at: [5, 5] });
  editor.end();
  editor.begin({ at: [-5, 5] }); // beside the picture
  assert.deepEqual(calls, []);
  editor.begin({ at: [5, 5] });
  editor.cancel();
  assert.deepEqual(calls.at(-1), [[], true, true]);
});
