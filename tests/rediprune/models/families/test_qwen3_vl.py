"""Qwen3-VL: deepstack features follow their tokens, whatever reads the prompt; times stand between frames.

What it shares with Qwen2.5-VL is asked of both in test_qwen2_5_vl.py.
"""

from __future__ import annotations

import pytest
import torch
from transformers import LogitsProcessor, Qwen3VLForConditionalGeneration

from rediprune import PruneConfig, prune
from rediprune.costs.estimate import projector_flops
from rediprune.models import adapter_for
from rediprune.models.checkpoints.catalog import find
from rediprune.query.question import prompt_text
from rediprune.tokens import Geometry, VisionTokens
from tests.families import building, qwen3_vl
from tests.rediprune.models.families.test_every_family import ALL, COMPARE, FEW, run, same
from tests.rediprune.models.families.test_qwen2_5_vl import mixed, model_of

FAMILY = qwen3_vl.FAMILY


@pytest.fixture
def model() -> Qwen3VLForConditionalGeneration:
    return model_of(qwen3_vl)


def handed_over(model, call) -> list[tuple]:
    """(places [B, L], features) of every call of the LLM that is handed something for deepstack."""
    found, llm = [], model.model.language_model
    original = llm._deepstack_process

    def note(hidden, places, features):
        found.append((places, features))
        return original(hidden, places, features)

    llm._deepstack_process = note
    try:
        call()
    finally:
        del llm._deepstack_process
    return found


@pytest.mark.parametrize("beams", [1, 3])
def test_at_100_the_llm_is_handed_what_the_model_itself_hands_over(model, beams):
    inputs = FAMILY.inputs("image", (1, 2))

    def pruned():
        with prune(model, ALL):
            model.generate(**inputs, **COMPARE, num_beams=beams)

    own = handed_over(model, lambda: model.generate(**inputs, **COMPARE, num_beams=beams))
    ours = handed_over(model, pruned)
    assert len(ours) == len(own) == 2  # the prefill adds behind two layers, no other step does
    for (places, features), (own_places, own_features) in zip(ours, own, strict=True):
        assert torch.equal(places, own_places)
        torch.testing.assert_close(features, own_features, atol=1e-6, rtol=1e-6)


def test_a_token_takes_its_own_deepstack_features_along(model):
    inputs = mixed(qwen3_vl)  # images before the clip in the prompt, and all of other sizes
    adapter = adapter_for(model)
    seen, ids = adapter.look(inputs), inputs["input_ids"]
    kept = [
        torch.tensor([1, 7, 20]),
        torch.tensor([5]),
        torch.tensor([], dtype=torch.long),
        torch.tensor([2, 60]),
    ]
    prompt = adapter.splice(ids, None, seen, kept, inputs=inputs)
    with torch.no_grad():
        read = [
            model.model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"]),
            model.model.get_video_features(inputs["pixel_values_videos"], inputs["video_grid_thw"]),
        ]
    for i, ours in enumerate(prompt.extra.features):
        own = [part for one in read for part in one.deepstack_features[i]]
        expected = torch.cat([part[k] for part, k in zip(own, kept, strict=True)])
        torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-6)
    assert prompt.extra.visual.sum() == len(prompt.extra.features[0]) == 6
    assert torch.equal(adapter.is_placeholder(ids)[prompt.stays], prompt.extra.visual[0])


def test_a_clip_before_an_image_is_put_in_the_order_of_the_prompt():
    processor = qwen3_vl.processor()
    content = [{"type": "video"}, {"type": "image"}, {"type": "text", "text": "Where is the cat?"}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = dict(
        processor(
            text=[text],
            images=FAMILY.pictures(0, 1, (61, 150)),
            videos=[FAMILY.pictures(1, 4)],
            do_sample_frames=False,
            return_tensors="pt",
        )
    )
    assert same(run(FAMILY, inputs, ALL)[0], run(FAMILY, inputs, None)[0])


def test_without_deepstack_the_answer_would_be_another(model, monkeypatch):
    inputs = FAMILY.inputs("image")
    full, _ = run(FAMILY, inputs, FEW)
    adapter = type(adapter_for(model))
    monkeypatch.setattr(
        adapter, "with_prompt_hooks", lambda self, prompt: super(adapter, self).with_prompt_hooks(prompt)
    )
    without, _ = run(FAMILY, inputs, FEW)
    assert not torch.allclose(full.logits[0], without.logits[0], atol=1e-3)


def test_no_deepstack_at_all_is_fine():
    config = qwen3_vl.config()
    config.vision_config.deepstack_visual_indexes = []

    def fresh():
        return building.built(
            lambda: Qwen3VLForConditionalGeneration(config), qwen3_vl.tokenizer(), torch.float32
        )

    inputs = FAMILY.inputs("image")
    model = fresh()
    with prune(model, ALL):
        ours = model.generate(**inputs, **COMPARE)
    assert same(ours, fresh().generate(**inputs, **COMPARE))


def test_teacher_forcing_reads_the_same_as_decoding(model):
    """The prompt with words behind it in one forward call, as `agreement` reads it."""
    inputs, adapter = FAMILY.inputs("video"), adapter_for(model)
    with prune(model, PruneConfig(0.2)) as report:
        out = model.generate(**inputs, **COMPARE)
    seen = adapter.look(inputs)
    prompt = adapter.splice(inputs["input_ids"], None, seen, [report.images[0].kept], inputs=inputs)
    new = out.sequences[:, inputs["input_ids"].shape[1] :][:, :-1]
    embeds = torch.cat([prompt.embeds, model.get_input_embeddings()(new)], 1)
    with torch.no_grad(), adapter.with_prompt_hooks(prompt):
        logits = model(inputs_embeds=embeds, **prompt.arguments(new.shape[1]), use_cache=False).logits
    torch.testing.assert_close(
        logits[0, prompt.embeds.shape[1] - 1 :], torch.cat(out.logits), atol=2e-6, rtol=2e-6
    )


def test_times_stand_between_the_frames(model):
    adapter, processor = adapter_for(model), qwen3_vl.processor()
    text = prompt_text(processor, "When?", "video")
    made = adapter.run_processor(processor, text, FAMILY.pictures(0, 5), True, (0.0, 1.0, 2.0, 4.0, 7.0))
    (one,) = adapter.look(made, [(84, 84)], processor)
    n = one.vision.shape[1]
    runs, lengths = adapter.is_placeholder(made["input_ids"][0]).unique_consecutive(return_counts=True)
    assert lengths[runs].tolist() == [n] * 3
    words = processor.tokenizer.decode(made["input_ids"][0])
    assert [f"{time[0]} . {time[2]}" in words for time in ("0.5", "3.0", "7.0")] == [True] * 3


def test_each_token_has_one_projector_more_for_every_deepstack_layer():
    model = find("Qwen/Qwen3-VL-8B-Instruct").on_meta()
    place = Geometry(10, 10, (0, 0, 1, 1), (1, 1))
    shapes = adapter_for(model).shapes_for(VisionTokens(torch.empty(1, 100, 1, device="meta"), (place,)))
    assert shapes.projectors == 4 and shapes.projector_in == 4 * 1152 and shapes.projector_out == 4096
    one = 2 * 4608 * (4608 + 4096)
    assert projector_flops(shapes, 7) == 7 * 4 * one


def test_a_text_that_a_logits_processor_reads_on_the_way_is_read_as_ever(model):
    text, read = torch.arange(5, 65)[None], []

    class Reads(LogitsProcessor):
        def __call__(self, ids, scores):
            for some in (text, text[:, :3]):
                read.append(model(input_ids=some).logits)
            return scores

    with torch.no_grad():
        plain = [model(input_ids=some).logits for some in (text, text[:, :3])]
        with prune(model, FEW):
            model.generate(**FAMILY.inputs("image"), max_new_tokens=1, logits_processor=[Reads()])
    assert len(read) == 2 and all(map(torch.equal, read, plain))
