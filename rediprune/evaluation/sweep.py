"""How far one answer bears pruning: every method at every keep ratio, on one input, beside the unpruned run.

The unpruned answer is made and judged once. Picking orders are nested, so each is made once and every ratio
is a prefix of it; sets that come out equal are answered once. What is left is the model's own work: one
answer and one judgement for each set of kept tokens.
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

SEEDS = 5  # random: masks that one point is the mean of
RATIOS = (0.05, 0.1, 0.15, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Line:
    """One curve of the sweep: a method, and of the method rediprune one weight (0..1), else None."""

    method: str
    weight: float | None = None

    @property
    def name(self) -> str:
        return self.method if self.weight is None else f"{self.method} w={self.weight:.2f}"


@dataclass(frozen=True)
class Run:
    """What became of the answer with one set of kept tokens.

    Attributes:
        kept: [K] flat token indices, ascending.
        text: the pruned model's answer.
        log_prob: of the FULL model's answer under the pruned prompt, in nats, summed over the answer.
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
    """One method at one keep ratio; the random method has a run for each seed, every other one run.

    Attributes:
        line, ratio: what was set.
        runs: at least one.
        full_text: the full model's answer.
        full_probability: of that answer under the whole prompt, 0..1, to hold `probability` against.
        savings: ESTIMATE; all runs keep equally many tokens.
    """

    line: Line
    ratio: float
    runs: tuple[Run, ...]
    full_text: str
    full_probability: float
    savings: Savings

    @property
    def n_kept(self) -> int:
        return len(self.runs[0].kept)

    @property
    def probability(self) -> float:
        """Of the full model's whole answer under the pruned prompt, 0..1, mean over the runs."""
        return fmean(math.exp(run.log_prob) for run in self.runs)

    @property
    def probability_spread(self) -> tuple[float, float]:
        """(lowest, highest) of the runs."""
        found = [math.exp(run.log_prob) for run in self.runs]
        return min(found), max(found)

    @property
    def kl_first(self) -> float:
        """KL(full || pruned) of the first answer token in nats, mean over the runs."""
        return fmean(run.kl_first for run in self.runs)

    @property
    def same_text(self) -> float:
        """Share of the runs whose answer reads as the unpruned one, 0..1."""
        return fmean(run.same_text for run in self.runs)


def lines_of(methods: Sequence[str], weights: Sequence[float], known: Sequence[str] = METHODS) -> list[Line]:
    """The curves of a sweep: one for each method and, of rediprune, each weight; random is always among them.

    Raises:
        ValueError: no methods, one that is not among `known`, or a weight outside [0, 1].
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
    """Every line of `lines_of(methods, weights)` at every ratio, as each is computed; ratios ascending.

    Args:
        look: what `explainer.look` returned.
        methods: of explainer.methods; "random" is added where it is missing.
        ratios: keep ratios in (0, 1].
        weights: of rediprune, each in [0, 1]; default that of `config`.
        config: query, pointing, budget, positions and the first seed; default explainer.defaults.
        seeds: how many masks the random method is the mean of, >= 1.
        stop: once set, the sweep ends after the token in progress; an unfinished point is not yielded.

    Raises:
        ValueError: as `lines_of`; ratios or seeds out of range; tau > 0, whose picks are not nested.
        QuestionError: a question that cannot be asked.
    """
    config = config or explainer.defaults
    weights = [config.weight] if weights is None else list(weights)
    lines = lines_of(methods, weights, explainer.methods)
    ratios = sorted(set(ratios))
    for ratio in ratios:
        kept_count(1, ratio)  # refuses what is no ratio
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
    known = {tuple(everything.tolist()): Run(everything, full.text, whole.log_prob, 0.0, True)}

    def run(kept: Tensor) -> Run | None:
        """None where the stop came before it was done."""
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
            known[key] = Run(kept, answer.text, few.log_prob, apart, answer.text == full.text)
        return known[key]

    orders = _orders(explainer, look, asked, lines, config, seeds)
    for ratio in ratios:
        for line in lines:
            runs: list[Run] = []
            for order in orders[line]:
                if stop.is_set() or (made := run(order.kept(ratio))) is None:
                    return
                runs.append(made)
            n_new, kept = len(full.token_ids), runs[0].kept
            saved = explainer.savings(look, asked, kept, n_new, line.method, config.budget)
            yield Point(line, ratio, tuple(runs), full.text, math.exp(whole.log_prob), saved)


def _orders(
    explainer: Explainer,
    look: Encoding,
    asked: PreparedQuestion,
    lines: Sequence[Line],
    config: PruneConfig,
    seeds: int,
) -> dict[Line, list[Selection]]:
    """The full picking orders behind every line: one, or for random one for each seed."""
    found: dict[Line, list[Selection]] = {}
    for method in dict.fromkeys(line.method for line in lines):
        mine, own = [line for line in lines if line.method == method], replace(config, method=method)
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
