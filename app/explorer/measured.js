// Hands distances that the explorer asked for to it, or the sentence that says why there are none.
const shared = (window.rediprune ||= {});
watch("value", () => { if (props.value) shared.measured?.(props.value); });
