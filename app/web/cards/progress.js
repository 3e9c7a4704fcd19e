// @ts-check
// What compare and sweep share: a button that starts, one that stops, a progress bar, how long it will take, and news of
// the newest start alone. Loaded in front of both.

// Seconds of `runs` answers from each share of the tokens in `ratios`, by the two answers on the page: `took` is
// {n, seconds: [whole answer, first word]} of the one from all tokens and of the pruned one. An answer takes longer the
// more tokens it reads, here as a straight line through both; it is read once more to see how sure of the unpruned one
// it is. The unpruned answer itself comes first. null where nothing was measured.
function secondsFor(took, ratios, runs) {
  if (!took || !runs || took.some(({ n, seconds }) => !n || !seconds)) return null;
  const [full, pruned] = took,
    share = pruned.n / full.n,
    whole = (part) => part.seconds[0] + part.seconds[1];
  const slope = share < 1 ? Math.max(0, (whole(full) - whole(pruned)) / (1 - share)) : 0;
  return (
    whole(full) + runs * ratios.reduce((sum, ratio) => sum + Math.max(0, whole(pruned) + slope * (ratio - share)), 0)
  );
}

// As exact as an estimate is.
const roughly = (seconds) =>
  seconds < 120 ? Math.max(1, Math.round(seconds)) + " s" : Math.round(seconds / 60) + " min";

// `plan()` says what a start would do now: {ratios, runs}.
function series(root, shared, trigger, plan, draw) {
  const find = (selector) => root.querySelector(selector);
  const go = find(".go"),
    stop = find(".stop"),
    bar = find("progress"),
    line = find(".line");
  let ticket = 0,
    busy = false,
    drawn = "",
    of = "";

  function show(said) {
    const now = shared.at && !shared.busy ? JSON.stringify(shared.at) : "";
    go.disabled = busy || !now;
    stop.hidden = bar.hidden = !busy;
    const old = drawn && !busy && now && of !== now ? "This belongs to an earlier answer. " : "";
    if (said !== undefined) line.dataset.said = said;
    const { ratios, runs } = plan(),
      seconds = secondsFor(shared.took, ratios, runs);
    const rest =
      busy || !now || seconds === null
        ? ""
        : "Takes about " + roughly(seconds) + " here (estimate, from the times of the answers above).";
    const text = old + (line.dataset.said || rest);
    if (line.textContent !== text) line.textContent = text;
  }
  go.addEventListener("click", () => {
    busy = true;
    of = JSON.stringify(shared.at);
    bar.removeAttribute("value");
    show("Waiting for the model.");
    trigger("start", {
      ticket: ++ticket,
      keep: shared.at.keep,
      weight: shared.at.weight,
      methods: shared.methods(),
      weights: find(".weights")?.checked === true,
      own: (shared.own || "").split(",").filter(Boolean).map(Number),
      at: of,
      shows: shared.shows,
    });
  });
  stop.addEventListener("click", () => {
    trigger("halt", { ticket });
    show("Stopping.");
  });
  for (const news of ["rp:state", "rp:own", "rp:methods"]) window.addEventListener(news, () => show());
  show();

  return {
    failed() {
      busy = false;
      show("Not finished: the page is busy, cannot be reached, or failed. Try again.");
    },
    load(news) {
      if (!news || news.ticket !== ticket) return;
      busy = news.busy;
      if (news.of) {
        bar.max = news.of;
        bar.value = news.done;
      }
      if (news.told && news.told !== drawn) draw((drawn = news.told));
      show(news.line);
    },
  };
}
