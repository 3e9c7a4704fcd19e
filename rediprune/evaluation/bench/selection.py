"""Measure part 1: choosing tokens, from features to indices, against the published loop and a floor.

The floor is one product of the Gram matrix, 2 N^2 C FLOP a frame, at the rate at which this machine
multiplies large matrices. No rule that looks at all distances can be quicker, so the published time over the
floor bounds what any implementation can win. This library's selection is measured ended at K, as prune does
it, and as the full order, as the page does it. Beside the whole selection stands its loop alone, on distances
that are already computed.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ...config import PruneConfig, kept_count
from ...costs.estimate import prefill_flops
from ...models import adapter_for
from ...models.checkpoints.catalog import find
from ...selection.greedy import distances, greedy, unit
from ...selection.greedy import relevance as measure_relevance
from ...selection.select import select
from ...trace import Query
from . import published
from .dummy_inputs import N_TEXT
from .record import BenchRun, Estimate, Figure, format_number, time_calls

SHAPES = ((1, 576), (8, 144), (32, 144), (1, 2880))  # LLaVA-1.5, a clip of 8 and of 32 frames, anyres
QUICK_SHAPES = ((1, 64), (4, 32))
C, ALPHA, RATIO = 1024, 0.5, 0.15
RATE = "matrix product"
FULL, ENDED = "select", "select, ended at K"
SLOW = 4_000_000  # from this T * N * K on the published loop runs once, without warm-up


def measure(device: str, quick: bool) -> Iterator[Figure | Estimate]:
    """Yield figures of every shape at a keep ratio of 15% and as full order; random tokens, float32.

    Raises:
        RuntimeError: the published loop and the library picked different tokens from the same distances.
    """
    rounds = {"device": device, "warmup": 1 if quick else 2, "repeats": 2 if quick else 7}
    shapes = adapter_for(find("llava-hf/llava-1.5-7b-hf").on_meta()).shapes()
    size = 256 if quick else 2048
    square = torch.randn(size, size, device=device)
    yield (rate := time_calls({RATE: lambda: square @ square}, {"M": size}, **rounds)[0])
    for t, n in QUICK_SHAPES if quick else SHAPES:
        features, query = _random_tokens(t, n, device)
        yield _estimate_floor(t, n, rate)
        for k in (kept_count(n, RATIO), n):
            for figure in _compare_with_published(features, query, k, rounds):
                yield figure
                if figure.what == ENDED:
                    yield _estimate_saved_prefill(figure, shapes, rate)
            if k < n:
                yield from _measure_matrix_rows(features, k, rounds)


def _random_tokens(t: int, n: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw random tokens [T, N, C] that share a common part, as tokens of one picture do, and a query [C]."""
    source = torch.Generator().manual_seed(0)
    features = torch.randn(t, n, C, generator=source) + torch.randn(C, generator=source)
    return features.to(device), torch.randn(C, generator=source).to(device)


def _compare_with_published(
    features: torch.Tensor, query: torch.Tensor, k: int, rounds: dict
) -> Iterator[Figure]:
    """Time the library and the published code in turns: the whole selection, then the loop alone."""
    t, n, _ = features.shape
    case = {"T": t, "N": n, "C": C, "K": k}
    config = PruneConfig(keep_ratio=k / n, alpha=ALPHA)
    between = distances(features)
    relevance = measure_relevance(features, Query("prompt-tail", query))
    loops = list(zip(between, relevance, strict=True))

    def loop() -> torch.Tensor:
        return torch.stack([published.pick(*frame, ALPHA, k) for frame in loops])

    def ours(n_picks: int | None = None) -> torch.Tensor:
        return greedy(features, relevance, [ALPHA], between=between, n_picks=n_picks).order[0, :, :k]

    if not torch.equal(loop(), ours()) or not torch.equal(ours(), ours(k)):
        raise RuntimeError(f"at {case} the published loop and greedy() picked different tokens")
    whole = {FULL: lambda: select(features, query, config).kept()}
    if k < n:
        whole[ENDED] = lambda: select(features, query, config, full=False).kept()
    alone = {"loop of greedy": ours} | ({"loop of greedy, ended at K": lambda: ours(k)} if k < n else {})
    theirs = {"published": lambda: published.select(features, query, ALPHA, k)}
    if t * n * k > SLOW:
        yield from time_calls(theirs, case, **rounds | {"warmup": 0, "repeats": 1})
        theirs = {}
    else:
        alone["loop of published"] = loop
    yield from time_calls(theirs | whole, case, **rounds)
    yield from time_calls(alone, case, **rounds)


def _measure_matrix_rows(features: torch.Tensor, k: int, rounds: dict) -> list[Figure]:
    """Time the whole Gram matrix beside the K single rows of it that a selection of K tokens reads."""
    x = unit(features)  # [T, N, C]
    picks = torch.linspace(0, x.shape[1] - 1, k).round().long().tolist()  # any will do

    def one_by_one() -> None:
        for i in picks:
            torch.bmm(x, x[:, i, :, None])

    calls = {"Gram matrix": lambda: x @ x.mT, "K rows of it": one_by_one}
    return time_calls(calls, {"T": x.shape[0], "N": x.shape[1], "C": C, "K": k}, **rounds)


def _estimate_floor(t: int, n: int, rate: Figure) -> Estimate:
    flops = 2 * t * n * n * C
    source = f"{flops:.3g} FLOP of the Gram matrix at {_flops_per_second(rate):.3g} FLOP/s"
    return Estimate("floor", {"T": t, "N": n, "C": C}, "s", flops / _flops_per_second(rate), source)


def _estimate_saved_prefill(ours: Figure, shapes, rate: Figure) -> Estimate:
    """Estimate the seconds of prefill that a selection saves in LLaVA-1.5-7B at this machine's rate."""
    n, k = (ours.case["T"] * ours.case[name] for name in ("N", "K"))
    saved = prefill_flops(shapes, n + N_TEXT) - prefill_flops(shapes, k + N_TEXT)
    source = f"{saved:.3g} FLOP of LLaVA-1.5-7B's prefill at {_flops_per_second(rate):.3g} FLOP/s"
    return Estimate("prefill saved", dict(ours.case), "s", saved / _flops_per_second(rate), source)


def _flops_per_second(rate: Figure) -> float:
    """Return the median FLOP/s of the large matrix product."""
    return 2 * rate.case["M"] ** 3 / rate.median


def tables(run: BenchRun) -> dict[str, str]:
    """Make the tables of whole selections, of their loops alone, and of rows beside the Gram matrix."""
    whole = [
        "| tokens | kept | published | ours, full order | ours, ended at K | times quicker "
        "| floor (share of ours) | times quicker, at most | share of prefill |",
        "|---" * 9 + "|",
    ]
    loops = [
        "| tokens | kept | published loop | ours, full order | ours, ended at K | times quicker |",
        "|---" * 6 + "|",
    ]
    for order in (figure for figure in run.measured if figure.what == FULL):
        case = order.case
        published = run.figure("published", **case)
        size = f"{case['T']} x {case['N']:,} | {case['K']:,}"
        floor = run.estimate("floor", T=case["T"], N=case["N"]).value
        ended, loop, loop_ended = (
            [one for one in run.measured if one.what == name and one.case == case]
            for name in (ENDED, "loop of greedy", "loop of greedy, ended at K")
        )
        ours = (ended or [order])[0].median
        share = ""
        if case["K"] < case["N"]:
            share = f"{ours / run.estimate('prefill saved', **case).value:.3%}"
        cells = _format_seconds(published), _format_seconds(order), _format_seconds(ended[0]) if ended else ""
        whole.append(
            f"| {size} | {' | '.join(cells)} | {published.median / ours:.1f} | {format_number(floor, 's')} "
            f"({floor / ours:.0%}) | {published.median / floor:.1f} | {share} |"
        )
        for theirs in (one for one in run.measured if one.what == "loop of published" and one.case == case):
            cells = (
                _format_seconds(theirs),
                _format_seconds(loop[0]),
                _format_seconds(loop_ended[0]) if loop_ended else "",
            )
            quickest = (loop_ended or loop)[0].median
            loops.append(f"| {size} | {' | '.join(cells)} | {theirs.median / quickest:.0f} |")
    rows = ["| tokens | kept | Gram matrix | its K rows, one by one |", "|---" * 4 + "|"]
    for one_by_one in (figure for figure in run.measured if figure.what == "K rows of it"):
        case = one_by_one.case
        matrix = run.figure("Gram matrix", **case)
        size = f"{case['T']} x {case['N']:,} | {case['K']:,}"
        rows.append(f"| {size} | {_format_seconds(matrix)} | {_format_seconds(one_by_one)} |")
    made = {"selection": whole, "loops": loops, "rows": rows}
    return {f"{name}-table": "\n".join(lines) for name, lines in made.items()}


def figures(run: BenchRun) -> dict[str, str]:
    """Return no charts: the tables hold everything."""
    return {}


def _format_seconds(figure: Figure) -> str:
    """Format a median with its spread, or as one run without a spread."""
    if figure.repeats == 1:
        return f"{format_number(figure.median, 's')} (one run)"
    low, high = format_number(figure.low, "s"), format_number(figure.high, "s")
    return f"{format_number(figure.median, 's')} ({low}..{high})"
