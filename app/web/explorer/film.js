// @ts-check
// The film strip: one small picture for each frame or tile, with how many of its tokens are kept. Loaded in front of
// explorer.js. `showFrame(t)` is called when frame t is wanted. Only what changed is painted: a moved slider touches
// the patches that came or went, and the relevance of a frame is painted once. What is scrolled out of the strip
// follows when the slider rests.
const THUMB = 66; // side of a small picture, in CSS pixels
const LONGEST_FRAME_MS = 1000;
const SHORTEST_FRAME_MS = 120;
const DEFAULT_FRAME_MS = 500; // where the clip does not say
const REST_MS = 100; // without another draw

function createFilmStrip(root, look, showFrame) {
  const list = root.querySelector(".frames");
  const play = root.querySelector(".play");
  let frames = [];
  let thumbs = [];
  let frameIndex = 0;
  let playTimer = 0;
  let restTimer = 0;
  const visibility = new IntersectionObserver(
    (changes) =>
      changes.forEach(({ target, isIntersecting }) => {
        const thumb = thumbs.find(({ button }) => button === target);
        if (thumb) thumb.visible = isIntersecting;
      }),
    { root: list },
  );

  function setRun(run) {
    frames = run.frames;
    root.hidden = frames.length < 2;
    root.querySelectorAll(".reel > *").forEach((control) => {
      control.hidden = !run.clip;
    });
    list.setAttribute("aria-label", run.clip ? "Frames" : "Parts of the picture");
    thumbs =
      frames.length < 2
        ? []
        : frames.map((frame, t) => {
            const button = document.createElement("button");
            const small = document.createElement("canvas");
            const label = document.createElement("span");
            button.type = "button";
            button.append(small, label);
            button.addEventListener("click", () => {
              stop();
              showFrame(t);
            });
            return {
              button,
              label,
              pen: small.getContext("2d"),
              layers: null,
              painted: null,
              heat: null,
              kept: -1,
              visible: true,
            };
          });
    clearTimeout(restTimer);
    visibility.disconnect();
    list.replaceChildren(...thumbs.map((thumb) => thumb.button));
    thumbs.forEach((thumb) => visibility.observe(thumb.button));
  }

  // `relevance`: whether the pictures show it; `picture(t)` is null until it is loaded; `current` is the large frame.
  function draw(run, picks, relevance, picture, current, all = false) {
    frameIndex = current;
    clearTimeout(restTimer);
    if (!all && thumbs.length)
      restTimer = setTimeout(() => draw(run, picks, relevance, picture, frameIndex, true), REST_MS);
    thumbs.forEach((thumb, t) => {
      if (!all && !thumb.visible && t !== frameIndex) return;
      const kept = countKept(run, picks, t);
      const pressed = String(t === frameIndex);
      if (thumb.button.getAttribute("aria-pressed") !== pressed) {
        thumb.button.setAttribute("aria-pressed", pressed);
        if (t === frameIndex) scrollTo(thumb.button);
      }
      if (thumb.kept !== kept) {
        thumb.kept = thumb.button.dataset.kept = kept;
        thumb.label.textContent = (frames[t].label ? frames[t].label + ": " : "") + kept;
        thumb.button.setAttribute("aria-label", frameName(run, t) + ", " + kept + " tokens kept");
      }
      if (!picture(t)) return;
      if (!thumb.layers) {
        const side = Math.round(THUMB * (window.devicePixelRatio || 1));
        thumb.pen.canvas.width = thumb.pen.canvas.height = side;
        thumb.layers = makeLayers(picture(t), frames[t], side, look.dim);
        thumb.painted = thumb.heat = null;
      }
      if (relevance) paintRelevance(run, thumb, t);
      else paintChanges(thumb, (i) => picks.inside(t * run.n + i));
    });
  }

  function paintRelevance(run, thumb, t) {
    if (thumb.heat === run) return;
    thumb.heat = run;
    thumb.painted = null;
    thumb.pen.clearRect(0, 0, thumb.layers.side, thumb.layers.side);
    paintHeat(thumb.pen, thumb.layers, (i) => run.relevance[t * run.n + i], run.relevanceRange, look.ramp, look.heat);
  }

  function paintChanges(thumb, inside) {
    const { pen, layers } = thumb;
    if (!thumb.painted) {
      thumb.painted = new Uint8Array(layers.n);
      thumb.heat = null;
      pen.clearRect(0, 0, layers.side, layers.side);
      pen.drawImage(layers.dim, 0, 0);
    }
    for (let i = 0; i < layers.n; i++) {
      const kept = Number(inside(i));
      if (kept === thumb.painted[i]) continue;
      thumb.painted[i] = kept;
      const patch = patchRect(layers, i);
      if (patch[2] > 0 && patch[3] > 0) pen.drawImage(kept ? layers.bright : layers.dim, ...patch, ...patch);
    }
  }

  // Within the strip alone; the page is never scrolled.
  function scrollTo(button) {
    const left = button.offsetLeft - list.offsetLeft;
    if (left < list.scrollLeft) list.scrollLeft = left;
    else if (left + button.offsetWidth > list.scrollLeft + list.clientWidth)
      list.scrollLeft = left + button.offsetWidth - list.clientWidth;
  }

  function stop() {
    clearTimeout(playTimer);
    playTimer = 0;
    play.setAttribute("aria-pressed", "false");
    play.textContent = "Play";
  }
  // At the clip's own pace, as far as it can be followed.
  function next() {
    const t = (frameIndex + 1) % frames.length;
    const gap = (frames[t].second - frames[frameIndex].second) * 1000;
    playTimer = setTimeout(
      () => {
        showFrame(t);
        frameIndex = t;
        next();
      },
      Math.min(LONGEST_FRAME_MS, Math.max(SHORTEST_FRAME_MS, gap > 0 ? gap : DEFAULT_FRAME_MS)),
    );
  }
  play.addEventListener("click", () => {
    if (playTimer) return stop();
    play.setAttribute("aria-pressed", "true");
    play.textContent = "Pause";
    next();
  });
  list.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: frameIndex - 1, ArrowRight: frameIndex + 1, Home: 0, End: frames.length - 1 }[event.key];
    if (to === undefined || !thumbs[to]) return;
    event.preventDefault();
    stop();
    showFrame(to);
    thumbs[to].button.focus({ preventScroll: true });
  });

  return {
    setRun,
    draw,
    stop,
    resize: () =>
      thumbs.forEach((thumb) => {
        thumb.layers = null;
      }),
  };
}
