// @ts-check
// What stands beside the picture: numbers, scales, sentences, and which controls are open. Part of explorer.js.
function write(selector, text) {
  const node = find(selector);
  if (node.textContent !== text) node.textContent = text;
}

function tell(picks, shown, scale, bonds, made) {
  const kept = run.frames.reduce((sum, _, t) => sum + countKept(run, picks, t), 0),
    several = run.frames.length > 1;
  const { rows, cols } = run.frames[at],
    stepping = picks.step !== null,
    group = groupOf(run, at * run.n);
  canvas.dataset.kept = kept;
  write(".kept", String(kept));
  write(".total", String(run.total));
  write(".doing", stepping ? "picked so far" : "kept");
  find(".one").hidden = stepping || (several && !picks.own);
  write(
    ".one",
    picks.own ? "(your choice)" : run.whole ? "(one per patch, " + run.whole + " for the whole)" : "(one per patch)",
  );
  find(".each").hidden = !several || Boolean(picks.own);
  write(".each", budgetInWords(run));
  find(".legend-kept").hidden = editing || shown !== "kept";
  find(".legend-heat").hidden = editing || shown === "kept";
  find(".hands").hidden = !editing;
  find(".legend-cropped").hidden = !layers.cropped;
  stage.dataset.mode = editing ? "edit" : stepping ? "step" : "look";
  if (scale) tellScale(picks, scale);
  steps.resize(picks.k[group]);
  write(".edit", editing || stepping ? "Done" : "Edit");
  find(".edit").setAttribute("aria-pressed", String(editing));
  offer();
  const inFrame =
    several && run.setting.budget !== "shared"
      ? picks.k[group] + " of this " + (run.clip ? "frame" : "view")
      : picks.k[group];
  write(
    ".picked",
    made
      ? pickInWords(run, made, inFrame, (flat) => placeName(run, flat, at)).join("\n")
      : stepping
        ? "Nothing is picked yet."
        : "",
  );
  canvas.setAttribute(
    "aria-label",
    (several ? frameName(run, at) : "The picture") +
      " as " +
      cols +
      " by " +
      rows +
      " patches, " +
      kept +
      " of " +
      run.total +
      " visual tokens kept. Arrow keys walk over them" +
      (editing ? ", Enter adds or takes out." : "."),
  );
  const rest =
    said || [editing ? EDIT_HINT : HINT, ...wholeOf(at).map((flat) => wholeInWords(run, picks, flat))].join(" ");
  const touched = cell >= 0 ? patchInWords(run, picks, at, cell, bonds) : "";
  write(".readout", touched || rest);
  if (touched === shared.touched) return;
  shared.touched = touched; // the slider bar of a small screen says it too
  window.dispatchEvent(new CustomEvent("rp:touched"));
}

function tellScale(picks, scale) {
  write(".low", scale.ends[0]);
  write(".high", scale.ends[1]);
  write(".of", scale.of);
  find(".of").dataset.def = view === "heat" ? "relevance" : view;
  const bars = find(".bars"),
    values = scale.bars && scale.bars();
  bars.style.visibility = values ? "visible" : "hidden";
  if (!values) return;
  const flat = at * run.n,
    kept = [...values].filter((_, i) => picks.inside(flat + i));
  paintBars(bars, histogram(values, scale.span, 24), histogram(kept, scale.span, 24));
  bars.setAttribute(
    "aria-label",
    "Histogram of " + scale.of + (view === "heat" ? ", kept tokens in front" : " of dropped tokens"),
  );
}

// What the hand can do now.
function offer() {
  const count = choice.own ? tokensOf(choice.own).length : 0;
  find(".mine").disabled = count === 0 || (shared.at && shared.at.own === shared.own && !shared.busy);
  write(".mine", count ? "Answer with my " + count + " token" + (count === 1 ? "" : "s") : "Answer with my tokens");
  find(".undo").disabled = !choice.undoable;
  find(".redo").disabled = !choice.redoable;
  find(".reset").disabled = !choice.own;
}
