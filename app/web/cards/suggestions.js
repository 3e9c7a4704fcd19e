// Questions that fit the picture; a click asks one.
const chips = element.querySelector(".chips");
function load() {
  chips.replaceChildren(...[...(props.value || [])].map((text) => {
    const chip = document.createElement("button");
    chip.type = "button";
    chip.textContent = text;
    chip.addEventListener("click", () => trigger("choose", { text }));
    return chip;
  }));
}
watch("value", load);
load();
