// @ts-check
// Loaded in front of every part's own script: what the parts share, and how a part finds and makes its nodes. Text goes
// in by textContent, so that nothing of a model or a visitor is ever read as HTML.

/**
 * @typedef {{ keep: number, weight: number }} SliderValues Keep ratio in 0..1 and weight on relevance in 0..1.
 * @typedef {{ method?: string, query?: string, budget?: string }} MenuOptions What the three menus stand at.
 *
 * @typedef {MenuOptions & { picture: string, model: number, weighted: boolean, seed: ?number, clip: ?boolean,
 *   trace: boolean }} Setting What the explorer's picture belongs to (app/answer/answering.py, explorer_view).
 *
 * @typedef {SliderValues & MenuOptions & { question: string, picture: string, model: number, own: string }} AnsweredRun
 *   What the answers belong to (app/answer/answering.py, answered_at). `own`: as PageState.ownTokens.
 *
 * @typedef {{ parts: string[], by_rule: string, tail: string, note: string }} Snippet The same run as Python source.
 * @typedef {{ n?: number, seconds?: [number, number] }} AnswerTime Tokens read; seconds of all words, of the first.
 * @typedef {{ between?: string, picture?: string, budget?: string, said?: string }} DistancesReply The distances, or
 *   why there are none (app/answer/distances.py).
 */

/**
 * The state that all parts of the page read, each key written by the one script that is named. A script that changes a
 * key tells the others with a window event.
 *
 * @typedef {object} PageState
 * @property {?SliderValues} sliders where the sliders stand; knobs.js, "rp:knobs"
 * @property {?(Setting & { n: number, frames: number })} run what the picture shows; explorer.js, "rp:run"
 * @property {string} ownTokens flat indices chosen by hand, "3,14,15", or "" for the method's; events.js, "rp:own"
 * @property {string} patchSentence about the patch that was touched last; sidebar.js, "rp:touched"
 * @property {?AnsweredRun} answeredRun what the answers belong to; answers.js, "rp:state"
 * @property {?MenuOptions} options the menus of the newest request; answers.js
 * @property {boolean} busy whether answers are being computed; answers.js, "rp:state"
 * @property {boolean} [quick] whether the model answers at once when a slider rests; answers.js
 * @property {?AnswerTime[]} answerTimes of all tokens, and pruned; answers.js
 * @property {string} answerSummary both answers in one line; answers.js, "rp:heard"
 * @property {?Snippet} snippet answers.js
 * @property {any} runRecord the server's own record of the shown run, sent back with every request (shown_run.py)
 * @property {number} ticket number of the newest request; answers.js
 * @property {string} visitorId names this page to the server, which tells its place in the queue
 * @property {?{ number: number, name: string }} model the newest that this page has heard of; models.js, "rp:model"
 *
 * Functions of one part that another part calls; absent until that part is loaded.
 * @property {() => string[]} [tickedMethods] compare.js, "rp:methods"
 * @property {() => number} [countRuns] how many answers the ticked methods take at one keep ratio; compare.js
 * @property {() => void} [scrollToPicture] events.js
 * @property {(choice: { clip: boolean, own: boolean }) => void} [openSaveDialog] saved.js
 * @property {(kind: string) => void} [savePicture] events.js
 * @property {(sentence: string) => void} [onPictureSaved] events.js
 * @property {(reply: DistancesReply) => void} [onDistances] explorer.js
 *
 * Functions that Python calls by these names (app/page/events.py, app/page/second_screen.py): the first three get the
 * arguments of a request and return those that are sent, the others are told of a request that no handler answered.
 * @property {(args: any[]) => any[]} [begin] answers.js
 * @property {(args: any[]) => any[]} [given] answers.js
 * @property {(args: any[]) => any[]} [change] answers.js
 * @property {() => void} [failed] answers.js
 * @property {() => void} [unsaved] saved.js
 * @property {() => void} [untaken] export.js
 * @property {() => void} [unmeasured] explorer.js
 * @property {() => void} [untold] story.js
 * @property {() => void} [failed_compare] compare.js
 * @property {() => void} [failed_sweep] sweep.js
 */

/** @type {PageState} */
const pageState = (window.rediprune ||= {
  sliders: null,
  run: null,
  ownTokens: "",
  patchSentence: "",
  answeredRun: null,
  options: null,
  busy: false,
  answerTimes: null,
  answerSummary: "",
  snippet: null,
  runRecord: undefined,
  ticket: 0,
  visitorId: Math.random().toString(36).slice(2),
  model: null,
});

/**
 * Finds a node of this part. Typed as any: what a selector finds is written in the part's template alone.
 * @type {(selector: string) => any}
 */
const find = (selector) => element.querySelector(selector);

/** @type {(name: string, detail?: object) => void} */
const notifyPage = (name, detail) => {
  window.dispatchEvent(new CustomEvent(name, { detail }));
};

/** @type {(tag: string, text?: any, className?: string) => any} */
const make = (tag, text, className) => {
  const node = document.createElement(tag);
  node.textContent = text ?? "";
  if (className) node.className = className;
  return node;
};

// Text that is written again is laid out again, and this runs at every move of a slider: only what changed is written.
/** @type {(node: Node, text: string) => void} */
const setText = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

// A box that scrolls takes the focus, so that the arrow keys reach what does not fit into it; any other does not.
// `name` says what it is, where nothing else does.
const focusWhileScrolling = (box, name = "") => {
  const update = () => {
    const scrolls = box.scrollHeight > box.clientHeight || box.scrollWidth > box.clientWidth;
    if (scrolls === box.hasAttribute("tabindex")) return;
    const attributes = { tabindex: "0", ...(name && { role: "region", "aria-label": name }) };
    for (const [attribute, text] of Object.entries(attributes)) {
      if (scrolls) box.setAttribute(attribute, text);
      else box.removeAttribute(attribute);
    }
  };
  new ResizeObserver(update).observe(box);
  new MutationObserver(update).observe(box, { childList: true, characterData: true, subtree: true });
};
