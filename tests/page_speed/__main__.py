"""Measure everything; write docs/page-speed.json and the table in docs/speed-of-the-page.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from rediprune.evaluation.marked_tables import write_marked_tables
from tests.conftest import BROWSER_FLAGS  # before the page: this takes the process off the network
from tests.support import chromium

from . import __doc__ as about
from .hand import measure_size
from .made_up import SIZES, message
from .page import served

DOCS = Path(__file__).parents[2] / "docs"
NAME = "page-speed-table"
DESK = {"width": 1280, "height": 800}
FRAME_MS = 1000 / 60
REPEATS, WARM_UP = 40, 8


def runs(browser: Browser, ratios: list[float], repeats: int) -> list[dict]:
    """Measure each size at each pixel ratio, each on a page of its own."""
    found = []
    began = time.perf_counter()
    with served() as (address, show):
        for ratio in ratios:
            for size, (*_, frames) in SIZES.items():
                with browser.new_context(viewport=DESK, device_scale_factor=ratio) as context:
                    page = context.new_page()
                    page.goto(address)
                    page.locator("#rp-explorer .map[data-kept]").wait_for()
                    one = measure_size(page, show, size, repeats=repeats, warm_up=WARM_UP)
                message_kib = round(len(json.dumps(message(size, False))) / 1024)
                found.append(
                    {"size": size, "pixel_ratio": ratio, "aim_ms": round(frames * FRAME_MS, 1)}
                    | {"message_kib": message_kib, **one}
                )
                print(f"{time.perf_counter() - began:4.0f} s: {size}, pixel ratio {ratio:g}", flush=True)
    return found


def body(found: dict) -> str:
    """Write the table from what the JSON file holds."""
    setup = "{machine}; Chromium {chromium}, headless, no GPU; {repeats} moves of each kind after {warm_up}."
    head = ["tokens", "pixel ratio", "what moves", "aim", "work", "input to frame", "through the server"]
    lines = [setup.format(**found) + " Milliseconds, median (p95).", ""]
    lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for run in found["runs"]:
        for name, one in run["gestures"].items():
            missed = " \\*" if one["work"]["p95"] > run["aim_ms"] else ""
            cells = [run["size"], f"{run['pixel_ratio']:g}", name, f"{run['aim_ms']}"]
            cells += [_cell(one["work"]) + missed, _cell(one["frame"]), _cell(run["server"])]
            lines += ["| " + " | ".join(cells) + " |"]
    asked = sum(run["requests"] for run in found["runs"])
    sizes = {run["size"]: run["message_kib"] for run in found["runs"]}
    lines += [
        "",
        f"\\* misses the aim at p95. Requests during all moves: {asked}. Size of the server's message: ",
    ]
    lines[-1] += ", ".join(f"{size}: {kib:,} KiB" for size, kib in sizes.items()) + "."
    return "\n".join(lines)


def _cell(x: dict[str, float]) -> str:
    return f"{x['median']:.1f} ({x['p95']:.1f})"


def machine() -> str:
    """Describe system, processor and cores, as far as the system tells them."""
    named = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        named = models[0].partition(":")[2].strip() if models else named
    return f"{platform.system()}, {named}, {os.cpu_count()} cores"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.page_speed", description=about)
    parser.add_argument("--repeats", type=int, default=REPEATS, help="moves of each kind that count")
    parser.add_argument("--pixel-ratio", type=float, nargs="+", default=[1.0, 2.0])
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the JSON file and the docs page")
    args = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=list(BROWSER_FLAGS))
        found = {"machine": machine(), "chromium": browser.version, "repeats": args.repeats}
        found |= {"warm_up": WARM_UP, "runs": runs(browser, args.pixel_ratio, args.repeats)}
        browser.close()
    (args.docs / "page-speed.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    page = args.docs / "speed-of-the-page.md"
    page.write_text(
        write_marked_tables(page.read_text(encoding="utf-8"), {NAME: body(found)}), encoding="utf-8"
    )
    print(body(found))


if __name__ == "__main__":
    main()
