// Put into the page by hand.py: times every input event of one kind, from the moment it reached the browser to
// the end of the first frame in which the explorer's canvas was painted anew.
(type) => {
  const canvas = document.querySelector("#rp-explorer .map"), channel = new MessageChannel();
  const done = [], waiting = [], PATIENCE = 20; // frames that may pass without a paint
  const PATIENCE_MS = 5000; // the same where no event came at all
  const painted = () => Number(canvas.dataset.paints || 0);
  // A task that is posted inside a frame runs when the frame's style, layout and paint are done.
  const behind = (then) => { channel.port1.onmessage = then; channel.port2.postMessage(0); };
  const give = (sample) => { if (waiting.length) waiting.shift()(sample); else done.push(sample); };
  let handled = 0, open = false;
  const begin = (event) => {
    if (open) return;
    open = true;
    const sent = event.timeStamp, began = performance.now(), before = painted();
    let busy = 0, patience = PATIENCE;
    const frame = () => {
      const start = performance.now();
      behind(() => {
        const end = performance.now();
        if (busy === 0) busy = handled - began;
        busy += end - start;
        if (painted() === before && patience-- > 0) return requestAnimationFrame(frame);
        open = false;
        give(painted() === before ? null : { frame: end - sent, work: busy });
      });
    };
    requestAnimationFrame(frame); // ahead of the page's own handlers, so ahead of its own callbacks of this frame
  };
  const end = () => { handled = performance.now(); };
  window.speed?.stop();
  window.addEventListener(type, begin, true);
  window.addEventListener(type, end);
  window.speed = {
    next: () => new Promise((resolve) => {
      if (done.length) return resolve(done.shift());
      waiting.push(resolve);
      setTimeout(() => { if (waiting.includes(resolve)) { waiting.splice(waiting.indexOf(resolve), 1); resolve(null); } }, PATIENCE_MS);
    }),
    stop: () => { window.removeEventListener(type, begin, true); window.removeEventListener(type, end); },
    // The same change by way of the server: from the click that asks for it to the frame that shows its answer.
    roundTrip: (button) => new Promise((resolve, reject) => {
      const began = performance.now();
      setTimeout(() => reject(new Error("the server did not answer within a minute")), 60000);
      window.addEventListener("rp:run", () => requestAnimationFrame(() => behind(() => resolve(performance.now() - began))), { once: true });
      button.click();
    }),
  };
}
