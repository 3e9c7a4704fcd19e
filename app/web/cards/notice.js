// @ts-check
// One line of news, and a hint for newcomers while there is none. Nothing is inserted as HTML.
// What went wrong is also said at the upper edge of the screen while its own place is out of sight, so that nothing
// has to scroll. A screen reader hears it once, from its own place.
const box = find(".notice");
const banner = find(".far");
let inSight = true;
let dismissed = false;
function updateBanner() {
  banner.hidden = inSight || dismissed || box.dataset.kind !== "error";
}
function onValueChange() {
  const { text, kind, code } = props.value || {};
  const sentence = (kind === "error" && text ? "Not done: " : "") + (text || "");
  box.dataset.kind = text ? kind : "none";
  find(".notice .text").textContent = sentence;
  find(".notice code").textContent = code || "";
  find(".far .again").textContent = sentence;
  dismissed = false;
  updateBanner();
}
find(".far .close").addEventListener("click", () => {
  dismissed = true;
  updateBanner();
});
new IntersectionObserver((changes) => {
  inSight = changes.at(-1).isIntersecting;
  updateBanner();
}).observe(box);
watch("value", onValueChange);
onValueChange();
