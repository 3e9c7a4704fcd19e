// @ts-check
// Example scenes and clips as thumbnails, any one by its number, or a new one by chance.
const strip = find(".strip");
const seedBox = find(".seed");
let clips = false; // whether a scene or a clip is shown; a new number shows the same
const showExample = (seed, clip) => trigger("pick", { seed, clip });

// What is shown is told by the explorer: its number, or none for a file.
function markShown({ seed, clip }) {
  seedBox.value = seed === null ? "" : seed;
  clips = clip === true;
  find(".what").textContent = clips ? "Clip" : "Scene";
  for (const button of strip.querySelectorAll("button")) {
    const shown = Number(button.dataset.seed) === seed && (button.dataset.clip === "true") === clips;
    button.setAttribute("aria-pressed", String(shown));
  }
}
function thumbnail({ seed, clip, picture }) {
  const button = make("button");
  const image = make("img");
  button.type = "button";
  button.dataset.seed = seed;
  button.dataset.clip = clip;
  button.setAttribute("aria-label", "Example " + (clip ? "clip " : "scene ") + seed);
  image.src = picture;
  image.alt = "";
  button.append(image);
  button.addEventListener("click", () => showExample(seed, clip));
  return button;
}
strip.replaceChildren(...props.examples.map(thumbnail));
markShown({ seed: props.first, clip: false });
window.addEventListener("rp:run", () => markShown(pageState.run));
find(".fresh").addEventListener("submit", (event) => {
  event.preventDefault();
  showExample(Number(seedBox.value), clips);
});
find(".dice").addEventListener("click", () => showExample(Math.floor(Math.random() * 1e6), clips));
