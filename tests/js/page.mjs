// The page's own scripts, loaded as the page loads them: one behind the other in one scope. Which ones, and the runs
// that the tests are about, come from tests/app/web/test_js.py in the file that RP_GIVEN names.
import { readFileSync } from "node:fs";
import vm from "node:vm";

export const given = JSON.parse(readFileSync(process.env.RP_GIVEN, "utf8"));

for (const file of given.scripts) vm.runInThisContext(readFileSync(file, "utf8"), { filename: file });

// What a script declares at its top, by name: const { unpackRun } = page.
export const page = new Proxy({}, { get: (_, name) => vm.runInThisContext(name) });

export const run = (name) => page.unpackRun(structuredClone(given.runs[name].message));
export const range = (n) => Array.from({ length: n }, (_, i) => i);
export const inside = (found, picks) => range(found.all).filter(picks.inside);

// An element that remembers its listeners and text; parts() are its children by selector, made when first asked for.
export function element(parts = {}) {
  const heard = {};
  const attributes = {};
  return {
    dataset: {},
    textContent: "",
    hidden: false,
    disabled: false,
    querySelector(selector) {
      return (parts[selector] ??= element());
    },
    addEventListener(name, listener) {
      (heard[name] ??= []).push(listener);
    },
    setAttribute(name, value) {
      attributes[name] = String(value);
    },
    getAttribute: (name) => attributes[name],
    removeAttribute(name) {
      delete attributes[name];
      delete this[name];
    },
    hear(name, event = {}) {
      for (const listener of heard[name] ?? []) listener({ preventDefault() {}, ...event });
    },
  };
}
