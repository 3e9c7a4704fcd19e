"""Select which visual tokens to keep, by any method, with the evidence of every pick."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import (
    ASKS_ATTENTION,
    ASKS_PROJECTED,
    MEASURES_FEATURES,
    PruneConfig,
    checked_config,
    kept_count,
)
from ..tokens import VisionTokens
from ..trace import NO_PICK, Query, Selection
from .greedy import Grid, Picks, check_tokens, unit
from .greedy import relevance as measure_relevance
from .methods import METHODS

_BLIND = frozenset({"random", "grid"})  # they look at no token, so one order serves whatever is present


def select(
    features: Tensor,
    query: Query | Tensor | None,
    config: PruneConfig | None = None,
    alphas: Sequence[float] | None = None,
    grid: Grid | Sequence[Grid] | None = None,
    present: Tensor | None = None,
    projected: Tensor | None = None,
    attention: Tensor | None = None,
    full: bool = True,
) -> Selection:
    """Order the tokens of every frame, or of all together, by picking; every keep ratio is a prefix of it.

    Args:
        features: [T, N, C] visual tokens of T frames in any float dtype, before the projector. With
            config.budget "frame" every frame is selected on its own, with "shared" all of them at once.
        query: a Query, or a plain vector [C], or of another width, folded by the published rule
            (query.prompt_tail.fold). A method that is not among config.ASKS_QUERY asks none and takes None.
        config: the settings; default PruneConfig().
        alphas: several relevance weights in [0, inf] at once, in place of config.alpha; the order is then
            [W, G, M] instead of [G, M].
        grid: (rows, cols) of a frame's tokens, for the method grid, and how many more follow that stand for
            no place in it, if any do; or one such for each frame. By default the two factors of N nearest to
            a square, not more rows than columns.
        present: [T, N] bool, False where there is no token (see VisionTokens); at least one per frame.
        projected: [T, N, D] the same tokens behind the projector, for the methods divprune and cdpruner.
        attention: [T, N] how much the encoder's class token attends to each (see VisionTokens), finite, for
            the method cls-attention.
        full: False ends each order at the K of config.keep_ratio: the same picks with the same evidence, in
            less time, for those who will not ask for more.

    Returns:
        A Selection; `Selection.kept` gives the tokens of any keep ratio from it.

    Raises:
        ValueError: one sentence on what was wrong: shapes, NaN, infinite or all-zero features or query,
            weights out of range, a method without the query, projected tokens or attention that it needs.
    """
    with torch.no_grad():  # not as a decorator, which would hide the signature from type checkers
        return _select(
            features, query, checked_config(config), alphas, grid, present, projected, attention, full
        )


def _select(
    features: Tensor,
    query: Query | Tensor | None,
    config: PruneConfig,
    alphas: Sequence[float] | None,
    grid: Grid | Sequence[Grid] | None,
    present: Tensor | None,
    projected: Tensor | None,
    attention: Tensor | None,
    full: bool,
) -> Selection:
    """Check what `select` was given, and choose; the arguments are those of `select`."""
    check_tokens(features, "features")
    frames, n = features.shape[:2]
    present = _present(present, frames, n)
    weights = _weights(config, alphas)
    grids = _grids(frames, n, grid)

    # What the method measures: unit vectors [T, N, any width], and scores [T, N] or None.
    directions = unit(features) if config.method in MEASURES_FEATURES else None  # relevance needs them too
    relevance = None
    if config.asks_query:
        relevance = measure_relevance(features, _query(query, config), directions)
    tokens = features if directions is None else directions
    scores = relevance
    if config.method in ASKS_PROJECTED:
        tokens = unit(_projected(projected, frames, n, config.method))
        scores = None if relevance is None else relevance.to(tokens.device)
    if config.method in ASKS_ATTENTION:
        scores = _attention(attention, frames, n, config.method, features.device)

    # A group is what one budget is spent on: a frame, or all frames at once.
    shared = config.budget == "shared" and frames > 1
    groups, size = (1, frames * n) if shared else (frames, n)
    counts = [size] * groups if present is None else present.view(groups, size).sum(-1).tolist()
    ends = [kept_count(count, config.keep_ratio) for count in counts]

    def choose(tokens: Tensor, scores: Tensor | None, g: int = 0) -> Picks:
        """Run the method: on all groups where none has gaps, for then they share one K; else on group g."""
        n_picks = None if full else ends[g]
        return METHODS[config.method](tokens, scores, weights, config, grids, n_picks)

    if config.method == "grid" and shared:
        picks = _interleaved(choose(tokens, None), present)
    else:
        if shared:
            tokens = tokens.flatten(0, 1)[None]
        scores = None if scores is None else scores.reshape(groups, size)
        if present is None:
            picks = choose(tokens, scores)
        elif config.method in _BLIND:
            picks = Picks(_absent_last(choose(tokens, None).order, present), None, None)
        else:
            picks = _ragged(choose, tokens, scores, present.view(groups, size))
    if not full:
        picks = _ended(picks, ends)

    def shaped(evidence: Tensor | None) -> Tensor | None:
        """Drop the axis of weights where none were asked for; repeat an order that knows no weight."""
        if evidence is None:
            return None
        if alphas is None:
            return evidence[0]
        return evidence.expand(len(weights), -1, -1)

    if present is not None and relevance is not None:
        relevance = relevance.masked_fill(~present.to(relevance.device), math.nan)
    order, distance, score = map(shaped, picks)
    n_present = None if present is None else tuple(counts)
    cut_from = None if full else size
    return Selection(order, relevance, distance, score, weights, config, n_present, cut_from)


def select_tokens(
    vision: VisionTokens,
    query: Query | None,
    config: PruneConfig,
    alphas: Sequence[float] | None = None,
    project: Callable[[], Tensor] | None = None,
    full: bool = True,
) -> Selection:
    """Run `select` on the tokens of a model, which bring their grid, gaps and attention with them.

    `project` makes [T, N, D] of them. It is called only where the method asks for projected tokens.
    """
    grids = [(place.rows, place.cols, vision.shape[1] - place.cells) for place in vision.geometry]
    projected = project() if project and config.method in ASKS_PROJECTED else None
    given = vision.valid, projected, vision.attention
    return select(vision.features, query, config, alphas, grids, *given, full)


def _interleaved(picks: Picks, present: Tensor | None) -> Picks:
    """Merge the orders of frames into one, even in space and time: [1, T, N] -> [1, 1, T * N].

    Frames of equal counts take turns; a frame with twice the tokens of another has two turns to its one.
    """
    order = picks.order if present is None else _absent_last(picks.order, present)
    _, frames, n = order.shape
    counts = torch.full((frames,), n) if present is None else present.sum(-1).cpu()
    flat = order + torch.arange(frames, device=order.device)[:, None] * n
    # When each token's turn comes: within (0, 1) for those that are there, later for all others.
    turn = (torch.arange(n, dtype=torch.float64) + 0.5) / counts[:, None]
    return Picks(flat.flatten()[turn.flatten().argsort(stable=True).to(order.device)][None, None], None, None)


def _absent_last(order: Tensor, present: Tensor) -> Tensor:
    """Reorder [W, G, M] so that the tokens that are not there come behind all others."""
    absent = ~present.to(order.device).view(order.shape[1:]).expand_as(order)
    return order.gather(-1, absent.gather(-1, order).long().argsort(dim=-1, stable=True))


def _ragged(choose, tokens: Tensor, scores: Tensor | None, present: Tensor) -> Picks:
    """Choose group by group among the tokens that are there; the others follow in raster order."""
    groups = []
    for g, there in enumerate(present.to(tokens.device)):
        here = there.nonzero()[:, 0]
        absent = (~there).nonzero()[:, 0]
        picks = choose(tokens[g, here][None], None if scores is None else scores[g, here][None], g)
        # From places among those that are there to places in the group; then every group to one length.
        order = torch.cat([here[picks.order], absent.expand(*picks.order.shape[:2], -1)], dim=-1)
        missing = len(there) - picks.order.shape[-1]
        evidence = (e if e is None else F.pad(e, (0, missing), value=math.nan) for e in picks[1:])
        groups.append(Picks(F.pad(order, (0, len(there) - order.shape[-1]), value=NO_PICK), *evidence))
    return Picks(*(None if one[0] is None else torch.cat(one, dim=1) for one in zip(*groups, strict=True)))


def _ended(picks: Picks, ends: Sequence[int]) -> Picks:
    """Cut group g to its first ends[g] picks; pad with NO_PICK where another group has more."""
    longest = max(ends)
    behind = torch.arange(longest) >= torch.tensor(ends)[:, None]
    order, *evidence = (x if x is None else x[..., :longest] for x in picks)
    behind = behind.to(order.device)
    ended = (e if e is None else e.masked_fill(behind, math.nan) for e in evidence)
    return Picks(order.masked_fill(behind, NO_PICK), *ended)


def _present(present: Tensor | None, frames: int, n: int) -> Tensor | None:
    """Check the mask [T, N]; return it contiguous in memory, or None where every token is there."""
    if present is None:
        return None
    if present.dtype is not torch.bool or present.shape != (frames, n) or not present.any(-1).all():
        raise ValueError(
            f"present has shape {tuple(present.shape)} of {present.dtype}: it must be bool "
            f"[T, N] = {(frames, n)} with at least one token in every frame"
        )
    return None if present.all() else present.contiguous()


def _projected(projected: Tensor | None, frames: int, n: int, method: str) -> Tensor:
    """Check the projected tokens [T, N, D] and return them."""
    if projected is None:
        raise ValueError(
            f"method={method!r} measures distances behind the projector: pass projected=[T, N, D], or let "
            "Explainer or prune do it"
        )
    check_tokens(projected, "projected tokens")
    if projected.shape[:2] != (frames, n):
        raise ValueError(
            f"projected tokens have shape {tuple(projected.shape)}: they must be [T, N, D] with [T, N] = "
            f"{(frames, n)}, the features' own"
        )
    return projected


def _attention(attention: Tensor | None, frames: int, n: int, method: str, device: torch.device) -> Tensor:
    """Check the attention [T, N] and return it in float32 on the device of the features."""
    if attention is None:
        raise ValueError(
            f"method={method!r} needs the attention of a class token, which the vision encoder of these "
            "tokens does not give: choose another method"
        )
    if attention.shape != (frames, n) or not attention.isfinite().all():
        raise ValueError(
            f"attention has shape {tuple(attention.shape)}: it must be [T, N] = {(frames, n)} without NaN or "
            "infinite values"
        )
    return attention.float().to(device)


def _weights(config: PruneConfig, alphas: Sequence[float] | None) -> tuple[float, ...]:
    """Check the relevance weights and return them; without any, return the one of the config."""
    if alphas is None:
        return (config.alpha,)
    weights = tuple(float(alpha) for alpha in alphas)
    if not weights:
        raise ValueError("alphas is empty: give at least one relevance weight, or None for config.alpha")
    for w, alpha in enumerate(weights):
        if not alpha >= 0:  # NaN as well
            raise ValueError(f"alphas[{w}]={alpha!r} is out of range: it must be a number in [0, inf]")
    return weights


def _query(query: Query | Tensor | None, config: PruneConfig) -> Query:
    """Return the query, or wrap a plain vector as one."""
    if isinstance(query, Query):
        return query
    if isinstance(query, Tensor):
        return Query(config.query, query)
    raise ValueError(
        f"method={config.method!r} needs a query: a vector [C] or a rediprune.Query, not {query!r:.40}"
    )


def _grids(frames: int, n: int, grid: Grid | Sequence[Grid] | None) -> list[Grid]:
    """Return one checked grid for each frame."""
    if grid is None:
        rows = next(r for r in range(math.isqrt(n), 0, -1) if n % r == 0)
        grid = rows, n // rows
    if isinstance(grid[0], int):
        grids = [cast("tuple[int, ...]", grid)] * frames
    else:
        grids = list(cast("Sequence[tuple[int, ...]]", grid))
    if len(grids) != frames:
        raise ValueError(f"{len(grids)} grids were given for {frames} frames")
    for one in grids:
        held = math.prod(one[:2]) + sum(one[2:])
        if held != n or min(one[:2]) < 1:
            raise ValueError(f"grid={one} holds {held} tokens per frame, but the features have {n}")
    return grids
