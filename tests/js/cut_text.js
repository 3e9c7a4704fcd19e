// Texts on the page of which a part cannot be seen and cannot be scrolled to with the keyboard either, each as a sentence.
// A box that scrolls is no cut where it, or something in it, takes the focus.
() => {
  const shown = (node) => node.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const focusable = "button, a[href], input, select, textarea, [tabindex]";
  const reached = (node) => node.tabIndex >= 0 || [...node.querySelectorAll(focusable)].some((one) => one.tabIndex >= 0 && !one.disabled && shown(one));
  const found = new Set();
  const walk = document.createTreeWalker(document.querySelector("gradio-app"), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode, node = text.parentElement;
    if (!text.textContent.trim() || !shown(node) || node.closest("style, script, option, .sr-only")) continue;
    const range = document.createRange();
    range.selectNodeContents(text);
    const box = range.getBoundingClientRect();
    for (let at = node; at && at !== document.body; at = at.parentElement) {
      const { overflowX, overflowY } = getComputedStyle(at), edge = at.getBoundingClientRect();
      const low = overflowY !== "visible" && (box.bottom > edge.bottom + 1 || box.top < edge.top - 1);
      const wide = overflowX !== "visible" && (box.right > edge.right + 1 || box.left < edge.left - 1);
      if (!low && !wide) continue;
      if (![overflowX, overflowY].some((how) => how === "auto" || how === "scroll") || !reached(at)) {
        found.add((at.id || at.className || at.tagName) + ": " + text.textContent.trim().slice(0, 60));
      }
      break; // what can be scrolled here may be anywhere further out
    }
  }
  return [...found];
}
