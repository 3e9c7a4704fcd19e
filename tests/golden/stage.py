"""Show the explorer on a bare page: the real files, as Gradio loads them, without Gradio, server or text."""

from __future__ import annotations

import io
from collections.abc import Iterator

from PIL import Image
from playwright.sync_api import Browser, Page

from app.page import layout, web_part
from rediprune.draw import palette

from . import run

VIEWS = ("kept", "heat", "order", "distance")
# Of the window, of the explorer in it, and device per CSS pixel.
SCREENS = {"desk": ((1280, 800), 724, 1), "phone": ((390, 844), 370, 2)}
MEDIA = {"still": run.still, "clip": run.clip}
SHOWN_FRAME = 1

# Gradio's own colours are stood in for. No text: its shape differs from machine to machine.
STYLE = """
body { margin: 0; --background-fill-secondary: #f1f5f9; }
body.dark { background: #0b0f19; --background-fill-secondary: #1e293b; }
#golden .side > :not(.legend-heat), #golden :is(.reel, .ends) { display: none !important; }
#golden .frames button { color: transparent !important; border-style: solid; }
"""
START = """async ([scripts, look, value]) => {
  await Promise.all(value.pictures.map((url) => Object.assign(new Image(), { src: url }).decode()));
  window.errors = [];
  addEventListener("error", (e) => errors.push(e.message));
  const props = { look, value, keep: 0.2, weight: 1 / 3 };
  const started = new Function("element", "props", "trigger", "watch", scripts), nothing = () => {};
  started(document.querySelector("#golden"), props, nothing, nothing);
}"""
SHOW = """async ([view, dark, at]) => {
  document.body.className = dark ? "dark" : "";
  document.querySelector("[data-view=" + view + "]").click();
  document.querySelectorAll(".frames button")[at]?.click();
  const map = document.querySelector(".map");
  for (let still = 0, paints = ""; still < 2 || map.dataset.view !== view; ) {
    await new Promise(requestAnimationFrame);
    still = map.dataset.paints === paints ? still + 1 : 0;
    paints = map.dataset.paints;
  }
  if (errors.length) throw new Error(errors.join());
}"""


def opened(
    browser: Browser, medium: str, screen: str, value: dict | None = None, look: dict | None = None
) -> Page:
    """Open a page with nothing but the explorer; `value` and `look` stand in for the real ones."""
    (width, height), room, ratio = SCREENS[screen]
    page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=ratio)
    html, css = (web_part._read(f"explorer/explorer.{kind}") for kind in ("html", "css"))
    style = f"<style>{palette.css()}{STYLE}#golden {{ {css} }}</style>"
    page.set_content(f'<!doctype html>{style}<div id="golden" style="width: {room}px">{html}</div>')
    scripts = "".join(map(web_part._read, web_part._scripts("explorer/explorer")))
    page.evaluate(START, [scripts, look or layout._look(), value or MEDIA[medium]()])
    return page


def painted(page: Page, view: str, dark: bool = False) -> Image.Image:
    """Take the picture, the film strip, and the scale with its histogram where the view has one."""
    page.evaluate(SHOW, [view, dark, SHOWN_FRAME])
    return Image.open(io.BytesIO(page.locator("#golden .stage").screenshot())).convert("RGB")


def pictures(browser: Browser, medium: str, screen: str) -> Iterator[tuple[str, Image.Image]]:
    """Take all views, light and dark, each with its name."""
    page = opened(browser, medium, screen)
    for view in VIEWS:
        for scheme in ("light", "dark"):
            yield f"{medium}-{screen}-{view}-{scheme}", painted(page, view, scheme == "dark")
    page.close()
