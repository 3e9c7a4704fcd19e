// @ts-check
// What every part of the page begins with: what the parts share, and how a part finds and makes its nodes. Text goes in
// by textContent, so that nothing of a model or a visitor is ever read as HTML.
const shared = (window.rediprune ||= {});
const find = (selector) => element.querySelector(selector);
const make = (tag, text, className) => {
  const node = document.createElement(tag);
  node.textContent = text ?? "";
  if (className) node.className = className;
  return node;
};
// A box that scrolls takes the focus, so that the arrow keys reach what does not fit into it; any other does not.
// `name` says what it is, where nothing else does.
const reachable = (box, name = "") => {
  const judge = () => {
    const scrolls = box.scrollHeight > box.clientHeight || box.scrollWidth > box.clientWidth;
    if (scrolls === box.hasAttribute("tabindex")) return;
    const marks = { tabindex: "0", ...(name && { role: "region", "aria-label": name }) };
    for (const [mark, said] of Object.entries(marks)) {
      if (scrolls) box.setAttribute(mark, said);
      else box.removeAttribute(mark);
    }
  };
  new ResizeObserver(judge).observe(box);
  new MutationObserver(judge).observe(box, { childList: true, characterData: true, subtree: true });
};
