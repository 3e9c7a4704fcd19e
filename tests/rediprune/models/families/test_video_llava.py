"""Video-LLaVA: two encoders, one projector; the class token of a frame is a token of no place."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from transformers import SiglipVisionConfig, VideoLlavaImageProcessor, VideoLlavaProcessor

from rediprune import Explainer, PruneConfig, draw, prune
from rediprune.models import ModelError, adapter_for
from rediprune.models.checkpoints.catalog import find
from tests.families import video_llava as family
from tests.rediprune.models.families.test_every_family import ALL, COMPARE, FEW, run, same
from tests.support import tiny
from tests.support.counting import check_estimates, zeros

FAMILY, N, T = family.FAMILY, tiny.N, family.FAMILY.n_frames
PUBLIC = "LanguageBind/Video-LLaVA-7B-hf"


@pytest.fixture(scope="module")
def model():
    return family.model()


@pytest.fixture(scope="module")
def adapter(model):
    return adapter_for(model)


def both() -> dict:
    """Two prompts: one with two images and a clip between words, one with a clip alone."""
    return dict(
        family.processor()(
            text=["user: <image> <video> is it red <image> ? assistant:", "user: <video> describe it"],
            images=FAMILY.pictures(0, 2),
            videos=[np.stack([np.asarray(f) for f in FAMILY.pictures(seed, T)]) for seed in (1, 2)],
            padding=True,
            return_tensors="pt",
        )
    )


# Tokens, prompt ---------------------------------------------------------------------------------------------


def test_look_is_what_the_projector_receives_with_the_class_token_behind_its_frame(model, adapter):
    inputs, received = both(), []
    with model.model.multi_modal_projector.register_forward_pre_hook(lambda _, x: received.append(x[0])):
        model(**inputs)
    images, clips = (x.detach() for x in received)
    seen = adapter.look(inputs)
    assert [one.kind for one in seen] == ["image", "image", "video", "video"]
    assert torch.equal(torch.cat([one.vision.features for one in seen[:2]]), images)
    frames = torch.cat([one.vision.features for one in seen[2:]])
    assert frames.shape == (2 * T, N + 1, tiny.C)
    assert torch.equal(frames, clips.roll(-1, dims=1))
    # In the order of the prompt it is the model's own again.
    assert torch.equal(seen[2].kept_features(seen[2].vision.all), clips[:T].flatten(0, 1))


def test_splice_of_everything_is_the_models_own_merge(model, adapter):
    inputs, merged = both(), []
    with model.model.language_model.register_forward_pre_hook(
        lambda _, args, kwargs: merged.append(kwargs["inputs_embeds"]), with_kwargs=True
    ):
        model(**inputs)
    seen = adapter.look(inputs)
    prompt = adapter.splice(
        inputs["input_ids"], inputs["attention_mask"], seen, [one.vision.all for one in seen]
    )
    assert torch.equal(prompt.embeds, merged[0])


def test_a_kept_class_token_comes_in_front_of_its_frames_patches(adapter):
    clip = adapter.look(both())[2]
    kept = torch.tensor([3, N, N + 1 + 5, 2 * N + 1])  # of two frames a patch and the class token each
    assert clip.placeholder_tokens[clip.surviving(kept)].tolist() == [N, 3, 2 * N + 1, N + 1 + 5]
    projected = adapter.embed_kept([clip], [kept])[0]
    alone = adapter.project(clip.vision.take(torch.tensor([N]))[None])[0]
    torch.testing.assert_close(projected[:1], alone)


@pytest.mark.parametrize("beams", [1, 3])
def test_images_and_clips_in_one_prompt_are_identical_at_100(beams):
    ours, report = run(FAMILY, both(), ALL, num_beams=beams)
    assert same(ours, run(FAMILY, both(), None, num_beams=beams)[0])
    assert [(i.prompt, i.kind, i.n_tokens) for i in report.images] == [
        (0, "image", N),
        (0, "image", N),
        (0, "video", T * (N + 1)),
        (1, "video", T * (N + 1)),
    ]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
def test_images_and_clips_in_one_prompt_are_identical_in_half_precision(dtype):
    assert same(run(FAMILY, both(), ALL, dtype)[0], run(FAMILY, both(), None, dtype)[0])


@pytest.mark.parametrize("budget", ["frame", "shared"])
def test_images_and_clips_in_one_prompt_equal_the_masked_sequence(model, adapter, budget):
    inputs = both()
    ours, report = run(FAMILY, inputs, PruneConfig(0.2, positions="original", budget=budget))
    seen, mask = adapter.look(inputs), inputs["attention_mask"]
    hidden = mask.clone()
    places = adapter.placeholders(inputs["input_ids"], seen)
    for image, one, (row, where) in zip(report.images, seen, places, strict=True):
        hidden[row, where[~one.surviving(image.kept)]] = 0
    positions = adapter.positions(inputs["input_ids"], mask, inputs)
    full = model.generate(**inputs | {"attention_mask": hidden}, position_ids=positions, **COMPARE)
    assert torch.equal(ours.sequences, full.sequences)
    for a, b in zip(ours.logits, full.logits, strict=True):
        torch.testing.assert_close(a, b, atol=2e-6, rtol=2e-6)


def test_the_pixels_of_images_go_by_either_name():
    inputs = FAMILY.inputs("image")
    renamed = {"pixel_values" if k == "pixel_values_images" else k: v for k, v in inputs.items()}
    assert "pixel_values" in renamed
    assert same(run(FAMILY, renamed, FEW)[0], run(FAMILY, inputs, FEW)[0])


def test_images_that_keep_their_class_token_are_identical_too():
    """vision_feature_select_strategy="full" is the family's other way; then images have one as well."""
    plain = family.processor()
    processor = VideoLlavaProcessor(
        image_processor=plain.image_processor,
        video_processor=plain.video_processor,
        tokenizer=plain.tokenizer,
        patch_size=tiny.PATCH,
        vision_feature_select_strategy="full",
        chat_template=family.CHAT_TEMPLATE,
    )
    full = replace(
        FAMILY,
        processor=lambda: processor,
        model=lambda dtype: family.model(dtype, vision_feature_select_strategy="full"),
    )
    inputs = full.inputs("image", (2,))
    ours, report = run(full, inputs, ALL)
    assert same(ours, run(full, inputs, None)[0])
    assert report.n_visual == 2 * (N + 1)


@pytest.mark.parametrize("keep_ratio", [0.5, N / (N + 1)])
def test_the_grid_spends_its_tokens_on_places_first(keep_ratio):
    model = family.model()
    with prune(model, PruneConfig(keep_ratio, method="grid")) as report:
        model.generate(**both(), max_new_tokens=1)
    kept = report.images[2].kept
    assert len(kept) == FAMILY.n_frames * round(keep_ratio * (N + 1))
    assert (kept % (N + 1) != N).all()


# Geometry ---------------------------------------------------------------------------------------------------


def test_the_class_token_has_the_box_of_all_that_was_seen(adapter):
    inputs = FAMILY.processed(["<video> is it red"], videos=[FAMILY.pictures(0, 2, size=(200, 100))])
    (clip,) = adapter.look(inputs, [(200, 100)], family.processor())
    place = clip.vision.geometry[1]
    assert (place.rows, place.cols, place.n_global) == (6, 6, 1)
    assert place.box == pytest.approx((50, 0, 150, 100))
    assert place.token_boxes().shape == (N + 1, 4)
    assert place.token_boxes()[N].tolist() == pytest.approx(place.box)
    (image,) = adapter.look(FAMILY.inputs("image"))
    assert image.vision.geometry[0].n_global == 0


def test_clips_are_placed_by_the_video_processors_settings(adapter):
    plain = family.processor()
    wide = VideoLlavaImageProcessor(
        size={"height": 84, "width": 84}, crop_size={"height": 84, "width": 84}
    )  # squeezes what the video processor crops
    processor = VideoLlavaProcessor(
        image_processor=wide,
        video_processor=plain.video_processor,
        tokenizer=plain.tokenizer,
        patch_size=tiny.PATCH,
    )
    image, clip = adapter.look(
        {"pixel_values": torch.zeros(1, 3, 84, 84), "pixel_values_videos": torch.zeros(1, 2, 3, 84, 84)},
        [(200, 100), (200, 100)],
        processor,
    )
    assert image.vision.geometry[0].box == pytest.approx((0, 0, 200, 100))
    assert clip.vision.geometry[0].box == pytest.approx((50, 0, 150, 100))


# The public shapes ------------------------------------------------------------------------------------------


@cache
def public():
    return find(PUBLIC).on_meta().half().eval()


def test_true_counts_are_those_of_the_public_config():
    config, side = public().config, public().config.vision_config.image_size
    image, clip = adapter_for(public()).look(
        {"pixel_values": zeros(1, 3, side, side), "pixel_values_videos": zeros(1, 8, 3, side, side)}
    )
    assert image.vision.n_tokens == config.image_seq_length == 256
    assert (clip.vision.shape, clip.vision.n_tokens) == ((8, 257), config.video_seq_length)


def test_the_estimate_equals_counted_forwards_at_the_public_shapes():
    model, s = public(), adapter_for(public()).shapes()
    assert (s.projector_in, s.vision_tokens, s.vision_patches) == (1024, 257, 256)
    check_estimates(model, [model.model.image_tower, model.model.video_tower], views=8, side=224)


def test_no_text_tower_is_named_by_shape_alone():
    """The towers have the shape of OpenAI's ViT-L/14, but are LanguageBind's."""
    adapter = adapter_for(public())
    assert adapter.text_tower_name is None
    assert adapter.value_path is None


# Refusals ---------------------------------------------------------------------------------------------------


def test_an_encoder_without_a_class_token_is_refused():
    siglip = SiglipVisionConfig(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, image_size=84)
    with torch.device("meta"):
        model = family.VideoLlavaForConditionalGeneration(family.config(vision_config=siglip))
    with pytest.raises(ModelError, match="vision encoder of type siglip_vision_model is not known here"):
        adapter_for(model)


def test_wrong_inputs_are_one_sentence(model, adapter):
    frames, clip = torch.zeros(4, 3, 84, 84), torch.zeros(1, 4, 3, 84, 84)
    for inputs, sizes, sentence in (
        ({"pixel_values_videos": frames}, None, r"a clip of T frames is \[T, 3, height, width\]"),
        ({"pixel_values_videos": clip[..., :56]}, None, "this vision encoder takes"),
        ({"pixel_values_images": frames[..., :56]}, None, "this vision encoder takes"),
        ({"pixel_values_videos": clip}, [(9, 9)] * 4, "4 sizes were given for 0 images and 1 clips"),
        ({"pixel_values_videos": clip}, [(9, 9)], "without a processor"),
    ):
        with pytest.raises(ModelError, match=sentence) as error:
            adapter.look(inputs, sizes)
        assert "\n" not in str(error.value)
    inputs = FAMILY.inputs("video")
    inputs["pixel_values_videos"] = inputs["pixel_values_videos"][:, :2]  # fewer frames than placeholders
    with (
        pytest.raises(ModelError, match=r"hold \[148\] video placeholders, but .* need \[74\]"),
        prune(model, FEW),
    ):
        model.generate(**inputs)


# The whole path ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [0, 1, 3], ids=["image", "clip of one frame", "clip"])
def test_explainer(frames):
    question, kind = "What color is the star?", "video" if frames else "image"
    pictures = FAMILY.pictures(0, frames or 1, size=(150, 61))
    explainer, config = Explainer(family.model(), family.processor()), PruneConfig(0.2)
    media = pictures if frames else pictures[0]
    trace = explainer.run(media, question, config, max_new_tokens=6)
    text = family.processor().apply_chat_template(
        [{"role": "user", "content": [{"type": kind}, {"type": "text", "text": question}]}],
        add_generation_prompt=True,
    )
    inputs = FAMILY.processed([text], **({"videos": [pictures]} if frames else {"images": pictures}))
    plain = family.model().generate(**inputs, **COMPARE | {"max_new_tokens": 6})
    assert trace.full.token_ids == tuple(plain.sequences[0, inputs["input_ids"].shape[1] :].tolist())
    n = N + (frames > 0)
    assert trace.vision.shape == (frames or 1, n)
    assert len(trace.kept) == 7 * (frames or 1)
    assert trace.savings.n_visual_full == n * (frames or 1)
    assert trace.agreement.kl_first > 0
    look = explainer.look(media)
    asked = explainer.ask(look, question, config)
    assert asked.n_text + look.n_visual == inputs["input_ids"].shape[1]
    assert explainer.time(look, asked, trace.kept, repeats=1, warmup=0, steps=1).prefill > 0
    if frames == 1:
        with_class = replace(trace, kept=torch.cat([trace.kept[:3], torch.tensor([N])]))
        assert draw.overlay(with_class, pictures[0]).size == draw.overlay(trace, pictures[0]).size


def test_a_saved_folder_is_opened_and_answers_about_a_clip(tmp_path):
    family.model().save_pretrained(tmp_path)
    family.processor().save_pretrained(tmp_path)
    opened, built = Explainer.from_pretrained(tmp_path), Explainer(family.model(), family.processor())
    clip, config = FAMILY.pictures(0, 2, size=(150, 61)), PruneConfig(0.2)
    ours, known = (e.run(clip, "Is it red?", config, max_new_tokens=3) for e in (opened, built))
    assert torch.equal(ours.kept, known.kept)
    assert ours.pruned.token_ids == known.pruned.token_ids
