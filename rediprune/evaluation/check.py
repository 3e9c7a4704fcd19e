"""Does pruning do what it says with THIS model on THIS machine? Measured, check by check; nothing assumed.

The tests of this project run every family with random weights. What only real weights can show is asked here:
that nothing changes at 100%, that a pruned prompt is the whole prompt without the dropped tokens, that tokens
lie where the overlay says, and that relevance points at what is asked about.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ..config import POINTINGS, PruneConfig
from ..costs.stopwatch import Timing, find_doubt
from ..explainer.encode import MediaInput, run_processor
from ..explainer.explainer import Explainer
from ..files.bundled import ASSETS
from ..pruning.prune import prune
from ..query.question import prompt_text

KNOWN = ASSETS / "known"
QUESTIONS = ("What is in this picture?", "What is on the left?")
RATIO = 0.15
MARKS = 12
NEW_TOKENS = 8


@dataclass(frozen=True)
class Known:
    """A picture and where in it, in pixels (left, top, right, bottom), something lies that has a name."""

    image: Image.Image
    objects: tuple[tuple[str, tuple[float, float, float, float]], ...]


@dataclass(frozen=True)
class Verdict:
    """One check: `passed` is None where it does not apply to this model; `detail` says what was measured."""

    name: str
    passed: bool | None
    detail: str
    seconds: float = math.nan


def read_known(folder: Path = KNOWN) -> list[Known]:
    """The bundled pictures with their objects.

    Raises:
        ValueError: they are not there; they come with the repository, not with the package.
    """
    path = folder / "objects.json"
    if not path.is_file():
        raise ValueError(f"{path} does not exist: the pictures to check with come with the repository")
    found = json.loads(path.read_text(encoding="utf-8"))
    return [
        Known(
            Image.open(folder / one["image"]).convert("RGB"),
            tuple((o["name"], tuple(o["box"])) for o in one["objects"]),
        )
        for one in found
    ]


def check(explainer: Explainer, known: Sequence[Known], repeats: int = 3) -> Iterator[Verdict]:
    """All checks, one after the other as they are done."""
    picture = MediaInput((known[0].image,))
    clip = MediaInput(tuple(k.image for k in known[:4]), True, (0.0, 1.0, 2.0, 3.0)[: len(known)])
    for name, shown in (("image", picture), ("clip", clip)):
        yield _timed(f"identical at 100%, {name}", partial(identical, explainer, shown))
    yield _timed("identical at 100%, batch of 2", lambda: identical_batch(explainer, known))
    for name, shown in (("image", picture), ("clip", clip)):
        yield _timed(f"dropped is masked, {name}", partial(masked, explainer, shown))
    yield _timed("tokens lie where shown", lambda: placed(explainer))
    yield _timed("relevance points right", lambda: pointing(explainer, known))
    yield _timed("time", lambda: timed(explainer, picture, repeats))


def _timed(name: str, run: Callable[[], tuple[bool | None, str]]) -> Verdict:
    started = time.perf_counter()
    passed, detail = run()
    return Verdict(name, passed, detail, time.perf_counter() - started)


def identical(explainer: Explainer, shown: MediaInput) -> tuple[bool, str]:
    """Tokens and logits of the unmodified model.generate against those of a prune block that keeps all."""
    return _same(explainer, _inputs(explainer, shown, QUESTIONS[0]))


def identical_batch(explainer: Explainer, known: Sequence[Known]) -> tuple[bool, str]:
    """The same for two prompts of different length in one batch."""
    processor = explainer.processor
    images = [known[0].image, known[-1].image]
    texts = [prompt_text(processor, question) for question in QUESTIONS]
    side, processor.tokenizer.padding_side = processor.tokenizer.padding_side, "left"
    try:
        inputs = processor(text=texts, images=[[i] for i in images], padding=True, return_tensors="pt")
    finally:
        processor.tokenizer.padding_side = side
    return _same(explainer, _moved(explainer, inputs))


def _same(explainer: Explainer, inputs: dict) -> tuple[bool, str]:
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
def masked(explainer: Explainer, shown: MediaInput) -> tuple[bool, str]:
    """Original positions: the pruned prompt against the whole one with attention to the dropped forbidden.

    Both are the same sum in another order, so they differ by rounding; how much that is with this model and
    number format is measured beside it, on the whole prompt with and without padding before it.
    """
    adapter, model = explainer.adapter, explainer.model
    inputs = _inputs(explainer, shown, QUESTIONS[0])
    kept_by = PruneConfig(RATIO, method="random", positions="original")
    settings = dict(max_new_tokens=1, do_sample=False, return_dict_in_generate=True, output_logits=True)
    with prune(model, kept_by) as report:
        ours = model.generate(**inputs, **settings).logits[0]
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    seen = adapter.look(inputs)
    hidden = mask.clone()
    for image, one, (row, at) in zip(report.images, seen, adapter.placeholders(ids, seen), strict=True):
        hidden[row, at[~one.stays(image.kept).to(at.device)]] = 0

    def whole(ahead: int = 0):
        """The prompt with every token, behind as much padding: copies of its last word, which is text."""
        padded = {
            name: torch.cat([value[:, -1:].expand(-1, ahead), value], dim=1)
            for name, value in inputs.items()
            if isinstance(value, Tensor) and value.shape == ids.shape
        }
        padded["attention_mask"] = torch.nn.functional.pad(mask, (ahead, 0))
        own = padded["input_ids"], padded["attention_mask"]
        prompt = adapter.splice(*own, seen, [one.vision.all for one in seen], inputs=inputs | padded)
        return replace(prompt, position_ids=adapter.positions(*own, inputs | padded))

    def logits(prompt) -> Tensor:
        with adapter.reading(prompt):
            return model(inputs_embeds=prompt.embeds, **prompt.arguments(), logits_to_keep=1).logits[:, -1]

    apart = float((logits(replace(whole(), mask=hidden)) - ours).abs().max())
    rounding = float((logits(whole()) - logits(whole(ahead=8))).abs().max())
    return apart <= 10 * rounding + 1e-6, (
        f"kept {report.n_kept} of {report.n_visual}, largest difference of a logit {apart:.2g} "
        f"(rounding alone: {rounding:.2g})"
    )


def placed(explainer: Explainer) -> tuple[bool, str]:
    """A bright mark in a token's box must change the tokens there: where, on average, is the change largest?

    Attention spreads a mark, so the token that changes most may be a neighbour; but over several marks the
    neighbours cancel out, while a wrong map from tokens to pixels moves all of them the same way.
    """
    size = (640, 480)
    plain = Image.new("RGB", size, (110, 110, 110))
    before = explainer.look(plain).vision
    place = before.geometry[0]
    boxes = place.token_boxes()[: place.cells]
    inside = ((boxes[:, :2] >= 0).all(-1) & (boxes[:, 2:] <= torch.tensor(size)).all(-1)).nonzero()[:, 0]
    chosen = inside[torch.randperm(len(inside), generator=torch.Generator().manual_seed(0))[:MARKS]]
    away = []
    for token in chosen.tolist():
        marked = plain.copy()
        left, top, right, bottom = boxes[token].tolist()
        inner = (math.ceil(left) + 1, math.ceil(top) + 1, math.floor(right) - 2, math.floor(bottom) - 2)
        ImageDraw.Draw(marked).rectangle(inner, fill=(255, 230, 40))  # PIL paints the last pixel too
        after = explainer.look(marked).vision
        change = (after.features[0] - before.features[0]).float().norm(dim=-1)
        found = int(change[: place.cells].argmax())
        away.append((found % place.cols - token % place.cols, found // place.cols - token // place.cols))
    x, y = (fmean(offset[axis] for offset in away) for axis in (0, 1))
    near = sum(max(map(abs, offset)) <= 1 for offset in away)
    return max(abs(x), abs(y)) < 0.5 and near >= 0.75 * len(away), (
        f"{near} of {len(away)} marks changed the token under them, or one beside it, most; "
        f"mean offset {x:+.2f}, {y:+.2f} tokens"
    )


def pointing(explainer: Explainer, known: Sequence[Known]) -> tuple[bool | None, str]:
    """How often a token on the named object is more relevant than one beside it (0.5 is chance), by pointing.

    Passes where the pointing that this model uses by default is above chance beyond doubt: the 95% interval
    of its mean over the objects lies above 0.5.
    """
    if "text-tower" not in explainer.queries:
        return None, "no text tower is known for this vision tower: use the prompt-tail query"
    scores: dict[str, list[float]] = {name: [] for name in POINTINGS if name in explainer.pointings}
    for picture in known:
        look = explainer.look(picture.image)
        for name, box in picture.objects:
            on = _on(look.vision.geometry[0].token_boxes(), box)
            if not 0 < on.sum() < len(on):
                continue
            for pointed, of in scores.items():
                config = PruneConfig(method="relevance", query="text-tower", pointing=pointed)
                asked = explainer.ask(look, f"the {name}", config)
                relevance = explainer.select(look, asked, config).relevance[0]
                of.append(_above(relevance[on], relevance[~on]))
    low, high = _interval(scores[explainer.defaults.pointing])
    words = ", ".join(f"{name} {fmean(of):.2f}" for name, of in scores.items())
    detail = f"{words}; default {explainer.defaults.pointing} [{low:.2f}, {high:.2f}], chance 0.50"
    if high < 0.5:
        detail += ': the sign is reversed, use pointing="negated"'
    return low > 0.5, f"{detail}, {len(scores['cosine'])} objects"


def timed(explainer: Explainer, shown: MediaInput, repeats: int) -> tuple[bool | None, str]:
    """MEASURED prefill with all tokens and with the kept ones; no check, a figure."""
    look = explainer.look(shown)
    asked = explainer.ask(look, QUESTIONS[0])
    kept = explainer.select(look, asked).kept(RATIO)
    full, pruned = explainer.time_both(look, asked, kept, repeats=repeats)
    ratio = explainer.savings(look, asked, kept, n_new=1).prefill
    detail = (
        f"prefill {_spread(full)} with {look.n_visual} visual tokens, {_spread(pruned)} with {len(kept)} "
        f"(medians of {repeats}, taken in turns, on {full.device})"
    )
    if why := find_doubt(full, pruned, ratio):
        detail += f"; NOT RELIABLE: {why}, the machine was busy. Run the check again when it is idle"
    return None, detail


def _spread(timing: Timing) -> str:
    """Return the median prefill with its fastest and slowest run: "26 ms (25..31)"."""
    least, most = timing.prefill_spread
    return f"{timing.prefill * 1000:.0f} ms ({least * 1000:.0f}..{most * 1000:.0f})"


def _inputs(explainer: Explainer, shown: MediaInput, question: str) -> dict:
    return _moved(explainer, run_processor(explainer.adapter, explainer.processor, shown, question))


def _moved(explainer: Explainer, inputs) -> dict:
    """The processor's output on the model's device, pixels in its dtype."""
    model, device = explainer.model, explainer.adapter.device
    return {
        name: value.to(device, model.dtype if value.is_floating_point() else None)
        if isinstance(value, Tensor)
        else value
        for name, value in inputs.items()
    }


def _on(boxes: Tensor, box: tuple[float, float, float, float]) -> Tensor:
    """[N] bool: token boxes whose centre lies in `box`."""
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    left, top, right, bottom = box
    return (x >= left) & (x < right) & (y >= top) & (y < bottom)


def _above(a: Tensor, b: Tensor) -> float:
    """Share of pairs in which an entry of `a` is larger than one of `b`; ties count half (ROC AUC)."""
    apart = a[:, None] - b[None]
    return float((apart > 0).float().mean() + 0.5 * (apart == 0).float().mean())


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """95% interval of the mean, by the normal approximation."""
    half = 1.96 * stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return fmean(values) - half, fmean(values) + half
