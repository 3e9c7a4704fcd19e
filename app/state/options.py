"""List the page's options and slider positions in words, and turn them into a PruneConfig."""

from __future__ import annotations

from dataclasses import replace

from rediprune import Explainer, PruneConfig, alpha_from_weight

# The positions of the weight slider: every twentieth, and 1/3, the weight of the published alpha = 1/2.
WEIGHTS = tuple(sorted({i / 20 for i in range(21)} | {1 / 3}))

METHODS = {
    "rediprune": "ReDiPrune: relevant and diverse",
    "relevance": "Relevance only: the top K",
    "diversity": "Diversity only: far apart",
    "divprune": "DivPrune: far apart, projected",
    "cdpruner": "CDPruner: relevant and independent",
    "cls-attention": "[CLS] attention: seen by the encoder",
    "grid": "Uniform grid",
    "random": "Random",
}
BUDGETS = {
    "frame": "Per frame (published)",
    "shared": "Across frames (ours)",
}
QUERIES = {
    "prompt-tail": "End of the prompt (published)",
    "text-tower/cosine": "CLIP text encoder",
    "text-tower/negated": "CLIP text encoder, sign reversed",
    "text-tower/value": "CLIP text encoder, value path",
}
QUERY_WORDS = {
    "prompt-tail": "The language model's own word vectors of the last part of the prompt, folded to the "
    "width of the patches. Words and patches live in different spaces here.",
    "text-tower/cosine": "Cosine of the question and each patch in the joint space of image and text.",
    "text-tower/negated": "Minus the cosine: in some CLIP models the background scores above the object.",
    "text-tower/value": "Patches enter the joint space by the last block's value path, unmixed by attention.",
}


def default_query(explainer: Explainer) -> str:
    """Return the option that stands for the model's default query."""
    return query_name(explainer.defaults)


def method_choices(explainer: Explainer) -> list[tuple[str, str]]:
    """Return (words, value) of the methods that can select this model's tokens."""
    return [(words, name) for name, words in METHODS.items() if name in explainer.methods]


def query_choices(explainer: Explainer) -> list[tuple[str, str]]:
    """Return (words, value) of the queries that this model can build; the default one is marked."""
    found = []
    for name, words in QUERIES.items():
        query, _, pointing = name.partition("/")
        if query in explainer.queries and (not pointing or pointing in explainer.pointings):
            found.append((words + (" (default)" if name == default_query(explainer) else ""), name))
    return found


def to_prune_config(
    explainer: Explainer, sliders: dict, method: str, query: str, budget: str = "frame"
) -> PruneConfig:
    """Return the PruneConfig of the page's settings; the weight is that of the nearest slider position.

    Raises:
        ValueError: anything out of range.
    """
    try:
        keep, weight = float(sliders["keep"]), float(sliders["weight"])
    except (TypeError, KeyError, ValueError):
        raise ValueError("Keep ratio and weight must be numbers.") from None
    if not 0 <= weight <= 1:  # also refuses NaN
        raise ValueError(f"weight={weight} is out of range: it must be a number in [0, 1]")
    name, _, pointing = query.partition("/")
    return replace(
        explainer.defaults,
        keep_ratio=keep,
        alpha=alpha_from_weight(WEIGHTS[nearest_stop(weight)]),
        method=method,
        query=name,
        pointing=pointing or explainer.defaults.pointing,
        budget=budget,
    )


def query_name(config: PruneConfig) -> str:
    """Return the option that stands for the query of a config."""
    return config.query if config.query == "prompt-tail" else f"{config.query}/{config.pointing}"


def nearest_stop(weight: float) -> int:
    """Return the index in WEIGHTS of the position nearest to a weight in [0, 1]."""
    return min(range(len(WEIGHTS)), key=lambda i: abs(WEIGHTS[i] - weight))
