"""Build a Trace from the plain values of `to_json.as_dict`, for files that come from strangers.

Nothing in such a file is trusted: the type, shape and range of every part are checked, and the parts have to
fit each other. No number is used in a calculation before it is bounded. The tensors that JSON does not hold
are arguments; the caller has checked that they are finite.
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
from .checked_json import (
    TraceError,
    flatten,
    get_fields,
    get_part,
    get_text,
    get_texts,
    to_finite,
    to_number,
    to_whole,
)

MOST_FRAMES = 4096  # frames, tiles or pictures; 128 frames of a dozen tiles each are 1,536
MOST_PIXEL = 2.0**24  # a coordinate in a picture; far more than the sides of any that can be opened
LONGEST_CLIP = 1e9  # seconds
MOST_FLOPS = 1e30  # far more than any answer costs, and far below the largest float
MOST_SHAPE = 2**32  # a width, or a count of layers or tokens, of a model
MOST_BYTES = 2**62  # of a KV cache
MAY_BE_ZERO = {"vision_windowed_layers", "vision_window_pairs"}  # entries of ModelShapes

if TYPE_CHECKING:
    from PIL import Image


def from_dict(
    record: Mapping[str, Any], tensors: Mapping[str, Tensor | None], frames: tuple[Image.Image, ...]
) -> Trace:
    """Return the trace that `record` was made from by `as_dict`.

    Args:
        record: plain values, as JSON holds them.
        tensors: "features" [T, N, C], "query" [..], and "keys" [T, N, E] and "attention" [T, N] or None.
        frames: the pictures.

    Raises:
        TraceError: something missing, of another type, shape or range, or two parts that do not fit.
    """
    config = _config(get_part(record, "config", dict))
    vision = _vision(record, tensors)
    selection = _selection(get_part(record, "selection", dict), config, vision)
    kept = _kept(get_part(record, "kept", list), vision)
    answers = get_part(record, "answers", dict)
    measured = get_part(record, "measured", dict)
    full, pruned = (
        _answer(get_part(answers, side, dict), get_part(measured, side, dict)) for side in ("full", "pruned")
    )
    clip = get_part(record, "clip", bool)
    seconds = tuple(
        to_finite(s, "seconds", -LONGEST_CLIP, LONGEST_CLIP) for s in get_part(record, "seconds", list)
    )
    if not _fits_pictures(frames, clip, seconds, vision):
        raise TraceError("its pictures, their times and the kind of what was shown do not fit each other")
    return Trace(
        question=get_text(record, "question"),
        config=config,
        vision=vision,
        query=_query(get_part(record, "query", dict), tensors, vision),
        selection=selection,
        kept=kept,
        full=full,
        pruned=_with_kept(pruned, kept),
        savings=_savings(get_part(record, "estimated", dict)),
        agreement=_agreement(get_part(record, "agreement", dict)),
        model_name=get_text(record, "model"),
        notes=tuple(get_texts(record, "notes")),
        seconds=seconds,
        frames=frames,
        clip=clip,
        costs=None if record.get("costs") is None else _costs(get_part(record, "costs", dict), vision),
        fingerprint=get_text(record, "fingerprint"),
    )


def _config(record: Mapping[str, Any]) -> PruneConfig:
    """Read the settings; PruneConfig itself checks their ranges."""
    settings = {f.name: record.get(f.name) for f in fields(PruneConfig)}
    for name in ("keep_ratio", "alpha", "tau"):
        settings[name] = to_number(settings[name], name)
    try:
        return PruneConfig(**settings)
    except ValueError as error:
        raise TraceError(str(error)) from None


def _vision(record: Mapping[str, Any], tensors: Mapping[str, Tensor | None]) -> VisionTokens:
    """Build the visual tokens [T, N, C] from the tensors and the geometry of each frame."""
    features = tensors["features"]
    attention = tensors["attention"]
    frames = get_part(record, "frames", list)
    if len(frames) > MOST_FRAMES:
        raise TraceError(f"it has more than {MOST_FRAMES:,} frames")
    places = tuple(map(_geometry, frames))
    if features.dim() != 3 or len(places) != len(features) or not features.numel():
        raise TraceError(f"its features have shape {list(features.shape)}, for {len(places)} frames")
    t, n = features.shape[:2]
    if any(place.cells + place.n_global > n for place in places):
        raise TraceError("a frame of it has more places than tokens")
    # valid [T, N] marks the tokens that exist; None if all do.
    valid = None
    if record.get("present") is not None:
        entries = flatten(record["present"], (t, n), "present")
        if any(type(entry) is not bool for entry in entries):
            raise TraceError("its present must hold true and false")
        valid = torch.tensor(entries).view(t, n)
        if not valid.any(-1).all():
            raise TraceError("a frame of it has no tokens")
    has_gaps = valid is None and any(place.cells + place.n_global != n for place in places)
    if has_gaps or (attention is not None and attention.shape != (t, n)):
        raise TraceError("its frames, tokens and attention do not fit each other")
    # Largest entry of every token, [T * N], of those that exist.
    largest = features.flatten(0, 1).abs().amax(-1)
    if valid is not None:
        largest = largest[valid.flatten()]
    if not largest.gt(0).all():
        raise TraceError("a token of it is all zeros")
    return VisionTokens(features, places, valid, attention)


def _geometry(record: object) -> Geometry:
    """Read where the tokens of one frame lie."""
    if not isinstance(record, dict):
        raise TraceError("its frames must be objects")
    box = tuple(_edge(edge, "box") for edge in get_part(record, "box", list))
    size = tuple(
        to_whole(side, "image_size", 1, int(MOST_PIXEL)) for side in get_part(record, "image_size", list)
    )
    rows, cols = (to_whole(record.get(name), name, 1) for name in ("rows", "cols"))
    if len(box) != 4 or len(size) != 2:
        raise TraceError("a frame of it has no box of four numbers or no size of two")
    if box[0] >= box[2] or box[1] >= box[3]:
        raise TraceError("the box of a frame of it is empty")
    edges = record.get("uneven")
    if edges is not None:
        if not isinstance(edges, list) or len(edges) != 2:
            raise TraceError("the uneven columns and rows of a frame must be two lists")
        edges = (_spans(edges[0], cols), _spans(edges[1], rows))
    return Geometry(rows, cols, box, size, to_whole(record.get("whole"), "whole", 0), edges)


def _edge(value: object, name: str) -> float:
    """Read one coordinate in pixels."""
    return to_finite(value, name, -MOST_PIXEL, MOST_PIXEL)


def _spans(record: object, count: int) -> tuple[tuple[float, float], ...]:
    """Read (start, end) in pixels of each of `count` columns or rows."""
    edges = [_edge(edge, "uneven") for edge in flatten(record, (count, 2), "uneven")]
    return tuple(zip(edges[::2], edges[1::2], strict=True))


def _selection(record: Mapping[str, Any], config: PruneConfig, vision: VisionTokens) -> Selection:
    """Read the picking order and its evidence: [G, M], or [W, G, M] if there are several weights."""
    t, n = vision.shape
    groups, size = (1, t * n) if config.budget == "shared" else (t, n)
    alphas = tuple(to_number(alpha, "alphas") for alpha in get_part(record, "alphas", list))
    order = get_part(record, "order", list)
    has_weights = _depth(order) > 2
    if not alphas or not all(a >= 0 for a in alphas) or (not has_weights and len(alphas) != 1):
        raise TraceError(f"its {len(alphas)} weights and its order do not fit each other")
    shape = (len(alphas), groups, size) if has_weights else (groups, size)
    # Every order must be a permutation of the tokens of its group.
    entries = [to_whole(i, "order", 0, size - 1) for i in flatten(order, shape, "order")]
    picks = torch.tensor(entries).view(shape)
    if not torch.equal(picks.sort(dim=-1).values, torch.arange(size).expand(shape)):
        raise TraceError("its order does not pick every token once")
    counts = None
    if vision.valid is not None:
        valid = vision.valid.view(groups, size)
        counts = tuple(valid.sum(-1).tolist())
        # Whether each pick exists, in the shape of the order: it may change from true to false only once.
        exists = valid.expand(shape).gather(-1, picks)
        if not (exists.int().diff(dim=-1) <= 0).all():
            raise TraceError("its order picks tokens that are not there before others that are")
    relevance = _evidence(record, "relevance", (t, n))
    if relevance is not None and relevance.flatten()[vision.all].isnan().any():
        raise TraceError("a token of it has no relevance")
    distance = _evidence(record, "distance", shape)
    score = _evidence(record, "score", shape)
    if config.method == "rediprune":
        _check_evidence(relevance, distance, score, counts or (size,) * groups)
    return Selection(picks, relevance, distance, score, alphas, config, counts)


def _depth(value: object) -> int:
    """Count how deep lists are nested, by their first entries."""
    depth = 0
    while isinstance(value, list):
        depth += 1
        value = value[0] if value else None
    return depth


def _check_evidence(
    relevance: Tensor | None, distance: Tensor | None, score: Tensor | None, counts: Sequence[int]
) -> None:
    """Raise TraceError unless every pick has its numbers; only the first of a group has no distance.

    Args:
        counts: number of tokens of each group [G].
    """
    if relevance is None or distance is None or score is None:
        raise TraceError("its picks lack their relevance, distance or score")
    step = torch.arange(score.shape[-1])
    is_pick = step < torch.tensor(counts)[:, None]  # [G, M]
    if score[..., is_pick].isnan().any() or distance[..., is_pick & (step > 0)].isnan().any():
        raise TraceError("a pick of it lacks its distance or score")


def _evidence(record: Mapping[str, Any], name: str, shape: Sequence[int]) -> Tensor | None:
    """Read numbers of this shape as float32, NaN where there is none; None if the part is missing."""
    if record.get(name) is None:
        return None
    numbers = [to_number(x, name) for x in flatten(record[name], shape, name)]
    evidence = torch.tensor(numbers, dtype=torch.float64).float().view(tuple(shape))
    if evidence.isinf().any():
        raise TraceError(f"its {name} is not finite")
    return evidence


def _query(record: Mapping[str, Any], tensors: Mapping[str, Tensor | None], vision: VisionTokens) -> Query:
    """Read the query that relevance was measured against."""
    vector = tensors["query"]
    keys = tensors["keys"]
    if vector.dim() != 1 or (keys is not None and keys.shape != (*vision.shape, len(vector))):
        raise TraceError("its query and the tokens in the query's space do not fit each other")
    tokens = tuple(get_texts(record, "tokens"))
    weights = record.get("weights")
    if weights is not None:
        shares = flatten(weights, (len(tokens),), "weights")
        weights = torch.tensor([to_finite(w, "weights", 0, 2) for w in shares], dtype=torch.float32)
        if not (weights > 0).any():  # the page divides by the largest
            raise TraceError("no token of its query has a weight")
    sign = record.get("sign")
    if sign not in (1, -1) or isinstance(sign, bool):
        raise TraceError("the sign of its query must be 1 or -1")
    return Query(get_text(record, "name"), vector, keys, tokens, weights, int(sign))


def _kept(indices: list, vision: VisionTokens) -> Tensor:
    """Read the kept tokens: flat indices [K], ascending."""
    t, n = vision.shape
    kept = torch.tensor([to_whole(i, "kept", 0, t * n - 1) for i in indices], dtype=torch.int64)
    if not len(kept) or (kept.diff() <= 0).any() or not torch.isin(kept, vision.all).all():
        raise TraceError("its kept tokens must be tokens that it has, ascending, each once")
    return kept


def _answer(record: Mapping[str, Any], measured: Mapping[str, Any]) -> Answer:
    """Read one answer and its times in seconds."""
    return Answer(
        text=get_text(record, "text"),
        token_ids=tuple(to_whole(i, "token_ids", 0) for i in get_part(record, "token_ids", list)),
        n_visual=to_whole(record.get("n_visual"), "n_visual", 1),
        n_text=to_whole(record.get("n_text"), "n_text", 0),
        seconds=to_number(measured.get("seconds"), "seconds", 0),
        first_token_seconds=to_number(measured.get("first_token_seconds"), "first_token_seconds", 0),
    )


def _with_kept(pruned: Answer, kept: Tensor) -> Answer:
    """Return the answer with the tokens that it was given from."""
    return Answer(**{f.name: getattr(pruned, f.name) for f in fields(Answer)} | {"kept": kept})


def _savings(record: Mapping[str, Any]) -> Savings:
    """Read the estimates."""
    full, pruned = (Flops(**get_fields(Flops, get_part(record, side, dict))) for side in ("full", "pruned"))
    rest: dict[str, Any] = {}
    for field in fields(Savings):
        if field.type == "int":
            rest[field.name] = to_whole(record.get(field.name), field.name, 0, MOST_BYTES)
        elif field.type != "Flops":
            rest[field.name] = to_finite(record.get(field.name), field.name, 0)
    return Savings(full=full, pruned=pruned, **rest)


def _agreement(record: Mapping[str, Any]) -> Agreement:
    """Read how likely both answers are under both prompts."""
    numbers = {f.name: to_number(record.get(f.name), f.name) for f in fields(Agreement) if f.type == "float"}
    return Agreement(**numbers, same_text=get_part(record, "same_text", bool))


def _costs(record: Mapping[str, Any], vision: VisionTokens) -> Costs:
    """Read what the estimates are made of, and check that estimates can be made of it."""
    shapes = get_part(record, "shapes", dict)
    n = vision.n_tokens
    choices = get_part(record, "choices", list)
    projected = get_part(record, "n_projected", list)
    numbers = {
        f.name: to_whole(shapes.get(f.name), f.name, 0 if f.name in MAY_BE_ZERO else 1, MOST_SHAPE)
        for f in fields(ModelShapes)
    }
    if numbers["vision_windowed_layers"] > numbers["vision_layers"]:
        raise TraceError("what its estimate is made of has more windowed layers than layers")
    if len(choices) > vision.shape[0]:  # one for each frame, or one for all
        raise TraceError("what its estimate is made of has more choices than frames")
    if len(projected) != 2:
        raise TraceError("what its estimate is made of does not fit its tokens")
    projected_full, projected_kept = (to_whole(p, "n_projected", 1, MOST_SHAPE) for p in projected)
    costs = Costs(
        shapes=numbers,
        n_visual=to_whole(record.get("n_visual"), "n_visual", n, n),
        n_text=to_whole(record.get("n_text"), "n_text", 0, MOST_SHAPE),
        n_frames=to_whole(record.get("n_frames"), "n_frames", 1, MOST_SHAPE),
        method=get_text(record, "method"),
        query_flops=to_finite(record.get("query_flops"), "query_flops", 0, MOST_FLOPS),
        choices=tuple(to_whole(c, "choices", 1, n) for c in choices),
        n_projected=(projected_full, projected_kept),
        n_kept=to_whole(record.get("n_kept"), "n_kept", 1, n),
    )
    if sum(costs.choices) != n:
        raise TraceError("what its estimate is made of does not fit its tokens")
    try:  # all later estimates divide by these numbers
        estimate_from_costs(costs, costs.n_kept, 1)
        estimate_from_costs(costs, 1, 1)
    except (ValueError, ArithmeticError):
        raise TraceError("no estimate can be made of the model's shapes in it") from None
    return costs


def _fits_pictures(
    frames: Sequence[Image.Image], clip: bool, seconds: Sequence[float], vision: VisionTokens
) -> bool:
    """Tell whether the pictures, their times and the kind of the input fit the frames of the tokens."""
    same_sizes = all(frame.size == place.image_size for frame in frames for place in vision.geometry)
    timed = not seconds or (clip and len(seconds) == len(frames or seconds))
    # One picture for each frame, one for several tiles, or several for each frame (draw.picture_index).
    t = vision.shape[0]
    each = -(-len(frames) // t)  # pictures for each frame, rounded up
    enough = len(frames) <= t or (t - 1) * each < len(frames)
    return same_sizes and timed and enough and (clip or len(frames) <= 1)
