"""Read a link that opens the page with an example, a question and settings; unusable parts are left out.

Its parameters: scene or clip (a number), q, keep (percent), weight, method, query, budget and view;
export.js writes them. Other parameters are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from urllib.parse import parse_qs

from rediprune import Explainer
from rediprune.query.question import checked_question

from .app_state import PageRun
from .options import BUDGETS, method_choices, query_choices
from .sources import Source, scene_source, suggestions

LONGEST = 8000  # characters; a question of 2,000 takes up to 6,000 in a link
VIEWS = ("kept", "heat", "order", "distance")  # explorer.html


@dataclass(frozen=True)
class LinkedRun:
    """Hold what a link asks for, and sentences on what was left out of it."""

    run: PageRun
    sliders: dict
    notes: tuple[str, ...]


def read(search: object, before: PageRun, sliders: dict, explainer: Explainer) -> LinkedRun:
    """Return what to show for the part of an address behind its "?".

    Args:
        search: as the browser says it; not trusted.
        before, knobs: what the page stands at, for whatever the link does not say.
        explainer: the open model, which cannot do everything that another could.

    Raises:
        ValueError: far too long, or too many parts.
    """
    if not isinstance(search, str) or len(search) > LONGEST:
        raise ValueError(f"The link is longer than {LONGEST:,} characters: nothing of it is used.")
    given = {name: values[-1] for name, values in parse_qs(search.lstrip("?"), max_num_fields=64).items()}
    notes: list[str] = []

    def read_parameter(name: str, meaning: Callable[[str], object], otherwise: object) -> object:
        if name not in given:
            return otherwise
        try:
            return meaning(given[name])
        except (ValueError, OverflowError):
            notes.append(f"{name} “{given[name][:40]}”")
            return otherwise

    scene = read_parameter("scene", lambda text: scene_source(_whole(text)), None)
    clip = read_parameter("clip", lambda text: scene_source(_whole(text), clip=True), None)
    if scene and clip:
        notes.append(f"clip “{given['clip']}” beside scene “{given['scene']}”")
    source = scene or clip or (before.source if before.source.is_scene else Source(seed=0))
    question = read_parameter(
        "q", lambda text: checked_question(text, explainer.processor), suggestions(source)[0]
    )
    run = replace(
        before,
        source=source,
        question=question,
        method=read_parameter(
            "method", _one_of(name for _, name in method_choices(explainer)), before.method
        ),
        query=read_parameter("query", _one_of(name for _, name in query_choices(explainer)), before.query),
        budget=read_parameter("budget", _one_of(BUDGETS), before.budget),
    )
    read_parameter("view", _one_of(VIEWS), None)  # the browser itself turns to it
    kept = read_parameter("keep", lambda text: _within(_whole(text), 1, 100) / 100, sliders["keep"])
    weight = read_parameter("weight", lambda text: _within(float(text), 0, 1), sliders["weight"])
    left_out = (
        f"These parts of the link cannot be used here and were left out: {', '.join(notes)}." if notes else ""
    )
    return LinkedRun(run, {"keep": kept, "weight": weight}, (left_out,) if left_out else ())


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise ValueError(f"{text} is no whole number")
    return int(text)


def _within(number: float, least: float, most: float) -> float:
    if not least <= number <= most:  # NaN as well
        raise ValueError(f"{number} is out of range")
    return number


def _one_of(names: Iterable[str]) -> Callable[[str], str]:
    known = tuple(names)

    def check(text: str) -> str:
        if text not in known:
            raise ValueError(f"{text} is unknown")
        return text

    return check
