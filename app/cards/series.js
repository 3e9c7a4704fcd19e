// What compare and sweep share: a button that starts, one that stops, a progress bar, and news of the newest start
// alone. Loaded in front of both.
function series(root, shared, trigger, draw) {
  const find = (selector) => root.querySelector(selector);
  const go = find(".go"), stop = find(".stop"), bar = find("progress"), line = find(".line");
  let ticket = 0, busy = false, drawn = "", of = "";

  function show(said) {
    const now = shared.at && !shared.busy ? JSON.stringify(shared.at) : "";
    go.disabled = busy || !now;
    stop.hidden = bar.hidden = !busy;
    const old = drawn && !busy && now && of !== now ? "This belongs to an earlier answer. " : "";
    if (said !== undefined) line.dataset.said = said;
    const text = old + (line.dataset.said || "");
    if (line.textContent !== text) line.textContent = text;
  }
  go.addEventListener("click", () => {
    busy = true;
    of = JSON.stringify(shared.at);
    bar.removeAttribute("value");
    show("Waiting for the model.");
    trigger("start", { ticket: ++ticket, keep: shared.at.keep, weight: shared.at.weight, methods: shared.methods(), weights: find(".weights")?.checked === true, at: of });
  });
  stop.addEventListener("click", () => {
    trigger("halt", { ticket });
    show("Stopping.");
  });
  window.addEventListener("rp:state", () => show());
  show();

  return {
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
