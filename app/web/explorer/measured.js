// @ts-check
// Hands distances that the explorer asked for to it, or the sentence that says why there are none.
watch("value", () => {
  if (props.value) pageState.onDistances?.(props.value);
});
