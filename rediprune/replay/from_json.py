"""Plain JSON values -> Trace: the way back from `export.as_dict`, for files that come from strangers.

Nothing in such a file is believed: every part has its type, its shape and its range checked, and the parts
have to fit each other. No number is calculated with before it is bounded. The tensors that JSON does not hold
are handed in, checked for being finite alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..config import PruneConfig
from ..costs.estimate import Costs, Flops, ModelShapes, Savings, estimate_from_costs
from ..tokens import Geometry, VisionTokens
from ..trace import Agreement, Answer, Query, Selection, Trace
from . import checked_json as values
from .checked_json import TraceError

MOST_FRAMES = 4096  # frames, tiles or pictures; 128 frames of a dozen tiles each are 1,536
MOST_PIXEL = 2.0**24  # a place in a picture; far more than the sides of any that can be opened
LONGEST_CLIP = 1e9  # seconds
MOST_FLOPS = 1e30  # far more than any answer costs, and far from the end of the floats
MOST_SHAPE = 2**32  # a width, or a count of layers or tokens, of a model
MOST_BYTES = 2**62  # of a KV cache
NONE_AT_TIMES = {"vision_windowed_layers", "vision_window_pairs"}  # shapes that may be 0

if TYPE_CHECKING:
    from PIL import Image


def restored(
    record: Mapping[str, Any], tensors: Mapping[str, Tensor | None], frames: tuple[Image.Image, ...]
) -> Trace:
    """The trace that `record` is the `as_dict` of.

    Args:
        record: plain values.
        tensors: "features" [T, N, C], "query" [..], and "keys" [T, N, E] and "attention" [T, N] or None.
        frames: the pictures.

    Raises:
        TraceError: something missing, of another type, shape or range, or two parts that do not fit.
    """
    config = _config(values.part(record, "config", dict))
    vision = _vision(record, tensors)
    selection = _selection(values.part(record, "selection", dict), config, vision)
    kept = _kept(values.part(record, "kept", list), vision)
    answers, measured = values.part(record, "answers", dict), values.part(record, "measured", dict)
    full, pruned = (
        _answer(values.part(answers, side, dict), values.part(measured, side, dict))
        for side in ("full", "pruned")
    )
    clip = values.part(record, "clip", bool)
    seconds = tuple(
        values.finite(s, "seconds", -LONGEST_CLIP, LONGEST_CLIP) for s in values.part(record, "seconds", list)
    )
    if not _shown_once(frames, clip, seconds, vision):
        raise TraceError("its pictures, their times and the kind of what was shown do not fit each other")
    return Trace(
        question=values.text(record, "question"),
        config=config,
        vision=vision,
        query=_query(values.part(record, "query", dict), tensors, vision),
        selection=selection,
        kept=kept,
        full=full,
        pruned=_with_kept(pruned, kept),
        savings=_savings(values.part(record, "estimated", dict)),
        agreement=_agreement(values.part(record, "agreement", dict)),
        model_name=values.text(record, "model"),
        notes=tuple(values.texts(record, "notes")),
        seconds=seconds,
        frames=frames,
        clip=clip,
        costs=None if record.get("costs") is None else _costs(values.part(record, "costs", dict), vision),
        fingerprint=values.text(record, "fingerprint"),
    )


def _config(given: Mapping[str, Any]) -> PruneConfig:
    numbers = {"keep_ratio", "alpha", "tau"}
    dials = {f.name: given.get(f.name) for f in fields(PruneConfig)}
    dials |= {name: values.number(dials[name], name) for name in numbers}
    try:
        return PruneConfig(**dials)
    except ValueError as error:
        raise TraceError(str(error)) from None


def _vision(record: Mapping[str, Any], tensors: Mapping[str, Tensor | None]) -> VisionTokens:
    features, attention = tensors["features"], tensors["attention"]
    given = values.part(record, "frames", list)
    if len(given) > MOST_FRAMES:
        raise TraceError(f"it has more than {MOST_FRAMES:,} frames")
    places = tuple(map(_geometry, given))
    if features.dim() != 3 or len(places) != len(features) or not features.numel():
        raise TraceError(f"its features have shape {list(features.shape)}, for {len(places)} frames")
    t, n = features.shape[:2]
    if any(place.cells + place.n_global > n for place in places):
        raise TraceError("a frame of it has more places than tokens")
    present = None
    if (given := record.get("present")) is not None:
        flat = values.flat(given, (t, n), "present")
        if any(type(there) is not bool for there in flat):
            raise TraceError("its present must hold true and false")
        present = torch.tensor(flat).view(t, n)
        if not present.any(-1).all():
            raise TraceError("a frame of it has no tokens")
    lacking = present is None and any(place.cells + place.n_global != n for place in places)
    if lacking or (attention is not None and attention.shape != (t, n)):
        raise TraceError("its frames, tokens and attention do not fit each other")
    if not features.flatten(0, 1).abs().amax(-1)[_there(present, t * n)].gt(0).all():
        raise TraceError("a token of it is all zeros")
    return VisionTokens(features, places, present, attention)


def _there(present: Tensor | None, n: int) -> Tensor:
    return torch.ones(n, dtype=torch.bool) if present is None else present.flatten()


def _geometry(given: object) -> Geometry:
    if not isinstance(given, dict):
        raise TraceError("its frames must be objects")
    box = tuple(_edge(edge, "box") for edge in values.part(given, "box", list))
    size = tuple(
        values.whole(side, "image_size", 1, int(MOST_PIXEL))
        for side in values.part(given, "image_size", list)
    )
    rows, cols = (values.whole(given.get(name), name, 1) for name in ("rows", "cols"))
    if len(box) != 4 or len(size) != 2:
        raise TraceError("a frame of it has no box of four numbers or no size of two")
    if box[0] >= box[2] or box[1] >= box[3]:
        raise TraceError("the box of a frame of it is empty")
    uneven = given.get("uneven")
    if uneven is not None:
        if not isinstance(uneven, list) or len(uneven) != 2:
            raise TraceError("the uneven columns and rows of a frame must be two lists")
        uneven = tuple(
            tuple(map(tuple, _spans(each, count))) for each, count in zip(uneven, (cols, rows), strict=True)
        )
    return Geometry(rows, cols, box, size, values.whole(given.get("whole"), "whole", 0), uneven)


def _edge(value: object, name: str) -> float:
    return values.finite(value, name, -MOST_PIXEL, MOST_PIXEL)


def _spans(given: object, count: int) -> list[list[float]]:
    flat = [_edge(edge, "uneven") for edge in values.flat(given, (count, 2), "uneven")]
    return [flat[i : i + 2] for i in range(0, len(flat), 2)]


def _selection(given: Mapping[str, Any], config: PruneConfig, vision: VisionTokens) -> Selection:
    t, n = vision.shape
    groups, size = (1, t * n) if config.budget == "shared" else (t, n)
    alphas = tuple(values.number(alpha, "alphas") for alpha in values.part(given, "alphas", list))
    order = values.part(given, "order", list)
    several = bool(order) and isinstance(order[0], list) and bool(order[0]) and isinstance(order[0][0], list)
    if not alphas or not all(a >= 0 for a in alphas) or (not several and len(alphas) != 1):
        raise TraceError(f"its {len(alphas)} weights and its order do not fit each other")
    shape = (*([len(alphas)] if several else []), groups, size)
    picks = [values.whole(i, "order", 0, size - 1) for i in values.flat(order, shape, "order")]
    found = torch.tensor(picks).view(shape)
    if not torch.equal(found.sort(dim=-1).values, torch.arange(size).expand(shape)):
        raise TraceError("its order does not pick every token once")
    counts = None
    if vision.valid is not None:
        counts = tuple(vision.valid.view(groups, size).sum(-1).tolist())
        there = vision.valid.view(groups, size).expand(shape).gather(-1, found)
        if not (there.int().diff(dim=-1) <= 0).all():
            raise TraceError("its order picks tokens that are not there before others that are")
    relevance = _evidence(given, "relevance", (t, n))
    if relevance is not None and relevance.flatten()[vision.all].isnan().any():
        raise TraceError("a token of it has no relevance")
    distance, score = (_evidence(given, name, shape) for name in ("distance", "score"))
    if config.method == "rediprune":
        _explained(relevance, distance, score, counts or (size,) * groups)
    return Selection(found, relevance, distance, score, alphas, config, counts)


def _explained(
    relevance: Tensor | None, distance: Tensor | None, score: Tensor | None, counts: Sequence[int]
) -> None:
    """Every pick of the rule has its numbers; only the first of each group has no distance."""
    if relevance is None or distance is None or score is None:
        raise TraceError("its picks lack their relevance, distance or score")
    at = torch.arange(score.shape[-1])
    picked = at < torch.tensor(counts)[:, None]
    if score[..., picked].isnan().any() or distance[..., picked & (at > 0)].isnan().any():
        raise TraceError("a pick of it lacks its distance or score")


def _evidence(given: Mapping[str, Any], name: str, shape: Sequence[int]) -> Tensor | None:
    if given.get(name) is None:
        return None
    numbers = [values.number(x, name) for x in values.flat(given[name], shape, name)]
    found = torch.tensor(numbers, dtype=torch.float64).float().view(tuple(shape))
    if found.isinf().any():
        raise TraceError(f"its {name} is not finite")
    return found


def _query(given: Mapping[str, Any], tensors: Mapping[str, Tensor | None], vision: VisionTokens) -> Query:
    vector, keys = tensors["query"], tensors["keys"]
    if vector.dim() != 1 or (keys is not None and keys.shape != (*vision.shape, len(vector))):
        raise TraceError("its query and the tokens in the query's space do not fit each other")
    tokens, weights = tuple(values.texts(given, "tokens")), given.get("weights")
    if weights is not None:
        shares = values.flat(weights, (len(tokens),), "weights")
        weights = torch.tensor([values.finite(w, "weights", 0, 2) for w in shares], dtype=torch.float32)
        if not (weights > 0).any():  # they are shown as shares of the largest
            raise TraceError("no token of its query has a weight")
    sign = given.get("sign")
    if sign not in (1, -1) or isinstance(sign, bool):
        raise TraceError("the sign of its query must be 1 or -1")
    return Query(values.text(given, "name"), vector, keys, tokens, weights, int(sign))


def _kept(given: list, vision: VisionTokens) -> Tensor:
    t, n = vision.shape
    kept = torch.tensor([values.whole(i, "kept", 0, t * n - 1) for i in given], dtype=torch.int64)
    if not len(kept) or (kept.diff() <= 0).any() or not torch.isin(kept, vision.all).all():
        raise TraceError("its kept tokens must be tokens that it has, ascending, each once")
    return kept


def _answer(given: Mapping[str, Any], measured: Mapping[str, Any]) -> Answer:
    return Answer(
        text=values.text(given, "text"),
        token_ids=tuple(values.whole(i, "token_ids", 0) for i in values.part(given, "token_ids", list)),
        n_visual=values.whole(given.get("n_visual"), "n_visual", 1),
        n_text=values.whole(given.get("n_text"), "n_text", 0),
        seconds=values.number(measured.get("seconds"), "seconds", 0),
        first_token_seconds=values.number(measured.get("first_token_seconds"), "first_token_seconds", 0),
    )


def _with_kept(pruned: Answer, kept: Tensor) -> Answer:
    return Answer(**{f.name: getattr(pruned, f.name) for f in fields(Answer)} | {"kept": kept})


def _savings(given: Mapping[str, Any]) -> Savings:
    full, pruned = (
        Flops(**values.all_numbers(Flops, values.part(given, side, dict))) for side in ("full", "pruned")
    )
    counts = {f.name for f in fields(Savings) if f.type == "int"}
    rest: dict[str, Any] = {
        f.name: values.whole(given.get(f.name), f.name, 0, MOST_BYTES)
        if f.name in counts
        else values.finite(given.get(f.name), f.name, 0)
        for f in fields(Savings)
        if f.type != "Flops"
    }
    return Savings(full=full, pruned=pruned, **rest)


def _agreement(given: Mapping[str, Any]) -> Agreement:
    numbers = {
        f.name: values.number(given.get(f.name), f.name) for f in fields(Agreement) if f.type == "float"
    }
    return Agreement(**numbers, same_text=values.part(given, "same_text", bool))


def _costs(given: Mapping[str, Any], vision: VisionTokens) -> Costs:
    shapes = values.part(given, "shapes", dict)
    n = vision.n_tokens
    choices = values.part(given, "choices", list)
    projected = values.part(given, "n_projected", list)
    numbers = {
        f.name: values.whole(shapes.get(f.name), f.name, 0 if f.name in NONE_AT_TIMES else 1, MOST_SHAPE)
        for f in fields(ModelShapes)
    }
    if numbers["vision_windowed_layers"] > numbers["vision_layers"]:
        raise TraceError("what its estimate is made of has more windowed layers than layers")
    if len(choices) > vision.shape[0]:  # one for each frame, or one for all
        raise TraceError("what its estimate is made of has more choices than frames")
    if len(projected) != 2:
        raise TraceError("what its estimate is made of does not fit its tokens")
    whole_projected, few_projected = (values.whole(p, "n_projected", 1, MOST_SHAPE) for p in projected)
    costs = Costs(
        shapes=numbers,
        n_visual=values.whole(given.get("n_visual"), "n_visual", n, n),
        n_text=values.whole(given.get("n_text"), "n_text", 0, MOST_SHAPE),
        n_frames=values.whole(given.get("n_frames"), "n_frames", 1, MOST_SHAPE),
        method=values.text(given, "method"),
        query_flops=values.finite(given.get("query_flops"), "query_flops", 0, MOST_FLOPS),
        choices=tuple(values.whole(c, "choices", 1, n) for c in choices),
        n_projected=(whole_projected, few_projected),
        n_kept=values.whole(given.get("n_kept"), "n_kept", 1, n),
    )
    if sum(costs.choices) != n:
        raise TraceError("what its estimate is made of does not fit its tokens")
    try:  # every later estimate divides by these numbers
        estimate_from_costs(costs, costs.n_kept, 1)
        estimate_from_costs(costs, 1, 1)
    except (ValueError, ArithmeticError):
        raise TraceError("no estimate can be made of the model's shapes in it") from None
    return costs


def _shown_once(frames: Sequence[Image.Image], clip: bool, seconds: Sequence[float], vision) -> bool:
    fitting = all(frame.size == place.image_size for frame in frames for place in vision.geometry)
    timed = not seconds or (clip and len(seconds) == len(frames or seconds))
    # One picture for each frame, for several tiles, or several pictures for each frame (see draw.shown_in).
    t, each = vision.shape[0], -(-len(frames) // vision.shape[0])
    enough = len(frames) <= t or (t - 1) * each < len(frames)
    return fitting and timed and enough and (clip or len(frames) <= 1)
