// @ts-check
// The scrubber: the selection pick by pick. It knows how many picks there are and which one stands; what that means is
// drawn elsewhere. `onStep(count)` is called with the number of picks shown, null where it is over.
const PLAY_MS = 6000; // of a whole play, at most
const SHORTEST_STEP_MS = 60;
const LONGEST_STEP_MS = 600; // between two picks

function createStepper(root, onStep) {
  const range = root.querySelector(".scrub");
  const play = root.querySelector(".step-play");
  const output = root.querySelector(".step-now");
  const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
  let count = null;
  let total = 1;
  let timer = 0;

  function render() {
    range.max = total;
    range.value = count ?? total;
    output.textContent = (count ?? total) + "/" + total;
    range.setAttribute("aria-valuetext", count === null ? "all " + total + " picks" : "pick " + count + " of " + total);
    let name = ["Watch", "Watch the selection"];
    if (timer) name = ["Pause", "Pause the selection"];
    else if (reducedMotion.matches) name = ["Next", "Next pick"];
    play.textContent = name[0];
    play.setAttribute("aria-label", name[1]);
  }
  function goTo(to) {
    count = to === null ? null : Math.min(total, Math.max(0, to));
    onStep(count);
    render();
  }
  function pause() {
    clearTimeout(timer);
    timer = 0;
    render();
  }
  function playNext() {
    goTo(count + 1);
    timer =
      count < total ? setTimeout(playNext, Math.min(LONGEST_STEP_MS, Math.max(SHORTEST_STEP_MS, PLAY_MS / total))) : 0;
    render();
  }
  function toggle() {
    if (timer) return pause();
    const from = count === null || count >= total ? 0 : count;
    if (reducedMotion.matches) return goTo(from + 1); // nothing moves by itself: one pick each time
    count = from;
    playNext();
  }
  range.addEventListener("input", () => {
    const to = Number(range.value);
    pause();
    goTo(to);
  });
  // The arrows are the slider's own.
  range.addEventListener("keydown", (event) => {
    const to = { Home: 0, End: total, " ": -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to === -1) return toggle();
    pause();
    goTo(to);
  });
  play.addEventListener("click", toggle);
  render();

  return {
    // Another number of picks: at other sliders, of another frame.
    resize(picks) {
      if (picks === total) return;
      total = picks;
      if (count !== null) count = Math.min(count, total);
      render();
    },
    end() {
      if (count === null) return;
      pause();
      goTo(null);
    },
    get count() {
      return count;
    },
  };
}
