// Example scenes as thumbnails, any scene by its number, or a new one by chance.
const strip = element.querySelector(".strip"), seed = element.querySelector(".seed");
const pick = (number) => trigger("pick", { seed: number });
// What is shown is told by the explorer: a scene's number, or none for a photo.
function mark(shown) {
  seed.value = shown === null ? "" : shown;
  strip.querySelectorAll("button").forEach((b) => b.setAttribute("aria-pressed", String(Number(b.dataset.seed) === shown)));
}
strip.replaceChildren(...props.examples.map(({ seed: number, picture }) => {
  const button = document.createElement("button"), image = document.createElement("img");
  button.type = "button";
  button.dataset.seed = number;
  button.setAttribute("aria-label", "Example scene " + number);
  image.src = picture;
  image.alt = "";
  button.append(image);
  button.addEventListener("click", () => pick(number));
  return button;
}));
mark(props.first);
window.addEventListener("rp:run", (e) => mark(e.detail.seed));
element.querySelector(".fresh").addEventListener("submit", (e) => { e.preventDefault(); pick(Number(seed.value)); });
element.querySelector(".dice").addEventListener("click", () => pick(Math.floor(Math.random() * 1e6)));
