// @ts-check
// Example scenes and clips as thumbnails, any one by its number, or a new one by chance.
const strip = element.querySelector(".strip"),
  seed = element.querySelector(".seed");
const pick = (number, clip) => trigger("pick", { seed: number, clip });
let clips = false; // whether a scene or a clip is shown; a new number draws the same
// What is shown is told by the explorer: its number, or none for a file.
function mark({ seed: shown, clip }) {
  seed.value = shown === null ? "" : shown;
  clips = clip === true;
  element.querySelector(".what").textContent = clips ? "Clip" : "Scene";
  strip
    .querySelectorAll("button")
    .forEach((b) =>
      b.setAttribute("aria-pressed", String(Number(b.dataset.seed) === shown && (b.dataset.clip === "true") === clips)),
    );
}
strip.replaceChildren(
  ...props.examples.map(({ seed: number, clip, picture }) => {
    const button = document.createElement("button"),
      image = document.createElement("img");
    button.type = "button";
    button.dataset.seed = number;
    button.dataset.clip = clip;
    button.setAttribute("aria-label", "Example " + (clip ? "clip " : "scene ") + number);
    image.src = picture;
    image.alt = "";
    button.append(image);
    button.addEventListener("click", () => pick(number, clip));
    return button;
  }),
);
mark({ seed: props.first, clip: false });
window.addEventListener("rp:run", (e) => mark(e.detail));
element.querySelector(".fresh").addEventListener("submit", (e) => {
  e.preventDefault();
  pick(Number(seed.value), clips);
});
element.querySelector(".dice").addEventListener("click", () => pick(Math.floor(Math.random() * 1e6), clips));
