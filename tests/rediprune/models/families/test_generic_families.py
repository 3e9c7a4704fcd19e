"""What is asked of every family that one line describes (rediprune/models/generic), on tiny real models.

The same as of the nine families with an adapter of their own (test_every_family.py), in one number format and
on one thread, with inputs of the shapes that their processors return.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch

from rediprune import PruneConfig, kept_count, prune
from rediprune.costs.flops import prefill_flops, projector_flops, vision_flops
from rediprune.explainer.generate import next_token_log_probs
from rediprune.models.reference import definition_for, own_rows, short_prompt
from rediprune.models.registry import adapter_for
from tests.families import tiny_models

BATCH = (1, 2)
FEW, ALL = PruneConfig(0.2, alpha=0.5), PruneConfig(1.0)
COMPARE = {
    "max_new_tokens": 3,
    "do_sample": False,
    "return_dict_in_generate": True,
    "output_logits": True,
    "use_cache": True,
}
BOTH = [
    pytest.param(name, kind, id=f"{name}-{kind}")
    for name, tiny in sorted(tiny_models.served_here().items())
    for kind in tiny.kinds
]
# One for each way of being different: nested pixels, ids and layers' own inputs, masks in both directions,
# several axes, deepstack, recurrence.
BEAMS = ("smolvlm", "gemma4", "paligemma", "gemma3", "qwen2_vl", "qwen3_vl_moe", "qwen3_5", "unlimited_ocr")


# A router of the unmodified models works in float32 alone.
FLOAT32_ONLY = ("inkling2", "inkling2_loop")


@cache
def model_of(name: str) -> torch.nn.Module:
    return tiny_models.build(name, tiny_models.models()[name])


def inputs_of(name: str, kind: str, media=BATCH) -> dict:
    return tiny_models.inputs(tiny_models.models()[name], kind, media)


def run(model: torch.nn.Module, inputs: dict, config: PruneConfig | None, **settings):
    """(output, report); config None is the unmodified model."""
    if config is None:
        return model.generate(**inputs, **COMPARE | settings), None
    with prune(model, config) as report:
        return model.generate(**inputs, **COMPARE | settings), report


def same(ours, full) -> bool:
    return torch.equal(ours.sequences, full.sequences) and all(
        torch.equal(a, b) for a, b in zip(ours.logits, full.logits, strict=True)
    )


def apart(ours, full) -> float:
    """Largest difference of a logit, by the largest logit (1 at least)."""
    scale = max(1.0, max(float(logits.abs().max()) for logits in full.logits))
    each = zip(ours.logits, full.logits, strict=True)
    return max(float((a - b).abs().max()) for a, b in each) / scale


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("name", "kind"), BOTH)
def test_identical_at_100(name, kind):
    """With every token kept, tokens and logits are to the last bit those of the unmodified model.

    The batch has one prompt with one and one with two images or clips.
    """
    model, inputs = model_of(name), inputs_of(name, kind)
    ours, report = run(model, inputs, ALL)
    assert same(ours, run(model, inputs, None)[0])
    assert report.n_kept == report.n_visual > 0
    # And again, when the way of the tokens is known and the encoder ends at the projector.
    assert same(run(model, inputs, ALL)[0], ours)


@pytest.mark.parametrize("name", BEAMS)
def test_identical_at_100_with_beams(name):
    model, inputs = model_of(name), inputs_of(name, "image")
    assert same(run(model, inputs, ALL, num_beams=3)[0], run(model, inputs, None, num_beams=3)[0])


@pytest.mark.parametrize("name", sorted(set(tiny_models.served_here()) - set(FLOAT32_ONLY)))
def test_identical_at_100_in_half_precision(name):
    """With every token kept, in bfloat16, tokens and logits are those of the unmodified model here too."""
    model = tiny_models.build(name, tiny_models.models()[name], torch.bfloat16)
    inputs = {
        key: value.to(torch.bfloat16) if torch.is_tensor(value) and value.is_floating_point() else value
        for key, value in inputs_of(name, "image", (1,)).items()
    }
    ours, full = (run(model, inputs, config, max_new_tokens=1)[0] for config in (ALL, None))
    assert same(ours, full)


@pytest.mark.parametrize(("name", "kind"), BOTH)
def test_reference(name, kind):
    """A fifth of the tokens at their original positions gives the answer of the family's definition.

    That is the whole prompt with the dropped tokens masked, or the unmodified LLM on the same short prompt;
    what stays is what the unmodified model gives its LLM.
    """
    model, inputs = model_of(name), inputs_of(name, kind)
    adapter = adapter_for(model)
    ours, report = run(model, inputs, PruneConfig(0.2, positions="original"))
    seen, kept = adapter.look(inputs), [image.kept for image in report.images]
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    pruned = adapter.splice(ids, mask, seen, kept, True, inputs)
    assert report.n_kept < 0.6 * report.n_visual
    rows = own_rows(adapter, inputs)
    short = short_prompt(pruned, rows)
    (visual,) = pruned.extra.visual.values()
    assert visual.sum() >= report.n_kept
    close = 2e-6 * max(1.0, float(rows.abs().max()))
    if name != "molmo2":  # it adds its visual tokens to the embedding of their placeholder
        torch.testing.assert_close(pruned.embeds[visual], short.embeds[visual], atol=close, rtol=2e-6)
    if definition_for(model, ids.shape[1]).name == "masked":
        hidden = mask.clone()
        for indices, one, (row, places) in zip(kept, seen, adapter.placeholders(ids, seen), strict=True):
            hidden[row, places[~one.surviving(indices)]] = 0
        positions = adapter.positions(ids, mask, inputs)
        full, _ = run(model, inputs | {"attention_mask": hidden}, None, position_ids=positions)
        assert apart(ours, full) < 4e-6
    else:
        with adapter.with_prompt_hooks(short):
            full = model.generate(inputs_embeds=short.embeds, **short.arguments(), **COMPARE)
        assert apart(ours, full) < 2e-4
    closed, _ = run(model, inputs, PruneConfig(0.05))
    gapped, _ = run(model, inputs, PruneConfig(0.05, positions="original"))
    where = adapter.splice(ids, mask, seen, kept, False, inputs).position_ids
    if where is not None or name not in PLACELESS:
        assert not torch.allclose(gapped.logits[0], closed.logits[0])


# Their LLMs have no positions: recurrence and attention without rotation.
PLACELESS = ("glm5_next", "nemotron_h_omni", "inkling2", "inkling2_loop")


@pytest.mark.parametrize(("name", "kind"), BOTH)
def test_batch(name, kind):
    """A pruned prompt of a batch gets the answer, and to 1e-5 the logits, that it gets alone."""
    model = model_of(name)
    together, report = run(model, inputs_of(name, kind, (1, 1)), FEW)
    alone, own = run(model, inputs_of(name, kind, (1,)), FEW)
    assert torch.equal(report.images[0].kept, own.images[0].kept)
    scale = max(1.0, float(alone.logits[0].abs().max()))
    torch.testing.assert_close(together.logits[0][0], alone.logits[0][0], atol=1e-5 * scale, rtol=1e-5)


@pytest.mark.parametrize(("name", "kind"), BOTH)
def test_kept_count(name, kind):
    """K is round(N * ratio) of every frame or tile, N the tokens that really reach the LLM."""
    model, inputs = model_of(name), inputs_of(name, kind)
    _, report = run(model, inputs, FEW, max_new_tokens=1)
    seen = adapter_for(model).look(inputs)
    for one, image in zip(seen, report.images, strict=True):
        counts = [kept_count(n, FEW.keep_ratio) for n in one.vision.counts]
        assert [len(k) for k in one.vision.per_frame(image.kept)] == counts
        assert sorted(one.placeholder_tokens[one.placeholder_tokens >= 0].tolist()) == one.vision.all.tolist()


@pytest.mark.parametrize("name", sorted(tiny_models.served_here()))
def test_costs(name):
    """Fewer tokens cost less in every station that they go through, and a prompt's costs can be told."""
    adapter = adapter_for(model_of(name))
    seen = adapter.look(inputs_of(name, "image", (1,)))
    shapes = adapter.shapes_for(seen[0].vision)
    assert 0 < projector_flops(shapes, 2) < projector_flops(shapes, 4)
    assert 0 < prefill_flops(shapes, 20) < prefill_flops(shapes, 40)
    assert vision_flops(shapes) > 0 or name in NO_VISION_COSTS


# Their encoders are networks of another package, or two of them, and no config says one width.
NO_VISION_COSTS = ("fast_vlm", "gemma3n", "deepseek_ocr2", "unlimited_ocr")


@pytest.mark.parametrize("name", BEAMS)
def test_an_answer_is_judged_as_it_was_written(name):
    """Log-probabilities of given text behind a prompt are those of its words written one by one.

    One of the words is a placeholder.
    """
    model, inputs = model_of(name), inputs_of(name, "image", (1,))
    adapter = adapter_for(model)
    seen = adapter.look(inputs)
    kept = [one.vision.all[::3] for one in seen]
    prompt = adapter.splice(inputs["input_ids"], inputs["attention_mask"], seen, kept, inputs=inputs)
    answer = [40, tiny_models.IMAGE, 41, 42]
    together = next_token_log_probs(adapter, prompt, answer)
    first = next_token_log_probs(adapter, prompt, answer[:1])
    torch.testing.assert_close(together[:1], first, atol=2e-5, rtol=1e-4)
    assert together.shape[0] == 4 and torch.isfinite(together.max(-1).values).all()
