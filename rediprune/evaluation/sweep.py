"""Sweep every method over every keep ratio on one input, beside the unpruned run.

The unpruned answer is generated and judged once. Picking orders are nested, so each order is computed once
and every ratio is a prefix of it; equal sets of kept tokens are answered once. What remains is the model's
own work: one answer and one judgement for each set of kept tokens.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from torch import Tensor

from ..config import METHODS, PruneConfig, alpha_from_weight, kept_count
from ..costs.estimate import Savings
from ..explainer.ask import PreparedQuestion
from ..explainer.encode import Encoding
from ..explainer.explainer import MAX_NEW_TOKENS, Explainer
from ..explainer.generate import kl_divergence
from ..trace import Selection

SEEDS = 5  # masks of the random method that one point averages
RATIOS = (0.05, 0.1, 0.15, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Line:
    """Hold what one curve of the sweep stands for.

    Attributes:
        method: one of METHODS.
        weight: 0..1 for the method rediprune, which has one curve per weight; otherwise None.
    """

    method: str
    weight: float | None = None

    @property
    def name(self) -> str:
        """Return the name that tables and charts show, such as "grid" or "rediprune w=0.33"."""
        return self.method if self.weight is None else f"{self.method} w={self.weight:.2f}"


@dataclass(frozen=True)
class SweepRun:
    """Hold the answer with one set of kept tokens.

    Attributes:
        kept: [K] flat token indices, ascending.
        text: the pruned model's answer.
        log_prob: log-probability of the FULL model's answer under the pruned prompt, in nats, summed over
            tokens.
        kl_first: KL(full || pruned) of the first answer token, in nats.
        same_text: whether both answers read the same.
    """

    kept: Tensor
    text: str
    log_prob: float
    kl_first: float
    same_text: bool


@dataclass(frozen=True)
class Point:
    """Hold one method at one keep ratio; the random method has one run per seed, every other method one run.

    Attributes:
        line, ratio: the settings.
        runs: at least one.
        full_text: the full model's answer.
        full_probability: probability (0..1) of the full model's answer under the whole prompt, to compare
            `probability` with.
        savings: ESTIMATE; all runs keep equally many tokens.
    """

    line: Line
    ratio: float
    runs: tuple[SweepRun, ...]
    full_text: str
    full_probability: float
    savings: Savings

    @property
    def n_kept(self) -> int:
        """Return the number of visual tokens that each run keeps."""
        return len(self.runs[0].kept)

    @property
    def probability(self) -> float:
        """Return the mean probability (0..1) of the full model's answer under the pruned prompts."""
        return fmean(math.exp(run.log_prob) for run in self.runs)

    @property
    def probability_spread(self) -> tuple[float, float]:
        """Return the (lowest, highest) probability of the full model's answer among the runs."""
        found = [math.exp(run.log_prob) for run in self.runs]
        return min(found), max(found)

    @property
    def kl_first(self) -> float:
        """Return KL(full || pruned) of the first answer token in nats, as the mean over the runs."""
        return fmean(run.kl_first for run in self.runs)

    @property
    def same_text(self) -> float:
        """Return the share (0..1) of the runs whose answer equals the unpruned one, word for word."""
        return fmean(run.same_text for run in self.runs)


def list_lines(
    methods: Sequence[str], weights: Sequence[float], known: Sequence[str] = METHODS
) -> list[Line]:
    """List the curves of a sweep: one per method, one per weight for rediprune; random is always among them.

    Raises:
        ValueError: no methods, a method that is not in `known`, or a weight outside [0, 1].
    """
    if not methods:
        raise ValueError(f"no methods to sweep: name at least one of {', '.join(known)}")
    for name in methods:
        if name not in known:
            raise ValueError(f"method={name!r} cannot be swept here: choose among {', '.join(known)}")
    for weight in weights:
        alpha_from_weight(weight)
    if "rediprune" in methods and not weights:
        raise ValueError("no weights to sweep: the method rediprune needs at least one in [0, 1]")
    found = []
    for name in dict.fromkeys([*methods, "random"]):
        found += [Line(name, w) for w in dict.fromkeys(weights)] if name == "rediprune" else [Line(name)]
    return found


def sweep(
    explainer: Explainer,
    look: Encoding,
    question: str,
    methods: Sequence[str],
    ratios: Sequence[float] = RATIOS,
    weights: Sequence[float] | None = None,
    config: PruneConfig | None = None,
    seeds: int = SEEDS,
    stop: threading.Event | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> Iterator[Point]:
    """Yield every line of `list_lines(methods, weights)` at every ratio, as each is computed; ratios ascend.

    Args:
        look: what `explainer.look` returned.
        question: what is asked about the input.
        methods: of explainer.methods; "random" is added where it is missing.
        ratios: keep ratios in (0, 1].
        weights: weights of rediprune, each in [0, 1]; default: the weight of `config`.
        config: query, pointing, budget, positions and the first seed; default explainer.defaults.
        seeds: how many random masks the random method is averaged over, >= 1.
        stop: once set, the sweep ends after the token in progress; an unfinished point is not yielded.
        max_new_tokens: longest answer, >= 1.

    Raises:
        ValueError: as `list_lines`; ratios or seeds out of range; tau > 0, whose picks are not nested.
        QuestionError: a question that cannot be asked.
    """
    config = config or explainer.defaults
    weights = [config.weight] if weights is None else list(weights)
    lines = list_lines(methods, weights, explainer.methods)
    ratios = sorted(set(ratios))
    for ratio in ratios:
        kept_count(1, ratio)  # raises ValueError for a ratio outside (0, 1]
    if not ratios or seeds < 1:
        raise ValueError(f"ratios={ratios}, seeds={seeds}: a sweep needs at least one of each")
    if config.tau > 0:
        raise ValueError(f"tau={config.tau:g} cannot be swept: with tau > 0 the picks are not nested")
    stop = stop or threading.Event()

    asked = explainer.ask(look, question, config)
    full = explainer.answer(look, asked, stop=stop, max_new_tokens=max_new_tokens)
    if stop.is_set():
        return
    whole = explainer.expects(look, asked, None, full)
    everything = look.vision.all
    known = {tuple(everything.tolist()): SweepRun(everything, full.text, whole.log_prob, 0.0, True)}

    def run(kept: Tensor) -> SweepRun | None:
        """Answer with these kept tokens, once for each set; None where `stop` came first."""
        key = tuple(kept.tolist())
        if key not in known:
            at = config.positions
            answer = explainer.answer(
                look, asked, kept, stop=stop, max_new_tokens=max_new_tokens, positions=at
            )
            if stop.is_set():
                return None
            few = explainer.expects(look, asked, kept, full, positions=at)
            apart = kl_divergence(whole.first, few.first)
            known[key] = SweepRun(kept, answer.text, few.log_prob, apart, answer.text == full.text)
        return known[key]

    orders = _orders(explainer, look, asked, lines, config, seeds)
    for ratio in ratios:
        for line in lines:
            runs: list[SweepRun] = []
            for order in orders[line]:
                if stop.is_set() or (made := run(order.kept(ratio))) is None:
                    return
                runs.append(made)
            n_new = len(full.token_ids)
            saved = explainer.savings(look, asked, runs[0].kept, n_new, line.method, config.budget)
            yield Point(line, ratio, tuple(runs), full.text, math.exp(whole.log_prob), saved)


def _orders(
    explainer: Explainer,
    look: Encoding,
    asked: PreparedQuestion,
    lines: Sequence[Line],
    config: PruneConfig,
    seeds: int,
) -> dict[Line, list[Selection]]:
    """Select the full picking orders of every line: one order each, and one per seed for random."""
    found: dict[Line, list[Selection]] = {}
    for method in dict.fromkeys(line.method for line in lines):
        mine = [line for line in lines if line.method == method]
        own = replace(config, method=method)
        if method == "random":
            each = [replace(own, seed=(config.seed + i) % 2**64) for i in range(seeds)]
            found[mine[0]] = [explainer.select(look, asked, one) for one in each]
        elif method == "rediprune":
            alphas = [alpha_from_weight(line.weight) for line in mine]
            chosen = explainer.select(look, asked, own, alphas)
            found |= {line: [chosen.at(w)] for w, line in enumerate(mine)}
        else:
            found[mine[0]] = [explainer.select(look, asked, own)]
    return found
