"""Hold every setting of a pruned run in PruneConfig, which refuses values that make no sense."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral, Real

METHODS = ("rediprune", "random", "grid", "relevance", "diversity", "divprune", "cdpruner", "cls-attention")
QUERIES = ("prompt-tail", "text-tower")
POINTINGS = ("cosine", "negated", "value")
BUDGETS = ("frame", "shared")
POSITIONS = ("compacted", "original")

# What each method needs. A method that is in none of these sets looks at no token.
ASKS_QUERY = frozenset({"rediprune", "relevance", "cdpruner"})  # relevance to the question
ASKS_PROJECTED = frozenset({"divprune", "cdpruner"})  # distances behind the projector
ASKS_ATTENTION = frozenset({"cls-attention"})  # the attention of the encoder's class token
MEASURES_FEATURES = frozenset({"rediprune", "diversity"})  # distances before the projector


@dataclass(frozen=True, slots=True)
class PruneConfig:
    """Hold how many visual tokens to keep, and by which rule they are chosen.

    Attributes:
        keep_ratio: share of the visual tokens to keep, in (0, 1]; K = max(1, round(N * ratio)) of every frame
            (or of all of them together, see budget).
        alpha: weight of relevance against distance, in [0, inf] (paper, eq. 4; published default 0.5).
            0 is diversity only, ``math.inf`` is relevance only.
        tau: the published candidate filter, >= 0; 0 turns it off. With tau > 0 the tokens of a small K need
            not be among those of a larger K.
        method: the rule that chooses, one of METHODS ("rediprune" is the paper's; "divprune", "cdpruner" and
            "cls-attention" are other published methods; the rest are baselines).
        query: what relevance is measured against, one of QUERIES. "prompt-tail" is the published query;
            "text-tower" is the question through the CLIP text encoder that belongs to the vision tower.
        pointing: for the text-tower query, how visual tokens enter the joint space, one of POINTINGS:
            "cosine", "negated" (for towers whose patch-text similarity has the wrong sign) or
            "value" (value path of the last block, as in MaskCLIP).
        seed: of the method random, in [0, 2**64).
        budget: how the ratio is applied where a prompt shows several frames, tiles or images, one of BUDGETS.
            "frame" (published): each keeps its own share and is chosen from alone. "shared" (ours): one
            choice among the tokens of all of them at once, so that a still frame may keep few.
        positions: the position ids of the kept tokens in the LLM, one of POSITIONS. "compacted" (published):
            consecutive, without gaps. "original": each token keeps the id it had in the unpruned prompt.

    Numbers of any type (NumPy's, fractions) are accepted and stored as plain float, the seed as plain int.

    Raises:
        ValueError: any field out of range; the message names the field, the value and the range.
    """

    keep_ratio: float = 0.15
    alpha: float = 0.5
    tau: float = 0.0
    method: str = "rediprune"
    query: str = "prompt-tail"
    pointing: str = "cosine"
    seed: int = 0
    budget: str = "frame"
    positions: str = "compacted"

    def __post_init__(self) -> None:
        """Check every field, and store numbers as plain float and int."""
        plain = {
            "keep_ratio": _number("keep_ratio", self.keep_ratio, "(0, 1]", lambda x: 0 < x <= 1),
            "alpha": _number("alpha", self.alpha, "[0, inf]", lambda x: x >= 0),
            "tau": _number("tau", self.tau, "[0, inf)", lambda x: 0 <= x < math.inf),
            "seed": _seed(self.seed),
        }
        for name, value in plain.items():  # the class is frozen for everyone else
            object.__setattr__(self, name, value)
        _choice("method", self.method, METHODS)
        _choice("query", self.query, QUERIES)
        _choice("pointing", self.pointing, POINTINGS)
        _choice("budget", self.budget, BUDGETS)
        _choice("positions", self.positions, POSITIONS)

    @property
    def asks_query(self) -> bool:
        """Return whether the method measures relevance; if not, query and pointing have no effect."""
        return self.method in ASKS_QUERY

    @property
    def rule(self) -> str:
        """Describe how tokens are chosen, for captions and reports: only the settings that have an effect."""
        if self.keep_ratio == 1:
            return "every token kept, so nothing chosen"
        settings = [f"method {self.method}"]
        if self.method == "rediprune":
            settings.append(f"alpha {self.alpha:g} (weight {self.weight:.2f})")
            if self.tau > 0:
                settings.append(f"tau {self.tau:g}")
        if self.asks_query:
            settings.append(f"query {self.query}")
            if self.query == "text-tower":
                settings.append(f"pointing {self.pointing}")
        if self.method == "random":
            settings.append(f"seed {self.seed}")
        # The published values of budget and positions are not mentioned.
        if self.budget == "shared":
            settings.append("budget shared by all frames")
        if self.positions == "original":
            settings.append("original positions")
        return ", ".join(settings)

    @property
    def weight(self) -> float:
        """Return w = alpha / (1 + alpha), in [0, 1]; tokens rank by (1 - w) * distance + w * relevance."""
        if math.isinf(self.alpha):
            return 1.0
        alpha = _exact(self.alpha)
        return float(alpha / (1 + alpha))


def checked_config(config: PruneConfig | None) -> PruneConfig:
    """Return the config, or the default one for None.

    Raises:
        TypeError: neither, such as a bare keep ratio.
    """
    if config is None:
        return PruneConfig()
    if not isinstance(config, PruneConfig):
        raise TypeError(
            f"config must be a PruneConfig, such as PruneConfig(keep_ratio=0.15), not {config!r:.80}"
        )
    return config


def alpha_from_weight(weight: float) -> float:
    """Return alpha = w / (1 - w) for a natural weight w in [0, 1]; w = 1 gives ``math.inf``.

    A weight that is the float nearest to a simple fraction counts as that fraction: 1 / 3 gives 0.5 and not
    0.49999999999999994, so that PruneConfig(alpha=...) equals the one that was meant.
    """
    weight = _number("weight", weight, "[0, 1]", lambda x: 0 <= x <= 1)
    return math.inf if weight == 1 else float(_exact(weight) / (1 - _exact(weight)))


def kept_all_notes(keep_ratio: float, kept: int, n_tokens: int) -> tuple[str, ...]:
    """Return one sentence where a ratio below 1 kept all n_tokens visual tokens, by rounding; else none."""
    if keep_ratio == 1 or kept < n_tokens:
        return ()
    return (
        f"keep_ratio={keep_ratio:g} keeps all {n_tokens} visual tokens, so nothing was pruned: choose a "
        "smaller ratio, or 1 to run unpruned on purpose.",
    )


def kept_count(n_tokens: int, keep_ratio: float) -> int:
    """Return K = max(1, round(N * keep_ratio)), at most N; halves round to even, as in the published code.

    Raises:
        ValueError: a ratio outside (0, 1], or no whole number of tokens >= 0.
    """
    keep_ratio = _number("keep_ratio", keep_ratio, "(0, 1]", lambda x: 0 < x <= 1)
    if not isinstance(n_tokens, Integral) or n_tokens < 0:
        raise ValueError(f"n_tokens={n_tokens!r} is out of range: it must be a whole number >= 0")
    return min(n_tokens, max(1, round(n_tokens * keep_ratio)))


def _exact(number: float) -> Fraction:
    """Return the simple fraction whose nearest float this is; where there is none, the float's own value."""
    simple = Fraction(number).limit_denominator(10_000)
    return simple if float(simple) == number else Fraction(number)


def _number(field: str, value: object, span: str, inside: Callable[[float], bool]) -> float:
    """Return the value as a plain float, if `inside` holds for it; `span` names that range in the error."""
    # bool is an int in Python and never meant here. NaN fails every comparison, so `inside` refuses it.
    # `inside` gets the plain float, which may be 0 where a tiny fraction was not.
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):  # an int larger than every float
            if inside(plain := float(value)):
                return plain
    raise ValueError(f"{field}={_quote(value)} is out of range: it must be a number in {span}")


def _seed(value: object) -> int:
    """Return the value as a plain int, if it can seed a generator."""
    # The range of torch.Generator.manual_seed, which takes plain ints only.
    if isinstance(value, bool) or not isinstance(value, Integral) or not 0 <= int(value) < 2**64:
        raise ValueError(f"seed={_quote(value)} is out of range: it must be a whole number in [0, 2**64)")
    return int(value)


def _choice(field: str, value: object, names: tuple[str, ...]) -> None:
    """Refuse a value that is not one of the names."""
    if value not in names:
        raise ValueError(f"{field}={_quote(value)} is unknown: choose one of {', '.join(names)}")


def _quote(value: object) -> str:
    """Return a value as text of at most 80 characters; settings come from files too, of any size."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write out a whole number of more than 4,300 digits
        return "a whole number of thousands of digits"
    if isinstance(value, Real) or len(text) <= 80:
        return text
    return f"{text[:77]}..."
