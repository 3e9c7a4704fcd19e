// @ts-check
// What can be saved of the picture: a choice of files, then the finished one in the browser's own downloads, and a
// sentence about it.
const downloadLink = find(".link");
const dialog = find(".files");
const OWN_NOTE = "Tokens chosen by hand have no order of selection. Reset them to save these files.";

// The explorer's Save: `clip` where there is a clip, `own` where the visitor chose the tokens.
pageState.openSaveDialog = ({ clip, own }) => {
  find(".of-clip").hidden = !clip;
  dialog.querySelectorAll(".of-picking button").forEach((button) => {
    button.disabled = own;
  });
  find(".note").textContent = own ? OWN_NOTE : "";
  dialog.showModal();
};
dialog.querySelectorAll("[data-kind]").forEach((button) =>
  button.addEventListener("click", () => {
    dialog.close();
    pageState.savePicture?.(button.dataset.kind);
  }),
);
find(".close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // beside it
});

function onValueChange() {
  const { file, said } = props.value || {};
  if (!said) return;
  if (file) {
    downloadLink.href = file.url;
    downloadLink.download = file.orig_name;
    downloadLink.click();
  }
  pageState.onPictureSaved?.(said);
}
pageState.unsaved = () => pageState.onPictureSaved?.("Not saved: the page is busy or cannot be reached. Try again.");
watch("value", onValueChange);
