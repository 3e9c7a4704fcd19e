"""Tell how the method worked on this input, step by step, as data. Every number is from this run."""

from __future__ import annotations

from dataclasses import dataclass

from rediprune import Explainer
from rediprune.config import ASKS_ATTENTION, ASKS_PROJECTED
from rediprune.costs.estimate import Savings
from rediprune.explainer.ask import PreparedQuestion
from rediprune.explainer.encode import Encoding
from rediprune.trace import Selection

from ..state.options import METHODS, default_query, query_name
from . import charts
from .numbers import FIRST, Against, list_first_picks, mean_distance_to_kept
from .query_step import describe_prompt_tail, describe_text_tower


@dataclass(frozen=True)
class Step:
    """Hold one step of the story.

    Attributes:
        id, title: name and heading of the step.
        text: paragraphs.
        lights: what the picture highlights: "all" tokens, relevance as "heat", the first "picks", or "kept".
        shows: charts (charts.py) below the text.
    """

    id: str
    title: str
    text: tuple[str, ...]
    lights: str
    shows: tuple[dict, ...] = ()


def build_steps(
    explainer: Explainer,
    look: Encoding,
    asked: PreparedQuestion,
    selection: Selection,
    savings: Savings,
    measured: dict[str, Against],
) -> list[Step]:
    """Return the steps of one run.

    Args:
        selection: [G, M] of the page's method.
        measured: as numbers.measure_against returns it.
    """
    return [
        _encoder(explainer, look),
        _query(explainer, look, asked, selection),
        _relevance(look, selection, measured),
        _picks(look, selection),
        _kept(explainer, look, asked, selection, measured),
        _received(savings),
        _saved(savings),
    ]


def _encoder(explainer: Explainer, look: Encoding) -> Step:
    vision, place = look.vision, look.vision.geometry[0]
    (frames, _), width = vision.shape, vision.features.shape[-1]
    what = "clip" if look.media.clip else "picture"
    sizes = "{} × {}".format(*look.media.size)
    grid = f"{place.cols} × {place.rows} patches" + (
        f" and {place.n_global} for the whole" if place.n_global else ""
    )
    if frames == 1:
        made = f"{vision.n_tokens} visual tokens: {grid}"
    else:
        each = sorted(set(vision.counts))
        counts = f"{each[0]}" if len(each) == 1 else f"{each[0]} to {each[-1]}"
        parts = "frames" if look.media.clip else "views"
        made = f"{vision.n_tokens} visual tokens: T = {frames} {parts} of N = {counts}"
    return Step(
        "encoder",
        "The encoder turns the picture into tokens",
        (
            f"This {what} of {sizes} pixels became {made}. Each token is a vector of C = {width} numbers.",
            f"Next a projector would make D = {explainer.llm_width} numbers of each, for the language model. "
            "The tokens are chosen before that: what is dropped here never reaches the projector.",
        ),
        "all",
    )


def _query(explainer: Explainer, look: Encoding, asked: PreparedQuestion, selection: Selection) -> Step:
    made = describe_text_tower if asked.query.weights is None else describe_prompt_tail
    text, show = made(look, asked, selection)
    config = selection.config
    if explainer.why_query and query_name(config) == default_query(explainer):
        text += (f"It is the default of this model. {explainer.why_query}",)
    if not config.asks_query:
        text += (f"{METHODS[config.method]}: this method does not use it. It is shown for comparison.",)
    return Step("query", "The question becomes a vector", text, "heat", (show,))


def _relevance(look: Encoding, selection: Selection, measured: dict[str, Against]) -> Step:
    own, turned, chance = (measured[name] for name in ("query", "turned", "random"))
    values, n = own.values, look.n_visual
    text = (
        "Relevance is the cosine between a token and the query. Here it runs from "
        f"{float(values.min()):.3f} to {float(values.max()):.3f}, with {float(values.median()):.3f} in the "
        "middle.",
        "Is that more than chance? With the sign reversed, the other end of the scale comes first; a random "
        f"vector (seed 0) gives {float(chance.values.min()):.3f} to {float(chance.values.max()):.3f}.",
    )
    if own.same is not None:
        k = own.same
        text += (
            f"With the reversed query, the method would keep {turned.same} of the same {k} tokens; with the "
            f"random vector, {chance.same}. {k} tokens drawn at random from {n} would include "
            f"{k * k / n:.1f} of them on average.",
        )
    return Step(
        "relevance",
        "Every token gets its relevance",
        (
            *text,
            "A high number only means: close to this vector. Look at the picture to see whether that is "
            "where the answer is.",
        ),
        "heat",
        (charts.build_histogram({name: one.values for name, one in measured.items()}),),
    )


def _picks(look: Encoding, selection: Selection) -> Step:
    config, picks = selection.config, list_first_picks(look.vision, selection)
    several = look.vision.shape[0] > 1 and config.budget == "frame"
    of = (
        "These are picks of the first frame; tokens of each frame are selected separately. "
        if several
        else ""
    )
    if config.method == "rediprune" and config.weight == 1:
        rule = "At this weight only relevance counts: always the most relevant token left."
    elif config.method == "rediprune":
        rule = (
            "The first pick is the most relevant token. After that, each time: the distance to the nearest "
            f"token already picked, plus α = {config.alpha:.3g} times the relevance. The highest sum is "
            "picked."
        )
    else:
        rule = f"{METHODS[config.method]}. Its first {len(picks)} picks:"
        if config.method in ASKS_PROJECTED | ASKS_ATTENTION:
            rule = rule.removesuffix(":") + ", by its own published formula:"
    title = f"The first {min(FIRST, len(picks))} picks, one by one"
    return Step("picks", title, (of + rule,), "picks", (charts.build_pick_table(picks, look, config),))


def _kept(
    explainer: Explainer,
    look: Encoding,
    asked: PreparedQuestion,
    selection: Selection,
    measured: dict[str, Against],
) -> Step:
    config, vision, kept = selection.config, look.vision, selection.kept()
    blind = charts.select_random(explainer, look, asked, config)
    every = measured["query"]
    here = every.relevance.flatten()[kept]
    near, by_chance = (mean_distance_to_kept(vision, chosen, config.budget) for chosen in (kept, blind))
    return Step(
        "kept",
        f"This repeats until {kept.numel()} tokens are kept",
        (
            f"{kept.numel()} of {vision.n_tokens} tokens stay, {kept.numel() / vision.n_tokens:.1%}. Their "
            f"mean relevance is {float(here.mean()):.3f}; that of all tokens is "
            f"{float(every.values.mean()):.3f}.",
            f"A token lies {near:.3f} from the nearest kept one on average (cosine distance, 0 = the "
            f"same). With {kept.numel()} tokens drawn at random it is {by_chance:.3f}. The smaller, the "
            "better the kept ones stand for the others.",
        ),
        "kept",
    )


def _received(savings: Savings) -> Step:
    text, whole, few = savings.n_text, savings.n_visual_full, savings.n_visual_pruned
    return Step(
        "received",
        "What the language model reads",
        (
            f"{text} text tokens and {few} visual tokens: {text + few} in place of {text + whole}. The "
            "kept tokens stay in their order, and close up.",
        ),
        "kept",
        (charts.build_prompt_bars(savings),),
    )


def _saved(savings: Savings) -> Step:
    pruned, full = savings.pruned, savings.full
    return Step(
        "saved",
        "What was saved, counted in three ways",
        (
            "By the papers' formula, only the visual tokens in the language model: "
            f"{savings.visual_only:.2f} times less, for {savings.n_visual_full} became "
            f"{savings.n_visual_pruned}.",
            f"But the {savings.n_text} text tokens are read in both runs: {savings.prefill:.2f} times less "
            "for the whole prompt.",
            f"And the encoder sees the whole picture either way. It was {full.vision / full.total:.0%} of "
            f"all computing and is now {pruned.vision / pruned.total:.0%}; choosing the tokens took "
            f"{pruned.selection / pruned.total:.1%}, writing {savings.n_new} answer tokens "
            f"{pruned.decode / pruned.total:.0%}. End to end: {savings.end_to_end:.2f} times less.",
            "All three are estimates from the model's shapes; none is wrong, and none may be compared with "
            "another.",
        ),
        "kept",
        (charts.build_ratio_bars(savings),),
    )
