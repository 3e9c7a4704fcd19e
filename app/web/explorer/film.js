// @ts-check
// The film strip: one small picture for each frame or tile, with how many of its tokens are kept. Loaded in front of
// explorer.js. `go(t)` is called when frame t is wanted. Only what changed is painted: a moved slider touches the
// patches that came or went, and the relevance of a frame is painted once. What is scrolled out of the strip follows
// when the hand rests.
const THUMB = 66; // side of a small picture, in CSS pixels
const SLOWEST = 1000,
  FASTEST = 120,
  UNSAID = 500; // ms that a frame is shown for
const RESTED = 100; // ms without another draw

function filmStrip(root, look, go) {
  const list = root.querySelector(".frames"),
    play = root.querySelector(".play");
  let frames = [],
    thumbs = [],
    at = 0,
    playing = 0,
    resting = 0;
  const seen = new IntersectionObserver(
    (changes) =>
      changes.forEach(({ target, isIntersecting }) => {
        const thumb = thumbs.find(({ button }) => button === target);
        if (thumb) thumb.seen = isIntersecting;
      }),
    { root: list },
  );

  function load(run) {
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
            const button = document.createElement("button"),
              small = document.createElement("canvas"),
              label = document.createElement("span");
            button.type = "button";
            button.append(small, label);
            button.addEventListener("click", () => {
              stop();
              go(t);
            });
            return {
              button,
              label,
              pen: small.getContext("2d"),
              layers: null,
              shown: null,
              heat: null,
              kept: -1,
              seen: true,
            };
          });
    clearTimeout(resting);
    seen.disconnect();
    list.replaceChildren(...thumbs.map((thumb) => thumb.button));
    thumbs.forEach((thumb) => seen.observe(thumb.button));
  }

  // `picks` and `hot` as in explorer.js; `picture(t)` is null until it is loaded; now is the frame that is shown big.
  function draw(run, picks, hot, picture, now, all = false) {
    at = now;
    clearTimeout(resting);
    if (!all && thumbs.length) resting = setTimeout(() => draw(run, picks, hot, picture, at, true), RESTED);
    thumbs.forEach((thumb, t) => {
      if (!all && !thumb.seen && t !== at) return;
      const kept = countKept(run, picks, t),
        current = String(t === at);
      if (thumb.button.getAttribute("aria-pressed") !== current) {
        thumb.button.setAttribute("aria-pressed", current);
        if (t === at) reveal(thumb.button);
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
        thumb.layers = layersOf(picture(t), frames[t], side, look.dim);
        thumb.shown = thumb.heat = null;
      }
      if (hot) warm(run, thumb, t);
      else mark(thumb, (i) => picks.inside(t * run.n + i));
    });
  }

  function warm(run, thumb, t) {
    if (thumb.heat === run) return;
    thumb.heat = run;
    thumb.shown = null;
    thumb.pen.clearRect(0, 0, thumb.layers.side, thumb.layers.side);
    paintHeat(thumb.pen, thumb.layers, (i) => run.relevance[t * run.n + i], run.span, look.ramp, look.heat);
  }

  function mark(thumb, inside) {
    const { pen, layers } = thumb,
      first = !thumb.shown;
    if (first) {
      thumb.shown = new Uint8Array(layers.n);
      thumb.heat = null;
      pen.clearRect(0, 0, layers.side, layers.side);
      pen.drawImage(layers.dim, 0, 0);
    }
    for (let i = 0; i < layers.n; i++) {
      const kept = Number(inside(i));
      if (kept === thumb.shown[i]) continue;
      thumb.shown[i] = kept;
      const patch = patchRect(layers, i);
      if (patch[2] > 0 && patch[3] > 0) pen.drawImage(kept ? layers.bright : layers.dim, ...patch, ...patch);
    }
  }

  // Within the strip alone; the page is never scrolled.
  function reveal(button) {
    const left = button.offsetLeft - list.offsetLeft;
    if (left < list.scrollLeft) list.scrollLeft = left;
    else if (left + button.offsetWidth > list.scrollLeft + list.clientWidth)
      list.scrollLeft = left + button.offsetWidth - list.clientWidth;
  }

  function stop() {
    clearTimeout(playing);
    playing = 0;
    play.setAttribute("aria-pressed", "false");
    play.textContent = "Play";
  }
  // At the clip's own pace, as far as it can be followed.
  function next() {
    const t = (at + 1) % frames.length,
      gap = (frames[t].second - frames[at].second) * 1000;
    playing = setTimeout(
      () => {
        go(t);
        at = t;
        next();
      },
      Math.min(SLOWEST, Math.max(FASTEST, gap > 0 ? gap : UNSAID)),
    );
  }
  play.addEventListener("click", () => {
    if (playing) return stop();
    play.setAttribute("aria-pressed", "true");
    play.textContent = "Pause";
    next();
  });
  list.addEventListener("keydown", (e) => {
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: frames.length - 1 }[e.key];
    if (to === undefined || !thumbs[to]) return;
    e.preventDefault();
    stop();
    go(to);
    thumbs[to].button.focus({ preventScroll: true });
  });

  return {
    load,
    draw,
    stop,
    fresh: () =>
      thumbs.forEach((thumb) => {
        thumb.layers = null;
      }),
  };
}
