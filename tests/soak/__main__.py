"""Run the soak: `python -m tests.soak`. Everything stays on this machine and ends by itself."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import re
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import torch

from app.state.sources import Source, load_frames, suggestions
from rediprune import Explainer

from . import hostile, report
from .client import PATIENCE, HttpVisitor, PageSchema, RefusedError, crowd
from .report import Figures
from .server import ROOT, Server
from .watch import held

MOST_VISITORS, MOST_SECONDS = 100, 900
SCENES = 24  # whose answers are known before


def words(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument(
        "--visitors", type=int, default=50, help=f"1 to {MOST_VISITORS} (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=int, default=300, help=f"10 to {MOST_SECONDS} (default: %(default)s)"
    )
    parser.add_argument("--browsers", type=int, default=2, help="real browser pages among them (default: 2)")
    parser.add_argument("--restarts", type=int, default=2, choices=(0, 1, 2), help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=ROOT / "docs" / "reliability.md", help="file with the marks"
    )
    found = parser.parse_args(argv)
    if not (1 <= found.visitors <= MOST_VISITORS and 10 <= found.seconds <= MOST_SECONDS):
        parser.error("that many visitors, or that long, is not offered")
    return found


def known_answers(count: int = SCENES, first: int = 7000) -> dict[int, tuple[str, str]]:
    """Return, by the number of a scene, its first question and the model's unpruned answer to it."""
    torch.set_num_threads(1)  # as the page does for this model
    explainer = Explainer.from_pretrained()
    found = {}
    for seed in range(first, first + count):
        source = Source(seed=seed)
        question = suggestions(source)[0]
        look = explainer.look(load_frames(source)[0])
        found[seed] = (question, explainer.answer(look, explainer.ask(look, question)).text)
    return found


def crossed(cards: dict, question: str, text: str) -> str:
    """Return what shows that these cards are not the asking visitor's own; "" where nothing does."""
    if cards["at"]["question"] != question:
        return f"asked {question!r}, answered {cards['at']['question']!r}"
    if cards["full"]["text"] != text:
        return f"asked {question!r}, expected {text!r}, answered {cards['full']['text']!r}"
    return ""


async def visit(address: str, until: float, seed: int, known: dict, figures: Figures) -> None:
    """Be one visitor until the time is over: pick scenes, ask, slide; pause as a reader does."""
    chance = random.Random(seed)
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as http:
        schema = None
        while time.monotonic() < until:
            try:
                schema = schema or await PageSchema.read(http)
                visitor = HttpVisitor(http, schema)
                number = chance.choice(list(known))
                question, text = known[number]
                began = time.perf_counter()
                cards = await visitor.pick(number)
                figures.add("scene", time.perf_counter() - began)
                _check(figures, cards, question, text)
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(chance.uniform(0.2, 2))
                    began = time.perf_counter()
                    cards = await visitor.slide(chance.choice((0.1, 0.25, 0.5)), chance.random())
                    figures.add("slider", time.perf_counter() - began)
                    _check(figures, cards, question, text)
            except RefusedError as error:
                figures.refusals[_short(error)] += 1
            except httpx.HTTPError as error:  # the server is being restarted
                figures.refusals[type(error).__name__] += 1
                await asyncio.sleep(1)
            await asyncio.sleep(chance.uniform(0.2, 3))


async def attack(address: str, until: float, seed: int, folder: Path, figures: Figures) -> None:
    """Be a hostile visitor until the time is over: bad files, and calls that the page never makes."""
    chance = random.Random(seed)
    paths = hostile.files(folder, seed)
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as http:
        schema = None
        while time.monotonic() < until:
            began = time.perf_counter()
            try:
                schema = schema or await PageSchema.read(http)
                if chance.random() < 0.5:
                    await HttpVisitor(http, schema).give(chance.choice(paths))
                    figures.add("hostile file that could be read", time.perf_counter() - began)
                else:
                    reply = await chance.choice(hostile.CALLS)(http)
                    figures.add("hostile call", time.perf_counter() - began)
                    if reply.status_code not in hostile.SENTENCE_CODES:
                        figures.bare.append(f"{reply.request.url.path}: {reply.status_code}")
            except RefusedError as error:
                figures.refusals[_short(error)] += 1
                if str(error) in ("None", ""):
                    figures.bare.append("an error without words")
            except httpx.HTTPError as error:
                figures.refusals[type(error).__name__] += 1
                await asyncio.sleep(1)
            await asyncio.sleep(chance.uniform(0.1, 1))


async def look_on(server: Server, until: float, figures: Figures) -> None:
    """Note what the server holds, again and again."""
    began = time.monotonic()
    while time.monotonic() < until:
        if server.process is not None and server.process.poll() is None:
            figures.held.append((time.monotonic() - began, held(server.process.pid, server.uploads)))
        await asyncio.sleep(5)


async def interrupt(server: Server, until: float, times: int, figures: Figures) -> None:
    """End the server in the middle, first by SIGTERM and then by SIGKILL, and start it again."""
    span = until - time.monotonic()
    for share, how in ((0.4, signal.SIGTERM), (0.3, signal.SIGKILL))[:times]:
        await asyncio.sleep(span * share)
        status = await asyncio.to_thread(server.end, how)
        figures.restarts.append((how.name, status))
        await asyncio.to_thread(server.start)


def browse(address: str, pages: int, until: float, known: dict, figures: Figures) -> None:
    """Be some visitors with real browsers, in this thread: open a scene by its link and read both cards."""
    from playwright.sync_api import Error, expect, sync_playwright

    from tests.conftest import BROWSER_FLAGS
    from tests.support import chromium

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium.find(), args=list(BROWSER_FLAGS))
        opened = [running.new_page() for _ in range(pages)]
        chance = random.Random(1)
        while time.monotonic() < until:
            for page in opened:
                number = chance.choice(list(known))
                question, text = known[number]
                began = time.perf_counter()
                try:
                    page.goto(f"{address}?scene={number}", timeout=60_000)
                    shown_question = page.locator("#rp-answers .question")
                    expect(shown_question).to_have_text(question, timeout=60_000)
                    expect(page.locator("#rp-answers .card[data-state=done]")).to_have_count(
                        2, timeout=60_000
                    )
                    read_text = page.locator("#rp-answers .card.full .text").inner_text()
                except (Error, AssertionError) as error:
                    figures.refusals["browser: " + _short(error)] += 1
                    continue
                figures.add("browser: page and answer", time.perf_counter() - began)
                if read_text != (text or "(no words)"):
                    figures.wrong.append(f"browser: expected {text!r}, read {read_text!r}")
        running.close()


async def soak(server: Server, args: argparse.Namespace, known: dict, folder: Path, figures: Figures) -> None:
    """Put all visitors under the page at once; then a crowd at one moment."""
    until = time.monotonic() + args.seconds
    hostile_ones = max(1, args.visitors // 10)
    honest = max(1, args.visitors - hostile_ones - args.browsers)
    work = [visit(server.address, until, args.seed + i, known, figures) for i in range(honest)]
    work += [attack(server.address, until, args.seed + i, folder, figures) for i in range(hostile_ones)]
    work += [look_on(server, until, figures), interrupt(server, until, args.restarts, figures)]
    if args.browsers:
        work.append(asyncio.to_thread(browse, server.address, args.browsers, until, known, figures))
    await asyncio.gather(*work)
    await asyncio.sleep(2)
    seeds = [9000 + i for i in range(args.visitors)]
    for seconds, result in await crowd(server.address, args.visitors, seeds):
        if isinstance(result, dict):
            figures.crowd.append(seconds)
        else:
            figures.crowd_refused += 1


def machine() -> str:
    """Return the processor and how many cores of it there are."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    name = names[0] if names else platform.machine()
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def main(argv: list[str] | None = None) -> int:
    """Run the soak and write its figures; return 0 where nothing was seen that may not happen."""
    args = words(argv)
    figures = Figures()
    before = os.getloadavg()[0]
    known = known_answers()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as thread:
        server = Server(Path(folder))
        server.start()
        try:
            thread.submit(asyncio.run, soak(server, args, known, Path(folder), figures)).result()
        finally:
            figures.restarts.append(("SIGINT", server.end(signal.SIGINT)))
            figures.tracebacks = server.tracebacks()
            log = server.log.read_text(encoding="utf-8", errors="replace")
    figures.about = {
        "machine": machine(),
        "load average before the start": f"{before:.1f}",
        "visitors": f"{args.visitors}, {args.browsers} of them real browser pages, one in ten hostile",
        "seconds": str(args.seconds),
        "model": "the built-in one",
    }
    report.write(figures, args.out)
    print(report.table(figures))
    for problem in (*figures.wrong, *figures.bare):
        print(problem)
    if figures.tracebacks:
        print(log[log.index("Traceback") :][:4000])
    return 0 if figures.passed else 1


def _check(figures: Figures, cards: dict, question: str, text: str) -> None:
    if problem := crossed(cards, question, text):
        figures.wrong.append(problem)


def _short(error: object) -> str:
    """Return an error's words without numbers and names of files: equal ones are counted together."""
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return re.sub(r"\S*\d\S*", "#", line)[:90].replace("|", "/")


if __name__ == "__main__":
    raise SystemExit(main())
