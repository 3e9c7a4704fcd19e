// @ts-check
// What compare and sweep share: a button that starts, one that stops, a progress bar, how long it will take, and
// messages of the newest start alone. Loaded in front of both.

// Seconds of `runs` answers from each share of the tokens in `ratios`, by the two answers on the page: `times` are
// {n, seconds: [whole answer, first word]} of the one from all tokens and of the pruned one. An answer takes longer the
// more tokens it reads, here as a straight line through both; it is read once more to see how sure of the unpruned one
// it is. The unpruned answer itself comes first. null where nothing was measured.
/** @type {(times: ?AnswerTime[], ratios: number[], runs: number) => ?number} */
function secondsFor(times, ratios, runs) {
  if (!times || !runs || times.some(({ n, seconds }) => !n || !seconds)) return null;
  const [full, pruned] = times;
  const share = pruned.n / full.n;
  /** @type {(time: AnswerTime) => number} */
  const total = ({ seconds }) => seconds[0] + seconds[1];
  const slope = share < 1 ? Math.max(0, (total(full) - total(pruned)) / (1 - share)) : 0;
  const atRatio = (ratio) => Math.max(0, total(pruned) + slope * (ratio - share));
  return total(full) + runs * ratios.reduce((sum, ratio) => sum + atRatio(ratio), 0);
}

// As exact as an estimate is.
function roughly(seconds) {
  return seconds < 120 ? Math.max(1, Math.round(seconds)) + " s" : Math.round(seconds / 60) + " min";
}

/**
 * @param {{ querySelector: (selector: string) => any }} root
 * @param {PageState} state
 * @param {(event: string, data: object) => void} send
 * @param {() => { ratios: number[], runs: number }} plan what a start would do now
 * @param {(payload: string) => void} draw called with every new result
 */
function createTaskControls(root, state, send, plan, draw) {
  const findPart = (selector) => root.querySelector(selector);
  const start = findPart(".go");
  const stop = findPart(".stop");
  const bar = findPart("progress");
  const line = findPart(".line");
  let ticket = 0;
  let busy = false;
  let drawn = "";
  let startedFor = ""; // the answers that the results belong to

  const answersNow = () => (state.answeredRun && !state.busy ? JSON.stringify(state.answeredRun) : "");

  /** @type {(sentence?: string) => void} */
  function render(sentence) {
    const now = answersNow();
    start.disabled = busy || !now;
    stop.hidden = bar.hidden = !busy;
    const stale = drawn && !busy && now && startedFor !== now ? "This belongs to an earlier answer. " : "";
    if (sentence !== undefined) line.dataset.said = sentence;
    setLine(stale + (line.dataset.said || (busy || !now ? "" : estimate())));
  }
  function setLine(text) {
    if (line.textContent !== text) line.textContent = text;
  }
  function estimate() {
    const { ratios, runs } = plan();
    const seconds = secondsFor(state.answerTimes, ratios, runs);
    if (seconds === null) return "";
    return "Takes about " + roughly(seconds) + " here (estimate, from the times of the answers above).";
  }
  start.addEventListener("click", () => {
    busy = true;
    startedFor = JSON.stringify(state.answeredRun);
    bar.removeAttribute("value");
    render("Waiting for the model.");
    ticket += 1;
    send("start", {
      ticket,
      keep: state.answeredRun.keep,
      weight: state.answeredRun.weight,
      methods: state.tickedMethods(),
      weights: findPart(".weights")?.checked === true,
      own: (state.ownTokens || "").split(",").filter(Boolean).map(Number),
      at: startedFor,
      shows: state.runRecord,
    });
  });
  stop.addEventListener("click", () => {
    send("halt", { ticket });
    render("Stopping.");
  });
  for (const event of ["rp:state", "rp:own", "rp:methods"]) window.addEventListener(event, () => render());
  render();

  return {
    onFailure() {
      busy = false;
      render("Not finished: the page is busy, cannot be reached, or failed. Try again.");
    },
    onMessage(message) {
      if (!message || message.ticket !== ticket) return;
      busy = message.busy;
      if (message.of) {
        bar.max = message.of;
        bar.value = message.done;
      }
      if (message.told && message.told !== drawn) {
        drawn = message.told;
        draw(drawn);
      }
      render(message.line);
    },
  };
}
