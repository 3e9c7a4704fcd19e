// @ts-check
// The two sliders. Every move is told to the page at once ("rp:knobs", no server); when the hand rests, "settle"
// asks the server to answer again, but only where the model is quick (else the answers offer a button).
const keep = find("#rp-keep");
const weight = find("#rp-weight");
const weights = [...props.weights];
const REST_MS = 250;
let restTimer = 0;
let settleWhenAnswered = false;
let showsPatch = false;

const isWeighted = () => !pageState.run || pageState.run.weighted;

// props.value is what Python receives as an input; pageState.sliders is what the page draws from.
function publish() {
  const sliders = { keep: Number(keep.value) / 100, weight: weights[Number(weight.value)] };
  const digits = sliders.weight.toFixed(2);
  pageState.sliders = sliders;
  find(".keep-now").textContent = keep.value + "%";
  find(".weight-now").textContent = isWeighted() ? digits : "not used";
  keep.setAttribute("aria-valuetext", keep.value + " percent");
  weight.setAttribute("aria-valuetext", digits + " on relevance, the rest on diversity");
  weight.disabled = !isWeighted();
  notifyPage("rp:knobs", sliders);
}

function onValueChange() {
  keep.value = Math.round(props.value.keep * 100);
  weight.max = weights.length - 1;
  weight.value = nearestWeight(weights, props.value.weight);
  publish();
}

// Where there is one column, the sliders stick to the lower edge of the screen: above them stands what was answered,
// for the answers are far below, or the words of the patch that was touched last, until a slider is moved.
function renderSummary() {
  const summary = find(".heard");
  const patch = showsPatch && pageState.patchSentence;
  summary.dataset.of = patch ? "patch" : "answers";
  setText(summary, patch || pageState.answerSummary || "");
}
function setShowsPatch(patch) {
  showsPatch = patch;
  renderSummary();
}

// The hand rests: answer again, or as soon as the running answer is done; then with the sliders of that moment.
function settle() {
  const { answeredRun, sliders, busy, quick } = pageState;
  settleWhenAnswered = busy === true;
  if (settleWhenAnswered || quick === false) return;
  const differ = (a, b) => Math.abs(a - b) > 1e-6;
  const moved =
    !answeredRun ||
    answeredRun.own ||
    differ(answeredRun.keep, sliders.keep) ||
    (isWeighted() && differ(answeredRun.weight, sliders.weight));
  if (moved) trigger("settle");
}
function settleSoon() {
  clearTimeout(restTimer);
  restTimer = setTimeout(settle, REST_MS);
}

for (const slider of [keep, weight]) {
  slider.addEventListener("input", () => {
    clearTimeout(restTimer);
    setShowsPatch(false);
    publish();
    props.value = { ...pageState.sliders };
  });
  slider.addEventListener("change", settleSoon);
}
window.addEventListener("rp:heard", renderSummary);
window.addEventListener("rp:touched", () => setShowsPatch(true));
window.addEventListener("rp:state", () => {
  if (settleWhenAnswered && !pageState.busy) settleSoon();
});
window.addEventListener("rp:run", publish);
watch("value", onValueChange);
onValueChange();
renderSummary();
