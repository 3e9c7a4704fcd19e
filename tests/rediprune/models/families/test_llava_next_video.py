"""LLaVA-NeXT-Video: pooled tokens of clips, images beside clips, what pooling leaves of the value path."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from transformers import LlavaNextVideoProcessor, LlavaNextVideoVideoProcessor

from rediprune import Explainer, PruneConfig, prune
from rediprune.costs.estimate import projector_flops, vision_flops
from rediprune.models import ModelError, adapter_for, load
from rediprune.models.checkpoints.catalog import find
from rediprune.query.text_tower import TextTower
from tests.families import QUESTIONS, Family, llava_next
from tests.families import llava_next_video as family
from tests.rediprune.models.families import test_every_family as shared
from tests.rediprune.models.families.test_every_family import ALL, COMPARE, FEW, run, same
from tests.support import tiny
from tests.support.counting import count_flops, zeros

FAMILY, N = family.FAMILY, (tiny.GRID // family.POOL) ** 2
PUBLIC = "llava-hf/LLaVA-NeXT-Video-7B-hf"


class Both(Family):
    """Prompts that hold an image and a clip each, the clip first in every other one."""

    def inputs(self, kind: str, media=(1,)) -> dict:
        order, prompts = ("<image>\n<video>", "<video>\n<image>"), range(len(media))
        clips = [self.pictures(10 + i, self.n_frames) for i in prompts]
        return dict(
            self.processor()(
                text=[f"USER: {order[i % 2]}\n{QUESTIONS[i]} ASSISTANT:" for i in prompts],
                images=[self.pictures(i, size=self.sizes[1 + i])[0] for i in prompts],
                videos=[np.stack([np.asarray(frame) for frame in clip]) for clip in clips],
                padding=True,
                do_sample_frames=False,
                return_tensors="pt",
            )
        )


BOTH = Both(**vars(FAMILY))


@pytest.fixture(scope="module")
def model():
    return family.model()


@pytest.fixture(scope="module")
def adapter(model):
    return adapter_for(model)


# Clips ------------------------------------------------------------------------------------------------------


def test_look_is_what_the_projector_receives(model, adapter):
    inputs, received = FAMILY.inputs("video", (2,)), []
    with model.model.multi_modal_projector.register_forward_pre_hook(lambda _, x: received.append(x[0])):
        model.get_video_features(inputs["pixel_values_videos"])
    seen = adapter.look(inputs)
    assert torch.equal(torch.cat([one.vision.features for one in seen]), received[0].detach())
    assert [(one.kind, one.vision.shape) for one in seen] == [("video", (4, N))] * 2
    assert all(torch.equal(one.placeholder_tokens, torch.arange(4 * N)) for one in seen)  # and no separator


@pytest.mark.parametrize("mode", ["average", "max", "conv"])
def test_every_pooling_is_the_models_own(mode):
    pooled = replace(FAMILY, model=lambda dtype: family.model(dtype, spatial_pool_mode=mode))
    inputs = pooled.inputs("video")
    assert same(run(pooled, inputs, ALL)[0], run(pooled, inputs, None)[0])
    assert run(pooled, inputs, FEW)[1].n_kept == 4 * round(0.2 * N)


def test_the_value_of_a_pooled_token_is_a_weighted_average_of_its_patches_values(model, adapter):
    received = []
    with model.model.vision_resampler.register_forward_pre_hook(lambda _, x: received.append(x[0])):
        (clip,) = adapter.look(FAMILY.inputs("video"))
    half = tiny.GRID // 2
    patches = received[0].view(4, half, 2, half, 2, -1).transpose(2, 3).reshape(4, N, 4, -1)
    with torch.no_grad():
        value, shift = adapter.value_path(clip.vision.features), adapter.value_path(torch.zeros(tiny.C))
        spread = (patches.var(-1, correction=0) + 1e-5).sqrt()
        own = (clip.vision.features.var(-1, correction=0) + 1e-5).sqrt()
        weights = spread / (4 * own[..., None])
        mixed = shift + (weights[..., None] * (adapter.value_path(patches) - shift)).sum(2)
    assert (weights > 0).all()
    torch.testing.assert_close(value, mixed, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("mode", ["max", "conv"])
def test_other_poolings_have_no_value_path_and_no_text_tower(mode):
    adapter = adapter_for(family.model(spatial_pool_mode=mode))
    assert adapter.value_path is None and adapter.text_tower_name is None


def test_boxes_of_pooled_tokens(adapter):
    processor, frames = family.processor(), FAMILY.pictures(0, 3, size=(168, 84))
    inputs = FAMILY.processed(["<video> describe"], videos=[frames])
    (clip,) = adapter.look(inputs, [(168, 84)], processor)
    (place,) = set(clip.vision.geometry)
    assert (place.rows, place.cols, place.box, place.image_size) == (3, 3, (42, 0, 126, 84), (168, 84))
    assert place.token_boxes()[4].tolist() == [70, 28, 98, 56]
    (clip,) = adapter.look(inputs)
    assert clip.vision.geometry[0].box == (0, 0, 84, 84)  # without a size, of the preprocessed frame


def test_patches_that_no_pool_takes_lie_outside_the_box():
    config = tiny.config()
    config.vision_config.image_size = 98  # 7 x 7 patches, pooled to 3 x 3
    adapter = adapter_for(family.model(vision_config=config.vision_config))
    square = {"height": 98, "width": 98}
    processor = LlavaNextVideoVideoProcessor(size={"shortest_edge": 98}, crop_size=square)
    (clip,) = adapter.look({"pixel_values_videos": torch.zeros(1, 2, 3, 98, 98)}, [(98, 98)], processor)
    assert clip.vision.shape == (2, 9)
    assert clip.vision.geometry[0].box == (0, 0, 84, 84)


# Images and clips together ----------------------------------------------------------------------------------


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("threads", [1, 2])
def test_image_and_clip_in_one_prompt_are_identical_at_100(beams, threads):
    shared.test_identical_at_100(BOTH, "both", (1, 1), beams, threads)
    shared.test_identical_at_100_in_half_precision(BOTH, "both", torch.bfloat16)


@pytest.mark.parametrize("budget", ["frame", "shared"])
def test_image_and_clip_in_one_prompt_are_the_masked_sequence(budget):
    shared.test_masked(BOTH, "both", (1,), budget)


def test_tiles_and_frames_of_one_prompt_have_their_own_budgets():
    inputs = BOTH.inputs("both", (1, 1))
    _, report = run(BOTH, inputs, FEW)
    seen = adapter_for(family.model()).look(inputs)
    assert [(image.prompt, image.kind) for image in report.images] == [
        (b, kind) for b in (0, 1) for kind in ("image", "video")
    ]
    for image, one in zip(report.images, (seen[i] for i in (0, 2, 1, 3)), strict=True):
        assert (image.kind, image.n_tokens) == (one.kind, one.vision.n_tokens)
        counts = [max(1, round(0.2 * n)) for n in one.vision.counts]
        assert [len(k) for k in one.vision.per_frame(image.kept)] == counts
    _, report = run(BOTH, inputs, PruneConfig(0.2, budget="shared"))
    assert report.n_kept == sum(
        round(0.2 * (seen[b].vision.n_tokens + seen[2 + b].vision.n_tokens)) for b in (0, 1)
    )


def test_the_text_tower_query_sees_tiles_and_pooled_frames_alike(model, tmp_path):
    tower = TextTower.load(f"local-dir:{tiny.save_clip(tmp_path)}")
    config = PruneConfig(0.2, query="text-tower", pointing="value")
    with prune(model, config, question=QUESTIONS[0], text_tower=tower) as report:
        model.generate(**BOTH.inputs("both"), max_new_tokens=1)
    image, clip = report.images
    assert image.selection.relevance.shape[1] == tiny.N
    assert image.selection.relevance[-FAMILY.n_frames :, :N].isfinite().all()
    assert image.selection.relevance[-FAMILY.n_frames :, N:].isnan().all()
    assert len(clip.kept) == FAMILY.n_frames * round(0.2 * N)


def test_a_saved_model_and_processor_answer_as_before(model, tmp_path):
    model.save_pretrained(tmp_path)
    family.processor().save_pretrained(tmp_path)
    loaded, processor = load(tmp_path)
    inputs = BOTH.inputs("both")
    with prune(loaded, FEW):
        again = loaded.generate(**inputs, **COMPARE)
    before, _ = run(BOTH, inputs, FEW)
    assert torch.equal(again.sequences, before.sequences)
    torch.testing.assert_close(again.logits, before.logits, atol=1e-5, rtol=1e-5)
    clip = processor.video_processor(videos=[np.zeros((2, 61, 150, 3), np.uint8)], return_tensors="pt")
    (one,) = adapter_for(loaded).look(clip, [(150, 61)], processor)
    assert (one.vision.shape, one.vision.geometry[0].image_size) == ((2, N), (150, 61))


# The public shapes ------------------------------------------------------------------------------------------


@cache
def public():
    return find(PUBLIC).on_meta().half().eval()


@pytest.mark.parametrize("size", [(336, 336), (1920, 1080), (240, 426), (37, 500)], ids=str)
def test_true_counts_of_clips(size):
    vision, adapter = public().config.vision_config, adapter_for(public())
    side = vision.image_size
    square = {"height": side, "width": side}
    processor = LlavaNextVideoProcessor(
        video_processor=LlavaNextVideoVideoProcessor(size={"shortest_edge": side}, crop_size=square),
        image_processor=llava_next.image_processor(size={"shortest_edge": side}, crop_size=square),
        tokenizer=family.words(),
        patch_size=vision.patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    clip = torch.zeros(8, size[1], size[0], 3, dtype=torch.uint8).numpy()
    made = processor(text="<video>", videos=[clip], do_sample_frames=False, return_tensors="pt")
    frames = made["pixel_values_videos"].to("meta", torch.half)
    (one,) = adapter.look({"pixel_values_videos": frames}, [size], processor)
    assert (one.vision.shape, one.vision.n_tokens) == ((8, 144), 1152)
    assert (
        int((made["input_ids"] == family.words().video_token_id).sum()) == len(one.placeholder_tokens) == 1152
    )
    left, top, right, bottom = one.vision.geometry[0].box
    # a square in the middle, as wide as the frame's shorter side but for the rounding of the longer
    assert right - left == pytest.approx(min(size), rel=1e-2) == bottom - top
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx(
        [s / 2 for s in size], abs=min(size) / 300
    )


def test_the_estimate_equals_a_counted_forward_of_eight_frames():
    model, s = public(), adapter_for(public()).shapes()
    measured = count_flops(lambda: model.get_video_features(zeros(1, 8, 3, 336, 336)))
    assert 8 * vision_flops(s) + projector_flops(s, 1152) == measured
    assert (s.projector_in, s.llm_width, s.n_kv_heads) == (1024, 4096, 32)


def test_the_text_tower_of_the_public_shapes_is_named():
    adapter = adapter_for(public())
    assert adapter.text_tower_name == "ViT-L-14-336-quickgelu/openai" and adapter.value_path is not None


# Refusals ---------------------------------------------------------------------------------------------------


def test_inputs_that_do_not_belong_together_are_refused(model, adapter):
    inputs, processor = FAMILY.inputs("video"), family.processor()
    with pytest.raises(ModelError, match=r"this model takes \[clips, frames, 3, height, width\]"):
        adapter.look({"pixel_values_videos": inputs["pixel_values_videos"][0]})
    with pytest.raises(ModelError, match=r"this vision encoder takes \[T, 3, 84, 84\]"):
        adapter.look({"pixel_values_videos": torch.zeros(1, 2, 3, 70, 84)})
    with pytest.raises(ModelError, match="2 sizes were given for 0 images and 1 clips"):
        adapter.look(inputs, [FAMILY.size] * 2, processor)
    with pytest.raises(ModelError, match="without a processor"):
        adapter.look(inputs, [FAMILY.size])
    with pytest.raises(ModelError, match="need image_sizes"):
        adapter.look({"pixel_values": FAMILY.inputs("image")["pixel_values"]})
    stills = FAMILY.inputs("image")
    with pytest.raises(ModelError, match="video placeholders, but the 1 video"), prune(model, FEW):
        model.generate(**stills | {"pixel_values_videos": inputs["pixel_values_videos"]})
    with pytest.raises(ModelError, match="video placeholders, but the 0 video"), prune(model, FEW):
        model.generate(**BOTH.inputs("both") | {"pixel_values_videos": None})


# The whole path ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["image", "video"])
def test_explainer(kind):
    explainer, config = Explainer(family.model(), family.processor()), PruneConfig(0.2, budget="shared")
    pictures = FAMILY.pictures(0) if kind == "image" else FAMILY.pictures(10, FAMILY.n_frames)
    look = explainer.look(pictures[0] if kind == "image" else pictures)
    asked = explainer.ask(look, QUESTIONS[0], config)
    kept = explainer.select(look, asked, config).kept()
    full = explainer.answer(look, asked, max_new_tokens=6)
    inputs = FAMILY.inputs(kind)
    plain = family.model().generate(**inputs, **COMPARE | {"max_new_tokens": 6})
    assert full.token_ids == tuple(plain.sequences[0, inputs["input_ids"].shape[1] :].tolist())
    assert full.n_visual + full.n_text == inputs["input_ids"].shape[1]
    assert len(look.items) == 1 and look.items[0].kind == kind

    few = explainer.answer(look, asked, kept, max_new_tokens=6)
    assert few.n_visual == len(kept) == round(0.2 * look.n_visual)
    assert explainer.agreement(look, asked, kept, full, few).kl_first > 0
    assert explainer.agreement(look, asked, look.vision.all, full, full).kl_first == 0
    assert explainer.savings(look, asked, kept, 4).n_visual_full == look.n_visual
    assert explainer.time(look, asked, kept, repeats=1, warmup=0, steps=1).prefill > 0
