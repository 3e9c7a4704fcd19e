// @ts-check
// The visitor's own choice of tokens: what is chosen, undo and redo, and the pointer that changes it. `own` is a
// Uint8Array over all tokens, or null for the method's choice; nothing in it is ever changed in place once it is in the
// history.
const MAX_UNDO = 200; // steps that can be undone

function createChoice(onChange) {
  let own = null;
  let past = [];
  let future = [];
  const replace = (next) => {
    own = next;
    onChange();
  };
  return {
    get own() {
      return own;
    },
    get undoable() {
      return past.length > 0;
    },
    get redoable() {
      return future.length > 0;
    },
    set(next) {
      past = [...past.slice(1 - MAX_UNDO), own];
      future = [];
      replace(next);
    },
    undo() {
      if (past.length) {
        future.push(own);
        replace(past.pop());
      }
    },
    redo() {
      if (future.length) {
        past.push(own);
        replace(future.pop());
      }
    },
    forget() {
      past = [];
      future = [];
      replace(null);
    },
  };
}

// The same choice with these tokens (flat indices) added, or taken out.
function withTokens(own, tokens, added) {
  const next = own.slice();
  for (const i of tokens) next[i] = Number(added);
  return next;
}

// Flat indices of the chosen tokens, ascending.
function chosenTokens(own) {
  return [...own.keys()].filter((i) => own[i] === 1);
}

// Cells whose middle lies within a closed line of [x, y].
function cellsInLasso(layers, line) {
  const path = new Path2D();
  const pen = document.createElement("canvas").getContext("2d");
  const found = [];
  line.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
  path.closePath();
  for (let i = 0; i < layers.n; i++) {
    const [x, y, w, h] = patchRect(layers, i);
    if (w > 0 && h > 0 && pen.isPointInPath(path, x + w / 2, y + h / 2)) found.push(i);
  }
  return found;
}

// Cells under the straight line between two points, so that a fast hand leaves no gaps.
function cellsBetween(layers, [x0, y0], [x1, y1]) {
  const [, , w, h] = patchRect(layers, 0);
  const steps = Math.ceil(Math.hypot(x1 - x0, y1 - y0) / Math.max(1, Math.min(w, h) / 3)) || 1;
  const found = new Set();
  for (let s = 0; s <= steps; s++)
    found.add(cellAt(layers, x0 + ((x1 - x0) * s) / steps, y0 + ((y1 - y0) * s) / steps));
  found.delete(-1);
  return [...found];
}

// The patch at a point in device pixels, or -1.
function cellAt(layers, x, y) {
  const at = (spans, where) => spans.findIndex(([from, to]) => where >= from && where < to);
  const c = at(layers.x, x);
  const r = at(layers.y, y);
  return c < 0 || r < 0 ? -1 : r * layers.cols + c;
}

// A pointer on the canvas while editing. What it begins on decides: from a dropped patch it adds, from a kept one it
// takes out. `point(event)` in device pixels; hooks: layers(), isKept(cell), lassoActive(),
// onStroke(cells, added, done) with what the stroke covers so far.
function createPointerEditor(canvas, point, hooks) {
  let stroke = null;
  function begin(event) {
    const at = point(event);
    const cell = cellAt(hooks.layers(), ...at);
    const lasso = hooks.lassoActive();
    if (cell < 0 && !lasso) return;
    canvas.setPointerCapture(event.pointerId);
    stroke = { line: [at], cells: new Set(lasso ? [] : [cell]), added: cell < 0 || !hooks.isKept(cell), lasso };
    hooks.onStroke([...stroke.cells], stroke.added, false);
  }
  function move(event) {
    if (!stroke) return;
    const at = point(event);
    if (stroke.lasso) stroke.cells = new Set(cellsInLasso(hooks.layers(), [...stroke.line, at]));
    else cellsBetween(hooks.layers(), stroke.line.at(-1), at).forEach((cell) => stroke.cells.add(cell));
    stroke.line.push(at);
    hooks.onStroke([...stroke.cells], stroke.added, false);
  }
  function end(accepted) {
    if (!stroke) return;
    const { cells, added } = stroke;
    stroke = null;
    hooks.onStroke(accepted ? [...cells] : [], added, true);
  }
  return {
    begin,
    move,
    end: () => end(true),
    cancel: () => end(false),
    get line() {
      return stroke && stroke.lasso ? stroke.line : null;
    },
  };
}
