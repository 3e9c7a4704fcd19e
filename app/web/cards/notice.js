// One line of news, and a hint for newcomers while there is none. Nothing is inserted as HTML.
const box = element.querySelector(".notice");
function load() {
  const value = props.value || {};
  box.dataset.kind = value.text ? value.kind : "none";
  box.querySelector(".text").textContent = (value.kind === "error" && value.text ? "Not done: " : "") + (value.text || "");
  box.querySelector("code").textContent = value.code || "";
  if (value.kind === "error" && value.text) box.scrollIntoView({ block: "nearest" }); // a phone may be far from it
}
watch("value", load);
load();
