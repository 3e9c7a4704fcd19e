"""Turn records into what the cards show: dicts of text and numbers. No model, no Gradio."""

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
# Said in front of the formula of a number.
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
    """Hold what changes on the page; None leaves a part as it is. `run` is what the answers belong to."""

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
    """Return what lets Gradio empty a component; a new dict each time, because Gradio takes it apart."""
    return {"value": None, "__type__": "update"}


def budget_update(frames: int) -> dict:
    """Return the change of the budget dropdown: usable for several frames, else its label says why not."""
    label = "Budget" if frames > 1 else "Budget: only one frame"
    return {"interactive": frames > 1, "label": label, "__type__": "update"}


def dropdown_update(choices: list[tuple[str, str]], value: str) -> dict:
    """Return a dropdown's new choices, (words, value) each, because not every model has all of them."""
    return {"choices": choices, "value": value, "__type__": "update"}


def outside_update(knows: str, command: str) -> dict:
    """Return the hint beside the place for visitors' files: what the model knows; hidden if that is empty."""
    hint = f"{escape(knows)} For photos, start with a public checkpoint:"
    text = f"<p>{hint} <code>{escape(command)}</code></p>"
    return {"value": text if knows else "", "visible": bool(knows), "__type__": "update"}


def notice(text: str = "", kind: str = "info", code: str = "") -> dict:
    """Return the page's one line of notices: kind "info" or "error"; `code` is shown as a command."""
    return {"text": text, "kind": kind, "code": code}


def answer_card(
    made: Answer | None, n: int, text: str = "", state: str = "done", earlier: bool = False
) -> dict:
    """Return what one answer card shows.

    Args:
        made: the answer; None while it is still being made.
        n: number of visual tokens that go in.
        text: the words so far, if there is no answer yet.
        state: "wait", "stream" or "done".
        earlier: whether the answer was remembered and not made now.

    Returns:
        "seconds" holds the time of the whole answer and of its first word, None if they are not known.
    """
    if made is None:
        return {"state": state, "text": text, "n": n, "time": ""}
    took = None
    if math.isnan(made.seconds):
        time = "Stopped before it began."
    else:
        when = "measured earlier" if earlier else "measured"
        first = made.first_token_seconds
        time = f"{format_seconds(made.seconds)} {when}, first word after {format_seconds(first)}"
        took = [made.seconds, first] if math.isfinite(made.seconds + first) else None
    return {"state": state, "text": made.text or "(no words)", "n": n, "time": time, "seconds": took}


def agreement_line(found: Agreement) -> str:
    """Return how far the pruned model agrees, and whether the unpruned answer was more than a guess."""
    apart = abs(found.full_on_full - found.pruned_on_full)
    full, pruned = _share(found.full_on_full), _share(found.pruned_on_full)
    is_guess = found.full_on_full < math.log(A_GUESS)
    if found.same_text:
        verdict = "Same answer, but a guess" if is_guess else "Same answer"
        whose = "Its"
    else:
        verdict = "Different answer, and a guess" if is_guess else "Different answer"
        whose = "The unpruned one's"
    return (
        f"{verdict}. {whose} probability: {full} from all tokens, {pruned} from those kept "
        f"({apart:.2f} nats apart). First word: KL {found.kl_first:.3f} nats."
    )


def savings_card(
    by_percent: list[Savings],
    keep: float,
    measured: str,
    by_hand: Savings | None = None,
    user_tokens: str = "",
) -> dict:
    """Return the estimates for every percent of keep ratio, 1 to 100, and the measured times.

    The table goes as one string: Gradio compares nested values number by number, a string at once.

    Args:
        by_percent: 100 estimates.
        keep: the keep ratio of the answer.
        measured: one line about the measured times of the last answer.
        by_hand: the estimate for the tokens that the visitor chose, if the answer is from those.
        user_tokens: these tokens as "3,17,...".
    """
    rows = [_row(s) for s in by_percent]
    table = {
        "keep": keep,
        "ratios": RATIOS,
        "stations": STATION_WORDS,
        "full": [getattr(by_percent[0].full, station) for station in STATIONS],
        "kv_full": by_percent[0].kv_bytes_full,
        "rows": rows,
        "mine": None if by_hand is None else _row(by_hand),
        "own": user_tokens,
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


def timing_line(full: Timing, pruned: Timing, doubtful: bool = False) -> str:
    """Return the prefill times side by side: medians, and from the least to the most.

    Args:
        full, pruned: times of the unpruned and of the pruned prompt.
        doubtful: whether they contradict each other or those of the answers; the line then says so.
    """

    def both(made: Timing) -> str:
        least, most = (format_seconds(edge) for edge in made.prefill_spread)
        return f"{format_seconds(made.prefill)} ({least.removesuffix(most[most.index(' ') :])}–{most})"

    line = f"prefill {both(full)} → {both(pruned)}, median of {pruned.repeats} on {pruned.device}"
    return f"{line}; {BUSY}" if doubtful else line


def single_timing_line(full: Answer, pruned: Answer, earlier: bool) -> str:
    """Return the times to the first word of the two answers, for models that are too slow to time again.

    Args:
        full, pruned: both answers.
        earlier: whether the time of `full` is from an earlier run.
    """
    first, second = full.first_token_seconds, pruned.first_token_seconds
    mark = " (earlier)" if earlier else ""
    line = f"first word {format_seconds(first)}{mark} → {format_seconds(second)}, one run each"
    return f"{line}; {BUSY}" if was_interrupted(second, first) else line


def format_seconds(value: float) -> str:
    """Return seconds as text: 0.0123 -> "12 ms", 1.234 -> "1.2 s", NaN -> "–"."""
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
