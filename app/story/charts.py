"""Build the small tables and charts below the steps of the story: plain data, which story.js draws."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from rediprune import Explainer
from rediprune.config import PruneConfig
from rediprune.costs.estimate import Savings
from rediprune.explainer.ask import PreparedQuestion
from rediprune.explainer.encode import Encoding

from .numbers import Pick
from .words import Word

BINS = 25
NAMES = {"query": "this query", "turned": "its sign reversed", "random": "a random vector"}


def build_weight_bars(read: list[Word], share: list[float], question: tuple[int, int] | None) -> dict:
    """Return one bar for each word of the query; "own" marks those of the question.

    Args:
        read: the words.
        share: the weight of each word, summed over its tokens.
        question: the tokens of the question, [start, stop).
    """
    own = range(*question) if question else range(0)
    return {
        "kind": "bars",
        "label": "How much each word of the prompt counts in the query",
        "rows": [
            {
                "name": _spelled(word),
                "share": w / max(share),
                "text": f"{w:.1%}",
                "own": word.stop - 1 in own,
            }
            for word, w in zip(read, share, strict=True)
        ],
    }


def build_word_chips(read: list[Word]) -> dict:
    """Return the words in their order, without weights."""
    return {"kind": "chips", "label": "The words that were read", "words": [_spelled(word) for word in read]}


def _spelled(word: Word) -> str:
    """Return a word, with its number of tokens if there are several."""
    visible = word.n_tokens - word.blank
    return word.text if visible < 2 else f"{word.text} ({visible} tokens)"


def build_histogram(series: dict[str, Tensor]) -> dict:
    """Return how many tokens have which relevance, on one scale that is symmetric around 0."""
    most = max(float(values.abs().max()) for values in series.values()) or 1.0
    return {
        "kind": "histogram",
        "label": "How many tokens have which relevance",
        "low": f"{-most:.2f}",
        "high": f"{most:.2f}",
        "series": [
            {
                "key": name,
                "name": NAMES[name],
                "counts": torch.histc(values.float().cpu(), BINS, -most, most).int().tolist(),
            }
            for name, values in series.items()
        ],
    }


def build_pick_table(found: list[Pick], look: Encoding, config: PruneConfig) -> dict:
    """Return the arithmetic of every pick, and the runner-up."""
    rows = []
    for i, pick in enumerate(found):
        row = [str(i + 1), _where(pick.token, look)]
        if config.method == "rediprune":
            row += [
                _sum(pick, config),
                "–" if pick.rival is None else f"{_where(pick.rival, look)}: {pick.rival_score:.3f}",
            ]
        else:
            row += ["–" if x is None else f"{x:.3f}" for x in (pick.distance, pick.score)]
        rows.append(row)
    if config.method == "rediprune":
        head = ["pick", "token", "distance + α × relevance = score", "runner-up and its score"]
    else:
        head = ["pick", "token", "distance to the nearest pick", "score"]
    return {"kind": "table", "label": "The first picks", "head": head, "rows": rows}


def _sum(pick: Pick, config: PruneConfig) -> str:
    if pick.distance is None or config.weight == 1:
        return f"relevance {pick.score:.3f}"
    return f"{pick.distance:.3f} + {config.alpha:.3g} × {pick.relevance:.3f} = {pick.score:.3f}".replace(
        "× -", "× −"
    )


def _where(flat: int, look: Encoding) -> str:
    n = look.vision.shape[1]
    place, cell = look.vision.geometry[flat // n], flat % n
    frame = f"{'frame' if look.media.clip else 'view'} {flat // n + 1}, " if look.vision.shape[0] > 1 else ""
    if cell >= place.cells:
        return frame + "the whole"
    return f"{frame}row {cell // place.cols + 1}, column {cell % place.cols + 1}"


def select_random(
    explainer: Explainer, look: Encoding, asked: PreparedQuestion, config: PruneConfig
) -> Tensor:
    """Select as many tokens at random, by the seed of `config`, for comparison."""
    return explainer.select(look, asked, replace(config, method="random")).kept()


def build_prompt_bars(savings: Savings) -> dict:
    """Return both prompts as bars of text and visual tokens."""
    whole = savings.n_text + savings.n_visual_full
    rows = [("all tokens", savings.n_visual_full), ("pruned", savings.n_visual_pruned)]
    return {
        "kind": "bars",
        "label": "Tokens in the prompt",
        "rows": [
            {
                "name": name,
                "share": (savings.n_text + n) / whole,
                "text": f"{savings.n_text} + {n} = {savings.n_text + n}",
                "own": name == "pruned",
            }
            for name, n in rows
        ],
    }


def build_ratio_bars(savings: Savings) -> dict:
    """Return what is left of the compute, by each way of counting."""
    rows = [
        ("visual tokens only", savings.visual_only),
        ("whole prompt", savings.prefill),
        ("end to end", savings.end_to_end),
    ]
    return {
        "kind": "bars",
        "label": "What is left of the compute (estimate)",
        "rows": [
            {"name": name, "share": min(1.0, 1 / x), "text": f"1/{x:.2f} = {1 / x:.0%}", "own": True}
            for name, x in rows
        ],
    }
