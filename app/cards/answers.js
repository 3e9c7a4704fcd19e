// Both answers as equal cards. Text of models and users goes in by textContent only. The cards know at which knobs
// the pruned answer was made and say so as soon as the sliders stand elsewhere.
const shared = (window.rediprune ||= {});
const find = (selector) => element.querySelector(selector);
const same = (a, b) => Math.abs(a.keep - b.keep) < 1e-6 && Math.abs(a.weight - b.weight) < 1e-6;
const percent = (x) => Math.round(x * 100) + "%";
let value = {}, settled = {}, since = 0, clock = 0;

function card(side, state) {
  const box = find(".card." + side), from = value[side] || {};
  box.dataset.state = state || from.state || "idle";
  box.querySelector(".n").textContent = from.n ?? "–";
  box.querySelector(".text").textContent = from.text || "";
  box.querySelector(".text").classList.toggle("long", (from.text || "").length > 40);
  box.querySelector(".time").textContent = from.time || "";
}

function draw() {
  const weighted = !shared.run || shared.run.weighted, now = shared.knobs, at = value.at;
  const moved = at && now && !same(at, weighted ? now : { ...now, weight: at.weight });
  const stale = moved && !value.busy;
  card("full");
  card("pruned", stale ? "stale" : "");
  element.dataset.state = value.busy ? "busy" : stale ? "stale" : "done";
  find(".again").hidden = !stale || value.quick;
  find(".stop").hidden = !value.busy;
  let line = value.line || "";
  if (value.busy) line += " " + ((performance.now() - since) / 1000).toFixed(0) + " s";
  if (stale) {
    const where = (k) => percent(k.keep) + (weighted ? ", weight " + k.weight.toFixed(2) : "");
    line = "Answered at " + where(at) + "; the picture shows " + where(now) + (value.quick ? ". Refreshing when you let go." : ".");
  }
  if (find(".line").textContent !== line) find(".line").textContent = line;
}

function load() {
  const busy = value.busy, news = JSON.parse(JSON.stringify(props.value || {}));
  if (news.full) value = news;
  else if (news.busy) value = { ...value, ...news }; // nothing new to read yet: the last answers stay
  else value = settled; // it came to nothing: back to what was there
  if (!value.busy) settled = value;
  shared.quick = value.quick;
  shared.at = value.at;
  clearInterval(clock);
  if (value.busy) {
    if (!busy) since = performance.now();
    clock = setInterval(draw, 1000);
  }
  draw();
}

// Whoever asks something else does not wait for the answer that is running.
document.addEventListener("click", (e) => {
  if (value.busy && e.target.closest("#rp-go, #rp-chips button, #rp-scenes button")) trigger("stop");
}, true);
find(".again").addEventListener("click", () => trigger("again"));
find(".stop").addEventListener("click", () => trigger("stop"));
window.addEventListener("rp:knobs", draw);
window.addEventListener("rp:run", draw);
watch("value", load);
load();
