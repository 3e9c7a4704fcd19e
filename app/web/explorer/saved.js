// @ts-check
// What can be saved of the picture: a choice of files, then the finished one in the browser's own downloads, and a
// sentence about it.
const link = element.querySelector(".link"),
  files = element.querySelector(".files");
const OWN = "Tokens of your own choice were not picked one after the other. Reset them to save the picking.";

// The explorer's Save: `clip` where there is a clip, `own` where the visitor chose the tokens.
shared.offerFiles = ({ clip, own }) => {
  files.querySelector(".of-clip").hidden = !clip;
  files.querySelectorAll(".of-picking button").forEach((button) => {
    button.disabled = own;
  });
  files.querySelector(".note").textContent = own ? OWN : "";
  files.showModal();
};
files.querySelectorAll("[data-kind]").forEach((button) =>
  button.addEventListener("click", () => {
    files.close();
    shared.save?.(button.dataset.kind);
  }),
);
files.querySelector(".close").addEventListener("click", () => files.close());
files.addEventListener("click", (e) => {
  if (e.target === files) files.close();
}); // beside it

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
