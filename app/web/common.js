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
