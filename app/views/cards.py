"""Records -> what the cards read: dicts of text and numbers. No model, no Gradio."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from html import escape
from typing import Any

from rediprune.costs.estimate import Savings, definition
from rediprune.costs.stopwatch import Timing, was_interrupted
from rediprune.trace import Agreement, Answer

RATIOS = (
    ("visual_only", "visual tokens only"),
    ("prefill", "whole prompt"),
    ("end_to_end", "end to end"),
)
STATIONS = ("vision", "selection", "projector", "prefill", "decode")
STATION_WORDS = ("vision encoder", "selection", "projector", "prefill", "decode")
# What a number says, in front of its formula.
PLAIN = {
    "visual_only": "Compute for the visual tokens, times less.",
    "prefill": "Compute to read the whole prompt, times less.",
    "end_to_end": "Compute from picture to last word, times less.",
    "kv_bytes": "What the language model keeps in memory of the prompt.",
}
A_GUESS = 0.5  # an answer less likely than this from all tokens is said to be a guess; our own choice
AGREEMENT = (
    "How likely the unpruned answer's words are, from all tokens and from those kept. Below "
    f"{A_GUESS:.0%} from all: a guess. Apart: difference of the logarithms, in nats. KL: how differently "
    "both guess the first word; 0 is agreement."
)
WEIGHT = (
    "What the next token is chosen by: how well it fits the question against how unlike the tokens already "
    "kept it is. 1: relevance alone. 0: difference alone."
)
RELEVANCE = (
    "How well a patch fits the question: a cosine, between -1 and 1. The scale runs from the least to the "
    "most relevant patch of this picture, so colours compare patches, not pictures."
)
BUDGET = (
    "What the keep ratio is a share of. Each frame: every frame keeps the same share of its own tokens, as "
    "published. Shared: one choice among the tokens of all frames, so that a frame that shows nothing new "
    "keeps few."
)
ORDER = (
    "When the rule picked a token: 1 came first. Fewer kept tokens are the first ones of more; the numbers "
    "stay where they are when the keep ratio moves."
)
DISTANCE = (
    "How unlike a dropped token is to the kept token nearest to it: a cosine distance between 0 and 2, "
    "before the projector. The scale ends at the farthest of these."
)
BUSY = "not reliable: the machine was busy"
MEASURED = (
    "Wall clock on this machine. Prefill: projector and language model over the whole prompt, up to the "
    "first token. The vision encoder is not in it: it ran once for the picture."
)


@dataclass(frozen=True)
class PageUpdate:
    """What changes on the page; None leaves a part as it is. `run` is what the answers then belong to."""

    explorer: dict | None = None
    answers: dict | None = None
    savings: dict | None = None
    notice: dict | None = None
    question: str | None = None
    suggestions: list[str] | None = None
    photo: dict | None = None
    clip: dict | None = None
    budget: dict | None = None
    method: dict | None = None
    query: dict | None = None
    outside: dict | None = None
    models: dict | None = None
    sliders: dict | None = None
    run: Any = None


def cleared_update() -> dict:
    """What Gradio reads as: empty the component. A new one each time, for Gradio takes it apart."""
    return {"value": None, "__type__": "update"}


def budget_update(frames: int) -> dict:
    """The menu of budgets, open only where there is more than one frame; else its label says why not."""
    label = "Budget" if frames > 1 else "Budget: only one frame"
    return {"interactive": frames > 1, "label": label, "__type__": "update"}


def menu(choices: list[tuple[str, str]], value: str) -> dict:
    """A menu's entries, (words, value) each: methods and queries are not the same for every model."""
    return {"choices": choices, "value": value, "__type__": "update"}


def outside(knows: str, command: str) -> dict:
    """What the model says of itself beside the place for visitors' files, where it says anything."""
    said = f"{escape(knows)} For photos, start with a public checkpoint:"
    text = f"<p>{said} <code>{escape(command)}</code></p>"
    return {"value": text if knows else "", "visible": bool(knows), "__type__": "update"}


def notice(text: str = "", kind: str = "info", code: str = "") -> dict:
    """The page's one line of news: kind "info" or "error"; `code` is shown as a command."""
    return {"text": text, "kind": kind, "code": code}


def answer(made: Answer | None, n: int, text: str = "", state: str = "done", earlier: bool = False) -> dict:
    """One card; `made` is None while it is still being made. n visual tokens go in; `earlier`: remembered.

    "seconds" are those of the whole answer and of its first word, None where there are none.
    """
    if made is None:
        return {"state": state, "text": text, "n": n, "time": ""}
    took = None
    if math.isnan(made.seconds):
        time = "Stopped before it began."
    else:
        when = "measured earlier" if earlier else "measured"
        time = f"{seconds(made.seconds)} {when}, first word after {seconds(made.first_token_seconds)}"
        first = made.first_token_seconds
        took = [made.seconds, first] if math.isfinite(made.seconds + first) else None
    return {"state": state, "text": made.text or "(no words)", "n": n, "time": time, "seconds": took}


def agreement(found: Agreement) -> str:
    """How far the pruned model agrees, in one sentence, and whether there was an answer to agree with."""
    apart = abs(found.full_on_full - found.pruned_on_full)
    full, pruned = _share(found.full_on_full), _share(found.pruned_on_full)
    verdict, whose = ("Same answer", "Its") if found.same_text else ("Different answer", "The unpruned one's")
    if found.full_on_full < math.log(A_GUESS):
        verdict += ", but a guess" if found.same_text else ", and a guess"
    return (
        f"{verdict}. {whose} probability: {full} from all tokens, {pruned} from those kept "
        f"({apart:.2f} nats apart). First word: KL {found.kl_first:.3f} nats."
    )


def savings(
    by_percent: list[Savings], keep: float, measured: str, mine: Savings | None = None, own: str = ""
) -> dict:
    """The estimates of every percent of keep ratio, 1 to 100, and the measured times of the last answer.

    `mine` is the estimate for the tokens `own` ("3,17,..."), where the answer is of a visitor's own choice.

    The table goes as one string: Gradio compares nested values number by number, a string at once.
    """
    rows = [_row(s) for s in by_percent]
    table = {
        "keep": keep,
        "ratios": RATIOS,
        "stations": STATION_WORDS,
        "full": [getattr(by_percent[0].full, station) for station in STATIONS],
        "kv_full": by_percent[0].kv_bytes_full,
        "rows": rows,
        "mine": None if mine is None else _row(mine),
        "own": own,
        "definitions": {
            **{name: f"{plain} {definition(name)}" for name, plain in PLAIN.items()},
            "measured": MEASURED,
            "agreement": AGREEMENT,
            "weight": WEIGHT,
            "relevance": RELEVANCE,
            "budget": BUDGET,
            "order": ORDER,
            "distance": DISTANCE,
        },
    }
    return {"table": json.dumps(table), "measured": measured}


def _row(s: Savings) -> dict:
    return {
        **{name: getattr(s, name) for name, _ in RATIOS},
        "kv": s.kv_bytes_pruned,
        "flops": [getattr(s.pruned, station) for station in STATIONS],
    }


def timing(full: Timing, pruned: Timing, doubtful: bool = False) -> str:
    """Return the prefill times side by side: medians, and from the least to the most.

    `doubtful`: the times contradict each other or the answers', so the reader is told not to rely on them.
    """

    def both(made: Timing) -> str:
        least, most = (seconds(edge) for edge in made.prefill_spread)
        return f"{seconds(made.prefill)} ({least.removesuffix(most[most.index(' ') :])}–{most})"

    said = f"prefill {both(full)} → {both(pruned)}, median of {pruned.repeats} on {pruned.device}"
    return f"{said}; {BUSY}" if doubtful else said


def single_timing_line(full: Answer, pruned: Answer, earlier: bool) -> str:
    """For models too slow to repeat: the first token of the two answers themselves; `earlier`: of `full`."""
    first, second = full.first_token_seconds, pruned.first_token_seconds
    said = f"first word {seconds(first)}{' (earlier)' if earlier else ''} → {seconds(second)}, one run each"
    return f"{said}; {BUSY}" if was_interrupted(second, first) else said


def seconds(value: float) -> str:
    """0.0123 -> "12 ms", 1.234 -> "1.2 s", NaN -> "–"."""
    if math.isnan(value):
        return "–"
    if value < 0.00995:
        return f"{value * 1000:.1f} ms"
    return f"{value * 1000:.0f} ms" if value < 0.9995 else f"{value:.1f} s"


def _share(log_probability: float) -> str:
    if math.isnan(log_probability):
        return "unknown"
    share = math.exp(min(0.0, log_probability))
    return f"{share:.0%}" if share >= 0.005 else "below 0.5%"
