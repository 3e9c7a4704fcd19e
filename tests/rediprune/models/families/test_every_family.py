"""What is asked of every family alike. `python -m tests.families` writes what stands here into the README."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image

from rediprune import Explainer, PruneConfig, kept_count, prune
from rediprune.config import POSITIONS
from rediprune.models import adapter_for
from tests.families import QUESTIONS, Family, families

FAMILIES = families()
BOTH = [pytest.param(f, kind, id=f"{f.name}-{kind}") for f in FAMILIES for kind in f.kinds]
BATCHES = {"one": (1,), "several": (2,), "batch": (1, 2)}
FEW, ALL = PruneConfig(0.2, alpha=0.5), PruneConfig(1.0)
COMPARE = dict(
    max_new_tokens=5, do_sample=False, return_dict_in_generate=True, output_logits=True, use_cache=True
)


def run(family: Family, inputs: dict, config: PruneConfig | None, dtype=torch.float32, **settings):
    """(output, report) of a fresh model; config None is the unmodified model."""
    model = family.model(dtype)
    inputs = {
        k: v.to(dtype) if torch.is_tensor(v) and v.is_floating_point() else v for k, v in inputs.items()
    }
    if config is None:
        return model.generate(**inputs, **COMPARE, **settings), None
    with prune(model, config) as report:
        return model.generate(**inputs, **COMPARE, **settings), report


@contextmanager
def on_threads(n: int):
    """How a product is rounded may depend on how many threads share it: equal on one says little of two."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def same(ours, full) -> bool:
    return torch.equal(ours.sequences, full.sequences) and all(
        torch.equal(a, b) for a, b in zip(ours.logits, full.logits, strict=True)
    )


@pytest.mark.parametrize(("family", "kind"), BOTH)
@pytest.mark.parametrize("media", BATCHES.values(), ids=BATCHES.keys())
@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("threads", [1, 2])
def test_identical_at_100(family, kind, media, beams, threads):
    """With every token kept, tokens and logits are to the last bit those of the unmodified model."""
    inputs = family.inputs(kind, media)
    with on_threads(threads):
        full, _ = run(family, inputs, None, num_beams=beams)
        ours, report = run(family, inputs, ALL, num_beams=beams)
    assert same(ours, full)
    assert report.n_kept == report.n_visual > 0


@pytest.mark.parametrize(("family", "kind"), BOTH)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
def test_identical_at_100_in_half_precision(family, kind, dtype):
    """With every token kept, tokens and logits are to the last bit those of the unmodified model here too."""
    inputs = family.inputs(kind)
    assert same(run(family, inputs, ALL, dtype)[0], run(family, inputs, None, dtype)[0])


@pytest.mark.parametrize(("family", "kind"), BOTH)
@pytest.mark.parametrize("media", BATCHES.values(), ids=BATCHES.keys())
@pytest.mark.parametrize("budget", ["frame", "shared"])
def test_masked(family, kind, media, budget):
    """A fifth of the tokens at their original positions equals the whole prompt with the others masked.

    The answer is what the unmodified model makes of that prompt, and the logits are to 2e-6.
    """
    config = PruneConfig(0.2, positions="original", budget=budget)
    inputs = family.inputs(kind, media)
    ours, report = run(family, inputs, config)
    model = family.model(torch.float32)
    adapter = adapter_for(model)
    seen = adapter.look(inputs)
    mask, positions = (
        inputs["attention_mask"],
        adapter.positions(inputs["input_ids"], inputs["attention_mask"], inputs),
    )
    hidden = mask.clone()
    for image, one, (row, places) in zip(
        report.images, seen, adapter.placeholders(inputs["input_ids"], seen), strict=True
    ):
        hidden[row, places[~one.surviving(image.kept)]] = 0
    assert hidden.sum() < 0.6 * mask.sum()  # something was dropped
    full = model.generate(**inputs | {"attention_mask": hidden}, position_ids=positions, **COMPARE)
    assert torch.equal(ours.sequences, full.sequences)
    for a, b in zip(ours.logits, full.logits, strict=True):
        torch.testing.assert_close(a, b, atol=2e-6, rtol=2e-6)
    # So few that whole rows and columns go: only then have positions of several axes gaps to close.
    few = [PruneConfig(0.05, positions=positions, budget=budget) for positions in POSITIONS]
    gapped, closed = (run(family, inputs, config)[0] for config in few)
    assert not torch.allclose(gapped.logits[0], closed.logits[0])


@pytest.mark.parametrize(("family", "kind"), BOTH)
def test_batch(family, kind):
    """A pruned prompt of a batch gets the answer, and to 1e-5 the logits, that it gets alone."""
    together, report = run(family, family.inputs(kind, (1, 1)), FEW)
    first, own = run(family, family.inputs(kind, (1,)), FEW)
    torch.testing.assert_close(together.logits[0][0], first.logits[0][0], atol=1e-5, rtol=1e-5)
    assert torch.equal(report.images[0].kept, own.images[0].kept)
    new = first.sequences[0, family.inputs(kind, (1,))["input_ids"].shape[1] :]
    assert torch.equal(together.sequences[0, -len(new) :], new)


@pytest.mark.parametrize(("family", "kind"), BOTH)
def test_threads(family, kind):
    """Calls that run at once in threads of their own answer as they do one after the other."""
    model = family.model(torch.float32)
    prompts = [family.inputs(kind, media) for media in ((1,), (2,), (1, 1))]

    def ask(inputs):
        return model.generate(**inputs, do_sample=False, max_new_tokens=4)

    with prune(model, FEW), ThreadPoolExecutor(3) as pool:
        alone = [ask(inputs) for inputs in prompts]
        for _ in range(4):
            assert all(map(torch.equal, pool.map(ask, prompts), alone))


@pytest.mark.parametrize(("family", "kind"), BOTH)
def test_kept_count(family, kind):
    """K is round(N * ratio) of every frame or tile, N the tokens that really reach the LLM."""
    inputs = family.inputs(kind)
    _, report = run(family, inputs, FEW)
    (one,) = adapter_for(family.model(torch.float32)).look(inputs)
    present = torch.ones(one.vision.shape, dtype=torch.bool) if one.vision.valid is None else one.vision.valid
    counts = [kept_count(int(n), FEW.keep_ratio) for n in present.sum(-1)]
    assert [len(k) for k in one.vision.per_frame(report.images[0].kept)] == counts
    assert sorted(one.placeholder_tokens[one.placeholder_tokens >= 0].tolist()) == one.vision.all.tolist()
    shared, _ = run(family, inputs, PruneConfig(0.2, budget="shared"))[1], None
    assert shared.n_kept == kept_count(one.vision.n_tokens, 0.2)


@pytest.mark.parametrize(("family", "kind"), BOTH)
def test_overlay(family, kind):
    """A mark inside a token's box in the upload changes the pixels of that token more than of any other."""
    model, processor = family.model(torch.float32), family.processor()
    adapter, checked = adapter_for(model), 0
    for size in family.sizes:

        def process(frame: Image.Image, size=size) -> dict:
            shown = [frame] * (family.n_frames if kind == "video" else 1)
            text = f"{getattr(processor, f'{kind}_token')} {QUESTIONS[0]}"
            one = {"images": shown} if kind == "image" else {"videos": [shown]}
            return family.processed([text], **one)

        plain = Image.new("RGB", size, (90, 90, 90))
        before = process(plain)
        (seen,) = adapter.look(before, [size], processor)
        blocks = family.patches(before, kind)
        assert blocks.shape[:2] == seen.vision.shape
        boxes = [g.token_boxes().tolist() for g in seen.vision.geometry]  # frames may differ in size
        rng = np.random.default_rng(0)
        for token in rng.choice(seen.vision.all.numpy(), 12):
            t, n = divmod(int(token), blocks.shape[1])
            if n >= seen.vision.geometry[t].cells:
                continue  # it has no place of its own
            left, top, right, bottom = boxes[t][n]
            margin = (right - left) * 0.3, (bottom - top) * 0.3
            x0, x1 = round(left + margin[0]), round(right - margin[0])
            y0, y1 = round(top + margin[1]), round(bottom - margin[1])
            if x1 <= max(x0, 0) or y1 <= max(y0, 0) or x0 < 0 or y0 < 0 or x1 > size[0] or y1 > size[1]:
                continue  # padding, or smaller than a pixel
            pixels = np.asarray(plain).copy()
            pixels[y0:y1, x0:x1] = 250
            change = (family.patches(process(Image.fromarray(pixels)), kind) - blocks).abs().amax(-1)[t]
            assert int(change.argmax()) == n, (size, t, n)
            checked += 1
    assert checked >= 10


@pytest.mark.parametrize(("family", "kind"), BOTH)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_weights_are_never_asked_for(family, kind, attention, monkeypatch):
    model = family.model(torch.float32)
    model.set_attn_implementation(attention)
    asked = []
    for module in model.modules():
        module.register_forward_pre_hook(
            lambda m, args, kwargs: asked.append(kwargs.get("output_attentions")), with_kwargs=True
        )
    with prune(model, FEW) as report:
        model.generate(**family.inputs(kind), max_new_tokens=2, do_sample=False)
    assert report.n_kept < report.n_visual and not any(asked)


@pytest.mark.parametrize(("family", "kind"), BOTH)
def test_the_savings_of_many_choices_are_those_of_each(family, kind):
    explainer = Explainer(family.model(torch.float32), family.processor())
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8))
    look = explainer.look(image if kind == "image" else [image] * 4)
    asked = explainer.ask(look, "What is it?")
    selection = explainer.select(look, asked)
    kept = [selection.kept(ratio) for ratio in (0.02, 0.3, 0.77, 1.0)]
    found = explainer.savings_each(look, asked, kept, 5, "rediprune", "frame")
    assert found == [explainer.savings(look, asked, flat, 5, "rediprune", "frame") for flat in kept]
