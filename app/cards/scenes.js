// Example scenes as thumbnails, any scene by its number, or a new one by chance.
const strip = element.querySelector(".strip"), seed = element.querySelector(".seed");
const pick = (number) => {
  seed.value = number;
  strip.querySelectorAll("button").forEach((b) => b.setAttribute("aria-pressed", String(Number(b.dataset.seed) === number)));
  trigger("pick", { seed: number });
};
strip.replaceChildren(...props.examples.map(({ seed: number, picture }) => {
  const button = document.createElement("button"), image = document.createElement("img");
  button.type = "button";
  button.dataset.seed = number;
  button.setAttribute("aria-pressed", String(number === props.first));
  button.setAttribute("aria-label", "Example scene " + number);
  image.src = picture;
  image.alt = "";
  button.append(image);
  button.addEventListener("click", () => pick(number));
  return button;
}));
seed.value = props.first;
element.querySelector(".fresh").addEventListener("submit", (e) => { e.preventDefault(); pick(Number(seed.value)); });
element.querySelector(".dice").addEventListener("click", () => pick(Math.floor(Math.random() * 1e6)));
