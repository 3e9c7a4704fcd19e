// @ts-check
// Questions that fit the picture; a click asks one. Those that do not fit into the rows that are kept for them are not
// offered: what cannot be seen takes no focus. In one column they are a strip that scrolls sideways, all of them.
const chips = find(".chips");
function fit() {
  const all = [...chips.children];
  all.forEach((chip) => {
    chip.hidden = false;
  });
  const end = chips.getBoundingClientRect().bottom + 1;
  const below = all.map((chip) => chip.getBoundingClientRect().bottom > end);
  all.forEach((chip, i) => {
    chip.hidden = below[i];
  });
}
function onValueChange() {
  const questions = [...(props.value || [])];
  chips.replaceChildren(
    ...questions.map((text) => {
      const chip = make("button", text);
      chip.type = "button";
      chip.addEventListener("click", () => trigger("choose", { text }));
      return chip;
    }),
  );
  fit();
}
new ResizeObserver(fit).observe(chips);
watch("value", onValueChange);
onValueChange();
