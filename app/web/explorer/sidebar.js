// @ts-check
// What stands beside the picture: numbers, scales, sentences, and which controls are open. Part of explorer.js.
const setPart = (selector, text) => setText(find(selector), text);

/** @type {(picks: Picks, shownView: string, scale: ?ViewScale, nearest: ?StandIns, pick: ?ExplainedPick) => void} */
function renderSidebar(picks, shownView, scale, nearest, pick) {
  const kept = run.frames.reduce((sum, _, t) => sum + countKept(run, picks, t), 0);
  const several = run.frames.length > 1;
  const stepping = picks.step !== null;
  const group = groupOf(run, frameIndex * run.n);
  canvas.dataset.kept = kept;
  setPart(".kept", String(kept));
  setPart(".total", String(run.total));
  setPart(".doing", stepping ? "picked so far" : "kept");
  find(".one").hidden = stepping || (several && !picks.own);
  setPart(".one", describeTokens(picks));
  find(".each").hidden = !several || Boolean(picks.own);
  setPart(".each", describeBudget(run));
  find(".legend-kept").hidden = editing || shownView !== "kept";
  find(".legend-heat").hidden = editing || shownView === "kept";
  find(".hands").hidden = !editing;
  find(".legend-cropped").hidden = !layers.cropped;
  stage.dataset.mode = "look";
  if (stepping) stage.dataset.mode = "step";
  if (editing) stage.dataset.mode = "edit";
  if (scale) renderScale(picks, scale);
  steps.resize(picks.k[group]);
  setPart(".edit", editing || stepping ? "Done" : "Edit");
  find(".edit").setAttribute("aria-pressed", String(editing));
  renderEditButtons();
  setPart(".picked", stepping ? describeStep(picks, pick, picks.k[group]) : "");
  canvas.setAttribute("aria-label", describePicture(kept));
  renderReadout(picks, nearest);
}

function describeTokens(picks) {
  if (picks.own) return "(your choice)";
  return run.whole ? "(one per patch, " + run.whole + " for the whole frame)" : "(one per patch)";
}

function describeStep(picks, pick, kept) {
  if (!pick) return "Nothing is picked yet.";
  const perFrame = run.frames.length > 1 && run.setting.budget !== "shared";
  const total = perFrame ? kept + " of this " + (run.clip ? "frame" : "view") : kept;
  return describePick(run, pick, total, (flat) => placeName(run, flat, frameIndex)).join("\n");
}

function describePicture(kept) {
  const { rows, cols } = run.frames[frameIndex];
  const name = run.frames.length > 1 ? frameName(run, frameIndex) : "The picture";
  const keys = "Arrow keys walk over them" + (editing ? ", Enter adds or takes out." : ".");
  const counts = kept + " of " + run.total + " visual tokens kept. ";
  return name + " as " + cols + " by " + rows + " patches, " + counts + keys;
}

// The patch that was touched last in words; without one a message, or what can be done here.
function renderReadout(picks, nearest) {
  const whole = wholeFrameTokens(frameIndex).map((flat) => describeWholeFrameToken(run, picks, flat));
  const hint = message || [editing ? EDIT_HINT : HINT, ...whole].join(" ");
  const patchSentence = cell >= 0 ? describePatch(run, picks, frameIndex, cell, nearest) : "";
  setPart(".readout", patchSentence || hint);
  if (patchSentence === pageState.patchSentence) return;
  pageState.patchSentence = patchSentence; // the slider bar of a small screen says it too
  notifyPage("rp:touched");
}

/** @type {(picks: Picks, scale: ViewScale) => void} */
function renderScale(picks, scale) {
  setPart(".low", scale.ends[0]);
  setPart(".high", scale.ends[1]);
  setPart(".of", scale.name);
  find(".of").dataset.def = view === "heat" ? "relevance" : view;
  const bars = find(".bars");
  const values = scale.histogramValues && scale.histogramValues();
  bars.style.visibility = values ? "visible" : "hidden";
  if (!values) return;
  const first = frameIndex * run.n;
  const kept = [...values].filter((_, i) => picks.inside(first + i));
  paintBars(bars, histogram(values, scale.range, 24), histogram(kept, scale.range, 24));
  const which = view === "heat" ? ", kept tokens in front" : " of dropped tokens";
  bars.setAttribute("aria-label", "Histogram of " + scale.name + which);
}

// What the hand can do now.
function renderEditButtons() {
  const count = choice.own ? chosenTokens(choice.own).length : 0;
  const { answeredRun, ownTokens, busy } = pageState;
  const answered = answeredRun && answeredRun.own === ownTokens && !busy;
  find(".mine").disabled = count === 0 || answered;
  const tokens = count ? count + " token" + (count === 1 ? "" : "s") : "tokens";
  setPart(".mine", "Answer with my " + tokens);
  find(".undo").disabled = !choice.undoable;
  find(".redo").disabled = !choice.redoable;
  find(".reset").disabled = !choice.own;
}
