"""PruneConfig: every dial of a pruned run, refused early when it makes no sense."""

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
ASKS_QUERY = frozenset({"rediprune", "relevance", "cdpruner"})  # the methods that measure relevance
ASKS_PROJECTED = frozenset({"divprune", "cdpruner"})  # that measure distances behind the projector
ASKS_ATTENTION = frozenset({"cls-attention"})  # that need an encoder with a class token
MEASURES_FEATURES = frozenset({"rediprune", "diversity"})  # that measure distances before the projector


@dataclass(frozen=True, slots=True)
class PruneConfig:
    """How many visual tokens to keep, and which.

    Attributes:
        keep_ratio: share of the visual tokens to keep, in (0, 1]; K = max(1, round(N * ratio)) of every frame
            (or of all of them together, see budget).
        alpha: weight of relevance against distance, in [0, inf] (paper, eq. 4; published default 0.5).
            0 is diversity only, ``math.inf`` is relevance only.
        tau: the published candidate filter, >= 0; 0 turns it off. With tau > 0 the picks are not nested in K.
        method: which rule chooses, one of METHODS ("rediprune" is the paper's; "divprune", "cdpruner" and
            "cls-attention" are its published peers; the others are baselines).
        query: what relevance is measured against, one of QUERIES. "prompt-tail" is the published query;
            "text-tower" is the question through the CLIP text encoder that belongs to the vision tower.
        pointing: for the text-tower query, how visual tokens enter the joint space, one of POINTINGS:
            "cosine", "negated" (for towers whose patch-text similarity has the wrong sign) or
            "value" (value path of the last block, as in MaskCLIP).
        seed: for the random method, in [0, 2**64).
        budget: over what the ratio is spent where a prompt shows several frames, tiles or images, one of
            BUDGETS. "frame" (published): each keeps its own share and is chosen from alone. "shared" (ours):
            one choice among the tokens of all of them at once, so that a still frame may keep few.
        positions: where the LLM thinks the kept tokens stand, one of POSITIONS. "compacted" (published): they
            move together, without gaps. "original": each keeps the position it had in the whole prompt.

    Numbers of any kind are taken (NumPy's, fractions) and stored as plain float, the seed as plain int.

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
        """Whether the method measures relevance; if not, query and pointing play no part."""
        return self.method in ASKS_QUERY

    @property
    def rule(self) -> str:
        """How tokens are chosen, for captions and reports: the dials that act, and none that does not."""
        if self.keep_ratio == 1:
            return "every token kept, so nothing chosen"
        dials = [f"method {self.method}"]
        if self.method == "rediprune":
            dials.append(f"alpha {self.alpha:g} (weight {self.weight:.2f})")
            dials += [f"tau {self.tau:g}"] if self.tau > 0 else []
        if self.asks_query:
            dials.append(f"query {self.query}")
            dials += [f"pointing {self.pointing}"] if self.query == "text-tower" else []
        if self.method == "random":
            dials.append(f"seed {self.seed}")
        # The published settings of these two go without saying.
        dials += ["budget shared by all frames"] if self.budget == "shared" else []
        dials += ["original positions"] if self.positions == "original" else []
        return ", ".join(dials)

    @property
    def weight(self) -> float:
        """The natural weight w = alpha / (1 + alpha), 0..1; score = (1 - w) * distance + w * relevance."""
        return 1.0 if math.isinf(self.alpha) else float(_exact(self.alpha) / (1 + _exact(self.alpha)))


def checked_config(config: PruneConfig | None) -> PruneConfig:
    """The same, or the default for None.

    Raises:
        TypeError: something else, such as a bare keep ratio.
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
    """K = max(1, round(N * keep_ratio)), rounding half to even as the published code does; at most N."""
    keep_ratio = _number("keep_ratio", keep_ratio, "(0, 1]", lambda x: 0 < x <= 1)
    if not isinstance(n_tokens, Integral) or n_tokens < 0:
        raise ValueError(f"n_tokens={n_tokens!r} is out of range: it must be a whole number >= 0")
    return min(n_tokens, max(1, round(n_tokens * keep_ratio)))


def _exact(number: float) -> Fraction:
    """Return the simple fraction whose nearest float this is; where there is none, the float's own value."""
    simple = Fraction(number).limit_denominator(10_000)
    return simple if float(simple) == number else Fraction(number)


def _number(field: str, value: object, span: str, inside: Callable[[float], bool]) -> float:
    # bool is an int in Python and never meant here. NaN fails every comparison, so `inside` refuses it; it is
    # asked of the plain float, which may be 0 where a tiny fraction was not.
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):  # an int beyond every float
            if inside(plain := float(value)):
                return plain
    raise ValueError(f"{field}={_shown(value)} is out of range: it must be a number in {span}")


def _seed(value: object) -> int:
    # The range of torch.Generator.manual_seed, which takes plain ints only.
    if isinstance(value, bool) or not isinstance(value, Integral) or not 0 <= int(value) < 2**64:
        raise ValueError(f"seed={_shown(value)} is out of range: it must be a whole number in [0, 2**64)")
    return int(value)


def _choice(field: str, value: object, names: tuple[str, ...]) -> None:
    if value not in names:
        raise ValueError(f"{field}={_shown(value)} is unknown: choose one of {', '.join(names)}")


def _shown(value: object) -> str:
    """Return a value as a sentence can hold it: settings come from files too, of any size."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write out a whole number of more than 4,300 digits
        return "a whole number of thousands of digits"
    if isinstance(value, Real) or len(text) <= 80:
        return text
    return f"{text[:77]}..."
