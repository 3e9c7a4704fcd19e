// @ts-check
// One line of news, and a hint for newcomers while there is none. Nothing is inserted as HTML.
// What went wrong is also said at the upper edge of the screen while its own place is out of sight, so that nothing
// has to scroll. A screen reader hears it once, from its own place.
const box = element.querySelector(".notice"),
  far = element.querySelector(".far");
let seen = true,
  closed = false;
function show() {
  far.hidden = seen || closed || box.dataset.kind !== "error";
}
function load() {
  const value = props.value || {};
  box.dataset.kind = value.text ? value.kind : "none";
  box.querySelector(".text").textContent =
    (value.kind === "error" && value.text ? "Not done: " : "") + (value.text || "");
  box.querySelector("code").textContent = value.code || "";
  far.querySelector(".again").textContent = box.querySelector(".text").textContent;
  closed = false;
  show();
}
far.querySelector(".close").addEventListener("click", () => {
  closed = true;
  show();
});
new IntersectionObserver((changes) => {
  seen = changes.at(-1).isIntersecting;
  show();
}).observe(box);
watch("value", load);
load();
