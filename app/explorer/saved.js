// Hands a finished file to the browser's own downloads, and says what it is.
const shared = (window.rediprune ||= {});
const link = element.querySelector(".link");
function load() {
  const value = props.value;
  if (!value || !value.said) return;
  if (value.file) {
    link.href = value.file.url;
    link.download = value.file.orig_name;
    link.click();
  }
  shared.saved?.(value.said);
}
shared.unsaved = () => shared.saved?.("Not saved: the page is busy or cannot be reached. Try again.");
watch("value", load);
