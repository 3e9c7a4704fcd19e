"""Check that pruning does what it says with one model on this machine: measured with the real weights.

The tests of this project run every family with random weights. This module checks what only real weights can
show: that nothing changes at 100%, that a pruned prompt equals the whole prompt without the dropped tokens,
that tokens lie where the overlay shows them, and that relevance points at the object that is asked about.
"""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ..config import POINTINGS, PruneConfig
from ..costs.stopwatch import Timing, find_doubt
from ..explainer.encode import MediaInput, run_processor
from ..explainer.explainer import Explainer
from ..files.bundled import ASSETS
from ..models.reference import definition_for, own_rows, short_prompt
from ..pruning.prune import prune
from ..query.question import prompt_text

if TYPE_CHECKING:
    from ..models import Adapter, EncodedItem, Prompt

KNOWN_FOLDER = ASSETS / "known"
QUESTIONS = ("What is in this picture?", "What is on the left?")
RATIO = 0.15  # of the visual tokens are kept
MARKS = 12  # tokens whose box is painted
NEW_TOKENS = 8  # of an answer that is compared


@dataclass(frozen=True)
class KnownPicture:
    """Hold a picture and its named objects, each with its box in pixels (left, top, right, bottom)."""

    image: Image.Image
    objects: tuple[tuple[str, tuple[float, float, float, float]], ...]


@dataclass(frozen=True)
class CheckResult:
    """Hold the outcome of one check.

    Attributes:
        name: the name that is printed.
        passed: None where the check does not apply to this model, or is a measurement only.
        detail: what was measured, in one line.
        seconds: how long the check took; NaN where it was not timed.
    """

    name: str
    passed: bool | None
    detail: str
    seconds: float = math.nan


def read_known(folder: Path = KNOWN_FOLDER) -> list[KnownPicture]:
    """Read the bundled pictures with their objects.

    Raises:
        ValueError: the pictures are missing; they come with the repository, not with the package.
    """
    path = folder / "objects.json"
    if not path.is_file():
        raise ValueError(f"{path} does not exist: the pictures to check with come with the repository")
    found = json.loads(path.read_text(encoding="utf-8"))
    return [
        KnownPicture(
            Image.open(folder / one["image"]).convert("RGB"),
            tuple((o["name"], tuple(o["box"])) for o in one["objects"]),
        )
        for one in found
    ]


def run_checks(
    explainer: Explainer, known: Sequence[KnownPicture], repeats: int = 3
) -> Iterator[CheckResult]:
    """Run every check and yield each result as soon as it is known.

    Args:
        explainer: the model.
        known: at least one picture with named objects.
        repeats: timed prefills of each prompt, >= 1.
    """
    picture = MediaInput((known[0].image,))
    clip = MediaInput(tuple(k.image for k in known[:4]), True, (0.0, 1.0, 2.0, 3.0)[: len(known)])
    for name, shown in (("image", picture), ("clip", clip)):
        yield _run_check(f"identical at 100%, {name}", partial(check_identical, explainer, shown))
    yield _run_check("identical at 100%, batch of 2", lambda: check_identical_batch(explainer, known))
    for name, shown in (("image", picture), ("clip", clip)):
        yield _run_check(f"pruned is its reference, {name}", partial(check_masked, explainer, shown))
    yield _run_check("tokens lie where shown", lambda: check_placement(explainer))
    yield _run_check("relevance points right", lambda: check_pointing(explainer, known))
    yield _run_check("time", lambda: measure_times(explainer, picture, repeats))


def _run_check(name: str, run: Callable[[], tuple[bool | None, str]]) -> CheckResult:
    started = time.perf_counter()
    passed, detail = run()
    return CheckResult(name, passed, detail, time.perf_counter() - started)


def check_identical(explainer: Explainer, shown: MediaInput) -> tuple[bool, str]:
    """Compare model.generate with a prune block that keeps every token: new tokens and logits."""
    return _compare_outputs(explainer, _prepare_inputs(explainer, shown, QUESTIONS[0]))


def check_identical_batch(explainer: Explainer, known: Sequence[KnownPicture]) -> tuple[bool, str]:
    """Compare model.generate with a prune block at 100%, for two prompts of different length in one batch."""
    processor = explainer.processor
    images = [known[0].image, known[-1].image]
    texts = [prompt_text(processor, question) for question in QUESTIONS]
    side = processor.tokenizer.padding_side
    processor.tokenizer.padding_side = "left"
    try:
        inputs = processor(text=texts, images=[[i] for i in images], padding=True, return_tensors="pt")
    finally:
        processor.tokenizer.padding_side = side
    return _compare_outputs(explainer, _to_model_device(explainer, inputs))


def _compare_outputs(explainer: Explainer, inputs: dict) -> tuple[bool, str]:
    settings = dict(
        max_new_tokens=NEW_TOKENS, do_sample=False, return_dict_in_generate=True, output_logits=True
    )
    full = explainer.model.generate(**inputs, **settings)
    with prune(explainer.model, PruneConfig(1.0)) as report:
        ours = explainer.model.generate(**inputs, **settings)
    apart = max(float((a - b).abs().max()) for a, b in zip(full.logits, ours.logits, strict=False))
    same = torch.equal(full.sequences, ours.sequences)
    return same and apart == 0 and report.n_kept > 0, (
        f"{report.n_kept} visual tokens, {len(full.logits)} new tokens {'equal' if same else 'DIFFERENT'}, "
        f"largest difference of a logit {apart:.2g}"
    )


@torch.no_grad()
def check_masked(explainer: Explainer, shown: MediaInput) -> tuple[bool, str]:
    """Compare the pruned prompt, at original positions, with what defines correctness for this model's LLM.

    With plain attention that is the whole prompt with attention to the dropped tokens forbidden. With
    recurrence, convolutions or a window shorter than the prompt, the whole prompt has a gap where a masked
    token stands, so it is a different thing; there it is the unmodified LLM on the same short prompt, made of
    the rows that the unmodified model itself hands its LLM (models/reference.py).

    Both are the same sum in another order, so they differ by rounding; how much that is with this model and
    number format is measured beside it, on a prompt with and without padding before it.
    """
    adapter, model = explainer.adapter, explainer.model
    inputs = _prepare_inputs(explainer, shown, QUESTIONS[0])
    kept_by = PruneConfig(RATIO, method="random", positions="original")
    settings = dict(max_new_tokens=1, do_sample=False, return_dict_in_generate=True, output_logits=True)
    with prune(model, kept_by) as report:
        ours = model.generate(**inputs, **settings).logits[0]
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    seen = adapter.look(inputs)
    kept = [image.kept for image in report.images]
    definition = definition_for(model, ids.shape[1])

    def logits(prompt) -> Tensor:
        with adapter.with_prompt_hooks(prompt):
            return model(inputs_embeds=prompt.embeds, **prompt.arguments(), logits_to_keep=1).logits[:, -1]

    if definition.name == "short":
        pruned = adapter.splice(ids, mask, seen, kept, True, inputs)
        rows = own_rows(adapter, inputs)
        short = short_prompt(pruned, rows)
        apart = float((logits(short) - ours).abs().max())
        # A window may not reach back to the picture, so that its rows say more than the logits.
        digits = torch.finfo(model.dtype).eps * float(rows.abs().max())
        same_rows = float((short.embeds - pruned.embeds).abs().max()) <= 100 * digits
        # The last digit of every number differently: what two products of the same rows may differ by.
        draw = torch.Generator().manual_seed(0)
        digit = torch.randn(short.embeds.shape, generator=draw) * torch.finfo(model.dtype).eps
        nudged = replace(short, embeds=short.embeds * (1 + digit.to(short.embeds)))
        rounding = float((logits(short) - logits(nudged)).abs().max())
        against = "the unmodified LLM on the same short prompt"
    else:
        whole = functools.partial(_whole_prompt, adapter, inputs, seen)
        hidden = mask.clone()
        for indices, one, (row, at) in zip(kept, seen, adapter.placeholders(ids, seen), strict=True):
            hidden[row, at[~one.surviving(indices).to(at.device)]] = 0
        apart = float((logits(replace(whole(), mask=hidden)) - ours).abs().max())
        rounding = float((logits(whole()) - logits(whole(ahead=8))).abs().max())
        same_rows = True
        against = "the whole prompt with the dropped tokens masked"
    rows_said = "" if same_rows else " (whose rows DIFFER)"
    return same_rows and apart <= 10 * rounding + 1e-6, (
        f"kept {report.n_kept} of {report.n_visual}, against {against}{rows_said}, because {definition.why}; "
        f"largest difference of a logit {apart:.2g} (rounding alone: {rounding:.2g})"
    )


def _whole_prompt(
    adapter: Adapter, inputs: Mapping[str, Any], seen: Sequence[EncodedItem], ahead: int = 0
) -> Prompt:
    """Return the prompt with every token, behind as much padding: copies of its last word, which is text."""
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    padded = {
        name: torch.cat([value[:, -1:].expand(-1, ahead), value], dim=1)
        for name, value in inputs.items()
        if isinstance(value, Tensor) and value.shape == ids.shape
    }
    padded["attention_mask"] = torch.nn.functional.pad(mask, (ahead, 0))
    own = padded["input_ids"], padded["attention_mask"]
    whole = {**inputs, **padded}
    prompt = adapter.splice(*own, seen, [one.vision.all for one in seen], inputs=whole)
    return replace(prompt, position_ids=adapter.positions(*own, whole))


def check_placement(explainer: Explainer) -> tuple[bool | None, str]:
    """Paint a bright mark into one token's box at a time and look where the features change most.

    Attention spreads a mark, so the token that changes most may be a neighbour. Over several marks the
    neighbours cancel out, while a wrong map from tokens to pixels moves all of them the same way.
    """
    size = (640, 480)
    plain = Image.new("RGB", size, (110, 110, 110))
    before = explainer.look(plain).vision
    place = before.geometry[0]
    # Only tokens whose box lies within the picture can be painted: boxes [cells, 4], chosen [MARKS].
    boxes = place.token_boxes()[: place.cells]
    if not getattr(explainer.adapter, "has_overlay", True):
        return None, "where a token of this model lies in the picture is not known"
    inside = ((boxes[:, :2] >= 0).all(-1) & (boxes[:, 2:] <= torch.tensor(size)).all(-1)).nonzero()[:, 0]
    chosen = inside[torch.randperm(len(inside), generator=torch.Generator().manual_seed(0))[:MARKS]]
    offsets = []  # (columns, rows) from the painted token to the one that changes most
    for token in chosen.tolist():
        marked = plain.copy()
        left, top, right, bottom = boxes[token].tolist()
        inner = (math.ceil(left) + 1, math.ceil(top) + 1, math.floor(right) - 2, math.floor(bottom) - 2)
        ImageDraw.Draw(marked).rectangle(inner, fill=(255, 230, 40))  # PIL paints the last pixel too
        after = explainer.look(marked).vision
        change = (after.features[0] - before.features[0]).float().norm(dim=-1)
        found = int(change[: place.cells].argmax())
        offsets.append((found % place.cols - token % place.cols, found // place.cols - token // place.cols))
    x, y = (fmean(offset[axis] for offset in offsets) for axis in (0, 1))
    near = sum(max(map(abs, offset)) <= 1 for offset in offsets)
    return max(abs(x), abs(y)) < 0.5 and near >= 0.75 * len(offsets), (
        f"{near} of {len(offsets)} marks changed the token under them, or one beside it, most; "
        f"mean offset {x:+.2f}, {y:+.2f} tokens"
    )


def check_pointing(explainer: Explainer, known: Sequence[KnownPicture]) -> tuple[bool | None, str]:
    """Measure, for every pointing, how often a token on the named object is more relevant than one beside it.

    A share of 0.5 is chance. The check passes where the model's default pointing is above chance beyond
    doubt: the 95% interval of its mean over the objects lies above 0.5.
    """
    if "text-tower" not in explainer.queries:
        reason = explainer.adapter.why_no_text_tower
        return None, f"no text tower belongs to this model: {reason}; use the prompt-tail query"
    scores: dict[str, list[float]] = {name: [] for name in POINTINGS if name in explainer.pointings}
    for picture in known:
        look = explainer.look(picture.image)
        for name, box in picture.objects:
            on = _find_boxes_inside(look.vision.geometry[0].token_boxes(), box)
            if not 0 < on.sum() < len(on):
                continue
            for pointed, of in scores.items():
                config = PruneConfig(method="relevance", query="text-tower", pointing=pointed)
                asked = explainer.ask(look, f"the {name}", config)
                relevance = explainer.select(look, asked, config).relevance[0]
                of.append(_share_of_pairs_above(relevance[on], relevance[~on]))
    low, high = _mean_interval(scores[explainer.defaults.pointing])
    words = ", ".join(f"{name} {fmean(of):.2f}" for name, of in scores.items())
    detail = f"{words}; default {explainer.defaults.pointing} [{low:.2f}, {high:.2f}], chance 0.50"
    if high < 0.5:
        detail += ': the sign is reversed, use pointing="negated"'
    return low > 0.5, f"{detail}, {len(scores['cosine'])} objects"


def measure_times(explainer: Explainer, shown: MediaInput, repeats: int) -> tuple[bool | None, str]:
    """Measure the prefill with all tokens and with the kept ones; nothing passes or fails."""
    look = explainer.look(shown)
    asked = explainer.ask(look, QUESTIONS[0])
    kept = explainer.select(look, asked).kept(RATIO)
    full, pruned = explainer.time_both(look, asked, kept, repeats=repeats)
    ratio = explainer.savings(look, asked, kept, n_new=1).prefill
    detail = (
        f"prefill {_format_prefill(full)} with {look.n_visual} visual tokens, {_format_prefill(pruned)} with "
        f"{len(kept)} (medians of {repeats}, taken in turns, on {full.device})"
    )
    if why := find_doubt(full, pruned, ratio):
        detail += f"; NOT RELIABLE: {why}, the machine was busy. Run the check again when it is idle"
    return None, detail


def _format_prefill(timing: Timing) -> str:
    """Return the median prefill with its fastest and slowest run: "26 ms (25..31)"."""
    least, most = timing.prefill_spread
    return f"{timing.prefill * 1000:.0f} ms ({least * 1000:.0f}..{most * 1000:.0f})"


def _prepare_inputs(explainer: Explainer, shown: MediaInput, question: str) -> dict:
    return _to_model_device(explainer, run_processor(explainer.adapter, explainer.processor, shown, question))


def _to_model_device(explainer: Explainer, inputs) -> dict:
    """Move the processor's output to the model's device, pixels in the model's dtype."""
    model, device = explainer.model, explainer.adapter.device
    moved = dict(inputs)
    for name, value in inputs.items():
        if isinstance(value, Tensor):
            moved[name] = value.to(device, model.dtype if value.is_floating_point() else None)
    return moved


def _find_boxes_inside(boxes: Tensor, box: tuple[float, float, float, float]) -> Tensor:
    """Return [N] bool: the token boxes ([N, 4], pixels) whose centre lies in `box`."""
    x = (boxes[:, 0] + boxes[:, 2]) / 2
    y = (boxes[:, 1] + boxes[:, 3]) / 2
    left, top, right, bottom = box
    return (x >= left) & (x < right) & (y >= top) & (y < bottom)


def _share_of_pairs_above(a: Tensor, b: Tensor) -> float:
    """Return the share of pairs in which an entry of `a` exceeds one of `b`; ties count half (ROC AUC)."""
    # Every entry of a against every entry of b: [len(a), len(b)].
    apart = a[:, None] - b[None]
    return float((apart > 0).float().mean() + 0.5 * (apart == 0).float().mean())


def _mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95% interval of the mean, by the normal approximation."""
    half = math.inf
    if len(values) > 1:
        half = 1.96 * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half
