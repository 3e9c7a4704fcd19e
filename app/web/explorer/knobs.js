// @ts-check
// The two sliders. Every move is told to the page at once ("rp:knobs", no server); when the hand rests, "settle"
// asks the server to answer again, but only where the model is quick (else the answers offer a button).
const keep = find("#rp-keep"),
  weight = find("#rp-weight"),
  weights = [...props.weights];
const REST_MS = 250;
let timer = 0,
  resting = false;

// props.value is what Python receives as an input; shared.knobs is what the page draws from.
function publish() {
  shared.knobs = { keep: Number(keep.value) / 100, weight: weights[Number(weight.value)] };
  const weighted = !shared.run || shared.run.weighted;
  find(".keep-now").textContent = keep.value + "%";
  find(".weight-now").textContent = weighted ? shared.knobs.weight.toFixed(2) : "not used";
  keep.setAttribute("aria-valuetext", keep.value + " percent");
  weight.setAttribute("aria-valuetext", shared.knobs.weight.toFixed(2) + " on relevance, the rest on diversity");
  weight.disabled = !weighted;
  window.dispatchEvent(new CustomEvent("rp:knobs", { detail: shared.knobs }));
}

function load() {
  keep.value = Math.round(props.value.keep * 100);
  weight.max = weights.length - 1;
  weight.value = nearest(weights, props.value.weight);
  publish();
}

// Where there is one column, the sliders stick to the lower edge of the screen: above them stands what was answered,
// for the answers are far below, or the words of the patch that was touched last, until a slider is moved.
let ofPatch = false;
function hear() {
  const heard = find(".heard"),
    patch = ofPatch && shared.touched,
    text = patch || shared.heard || "";
  heard.dataset.of = patch ? "patch" : "answers";
  if (heard.textContent !== text) heard.textContent = text;
}
function touched(patch) {
  ofPatch = patch;
  hear();
}

// The hand rests: answer again, or as soon as the running answer is done; then with the knobs of that moment.
function settle() {
  const at = shared.at,
    now = shared.knobs;
  resting = shared.busy === true;
  if (resting || shared.quick === false) return;
  const weighted = !shared.run || shared.run.weighted;
  const moved =
    !at || at.own || Math.abs(at.keep - now.keep) > 1e-6 || (weighted && Math.abs(at.weight - now.weight) > 1e-6);
  if (moved) trigger("settle");
}

for (const slider of [keep, weight]) {
  slider.addEventListener("input", () => {
    clearTimeout(timer);
    touched(false);
    publish();
    props.value = { ...shared.knobs };
  });
  slider.addEventListener("change", () => {
    clearTimeout(timer);
    timer = setTimeout(settle, REST_MS);
  });
}
window.addEventListener("rp:heard", hear);
window.addEventListener("rp:touched", () => touched(true));
window.addEventListener("rp:state", () => {
  if (resting && !shared.busy) {
    clearTimeout(timer);
    timer = setTimeout(settle, REST_MS);
  }
});
window.addEventListener("rp:run", publish);
watch("value", load);
load();
hear();
