// @ts-check
// The scrubber: the selection pick by pick. It knows how many picks there are and which one stands; what that means is
// drawn elsewhere. `changed(count)` is called with the number of picks shown, null where it is over.
const LONGEST_MS = 6000,
  QUICKEST_MS = 60,
  SLOWEST_MS = 600; // of a whole play, and between two picks

function stepper(root, changed) {
  const range = root.querySelector(".scrub"),
    play = root.querySelector(".step-play"),
    out = root.querySelector(".step-now");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let count = null,
    total = 1,
    timer = 0;

  function show() {
    range.max = total;
    range.value = count ?? total;
    out.textContent = (count ?? total) + "/" + total;
    range.setAttribute("aria-valuetext", count === null ? "all " + total + " picks" : "pick " + count + " of " + total);
    play.textContent = timer ? "Hold" : still.matches ? "Next" : "Watch";
    play.setAttribute("aria-label", timer ? "Hold the picking" : still.matches ? "Next pick" : "Watch the picking");
  }
  function go(to) {
    count = to === null ? null : Math.min(total, Math.max(0, to));
    changed(count);
    show();
  }
  function pause() {
    clearTimeout(timer);
    timer = 0;
    show();
  }
  function next() {
    go(count + 1);
    timer = count < total ? setTimeout(next, Math.min(SLOWEST_MS, Math.max(QUICKEST_MS, LONGEST_MS / total))) : 0;
    show();
  }
  function toggle() {
    if (timer) return pause();
    const from = count === null || count >= total ? 0 : count;
    if (still.matches) return go(from + 1); // nothing moves by itself: one pick each time
    count = from;
    next();
  }
  range.addEventListener("input", () => {
    const to = Number(range.value);
    pause();
    go(to);
  });
  // The arrows are the slider's own.
  range.addEventListener("keydown", (e) => {
    const to = { Home: 0, End: total, " ": -1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    if (to === -1) return toggle();
    pause();
    go(to);
  });
  play.addEventListener("click", toggle);
  show();

  return {
    // Another number of picks: of other knobs, another frame.
    resize(picks) {
      if (picks === total) return;
      total = picks;
      if (count !== null) count = Math.min(count, total);
      show();
    },
    end() {
      if (count === null) return;
      pause();
      go(null);
    },
    get count() {
      return count;
    },
  };
}
