"""LLaVA-OneVision: what a slot is mixed of, what is projected for it, where it lies in the upload."""

from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    CLIPVisionConfig,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)

from rediprune import Explainer, PruneConfig, draw, prune
from rediprune.costs.estimate import projector_flops, vision_flops
from rediprune.models import ModelError, adapter_for
from rediprune.models.checkpoints.catalog import find
from rediprune.models.families.llava_onevision import LlavaOnevisionAdapter
from tests.families import llava_onevision as family
from tests.rediprune.models.families.test_every_family import ALL, COMPARE, FEW, run, same
from tests.support.counting import check_estimates

FAMILY, SIDE, PATCH, GRID = family.FAMILY, family.SIDE, family.PATCH, family.GRID
N = GRID**2
PUBLIC = "llava-hf/llava-onevision-qwen2-7b-ov-hf"
# (width, height) -> (tiles, rows and columns of the view before it is shrunk, and as it is packed)
VERSIONS = {
    "single": ((76, 76), 2, (5, 5), (5, 5)),
    "wide": ((200, 60), 4, (5, 15), (5, 15)),
    "tall": ((60, 200), 4, (15, 5), (15, 5)),
    "tiny": ((4, 3), 2, (5, 5), (5, 5)),
    "shrunk": ((228, 228), 10, (15, 15), (10, 10)),
}
VERSION = pytest.mark.parametrize(("size", "tiles", "before", "cells"), VERSIONS.values(), ids=VERSIONS)
SIZES = [size for size, *_ in VERSIONS.values()]


@pytest.fixture(scope="module")
def model():
    return family.model()


@pytest.fixture(scope="module")
def adapter(model):
    return adapter_for(model)


def pictures(sizes: list[tuple[int, int]]) -> list[Image.Image]:
    return [FAMILY.pictures(seed, size=size)[0] for seed, size in enumerate(sizes)]


def shown(*sizes: tuple[int, int]) -> dict:
    """One prompt with images of these sizes, each cut into tiles."""
    return FAMILY.processed(["user: " + "<image> " * len(sizes) + "is it red ?"], images=pictures(sizes))


def whole(*sizes: tuple[int, int]) -> dict:
    """The same, the images given as those of one prompt: none is cut."""
    return FAMILY.processed(["user: " + "<image> " * len(sizes) + "is it red ?"], images=[pictures(sizes)])


def both() -> dict:
    """Two prompts: an image between a clip and words, and a clip alone."""
    clips = [np.stack([np.asarray(f) for f in FAMILY.pictures(seed, 3)]) for seed in (1, 2)]
    return dict(
        family.processor()(
            text=["user: <video> is it red <image> ? assistant:", "user: <video> describe it"],
            images=pictures([(150, 61)]),
            videos=clips,
            padding=True,
            return_tensors="pt",
        )
    )


PROMPTS = {
    "tiles": lambda: shown(*SIZES),
    "whole": lambda: whole((150, 61), (76, 76)),
    "image and clips": both,
}
PROMPT = pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)


# Slots, mixes, prompt ---------------------------------------------------------------------------------------


@PROMPT
def test_sources_are_what_the_projector_receives(model, adapter, prompt):
    received = []
    with model.model.multi_modal_projector.register_forward_pre_hook(lambda _, x: received.append(x[0])):
        model(**prompt())
    sources = torch.cat([one.source.tokens for one in adapter.look(prompt())])
    assert torch.equal(sources, torch.cat(received).detach())


@PROMPT
def test_splice_of_everything_is_the_models_own_merge(model, adapter, prompt):
    inputs, merged = prompt(), []
    with model.model.language_model.register_forward_pre_hook(
        lambda _, args, kwargs: merged.append(kwargs["inputs_embeds"]), with_kwargs=True
    ):
        model(**inputs)
    seen = adapter.look(inputs)
    spliced = adapter.splice(
        inputs["input_ids"], inputs["attention_mask"], seen, [one.vision.all for one in seen]
    )
    assert torch.equal(spliced.embeds, merged[0])


@PROMPT
@pytest.mark.parametrize("beams", [1, 3])
def test_mixed_prompts_are_identical_at_100(prompt, beams):
    ours, report = run(FAMILY, prompt(), ALL, num_beams=beams)
    assert same(ours, run(FAMILY, prompt(), None, num_beams=beams)[0])
    assert report.n_kept == report.n_visual


@PROMPT
def test_features_are_what_the_model_would_pack_without_its_projector(prompt):
    bare, inputs = family.model(), prompt()
    bare.model.multi_modal_projector = torch.nn.Identity()
    bare.model.image_newline = torch.nn.Parameter(torch.full((family.C,), 9.0))
    packed = []
    if "pixel_values" in inputs:
        names = ("pixel_values", "image_sizes", "batch_num_images")
        packed += bare.get_image_features(**{name: inputs[name] for name in names}).pooler_output
    if "pixel_values_videos" in inputs:
        packed += bare.get_video_features(inputs["pixel_values_videos"]).pooler_output
    seen = adapter_for(bare).look(inputs)
    for one, slots in zip(seen, packed, strict=True):
        ends = one.placeholder_tokens < 0
        assert torch.equal((slots == 9).all(-1), ends)
        torch.testing.assert_close(
            one.vision.take(one.placeholder_tokens[~ends]), slots[~ends], atol=2e-6, rtol=2e-6
        )


@PROMPT
def test_kept_slots_are_the_models_own_and_only_their_sources_are_projected(model, adapter, prompt):
    for one in adapter.look(prompt()):
        full = adapter.embed_kept([one], [one.vision.all])[0]
        kept = one.vision.all[torch.randperm(one.vision.n_tokens, generator=torch.manual_seed(0))[:9]].sort()[
            0
        ]
        rows = []
        with model.model.multi_modal_projector.register_forward_pre_hook(
            lambda _, x, rows=rows: rows.append(x[0].shape[:-1].numel())
        ):
            few = adapter.embed_kept([one], [kept])[0]
        torch.testing.assert_close(few, full[one.surviving(kept)], atol=2e-6, rtol=2e-6)
        sources = one.source.mix.rows(kept)
        assert rows == [adapter.n_projected(one, kept)] == [len(sources.index.unique())]
        assert rows[0] <= 4 * len(kept) and sources.weight.sum(-1).allclose(torch.ones(len(kept)))
        assert adapter.n_projected(one, one.vision.all) == one.source.tokens.shape[:2].numel()


@VERSION
def test_an_images_frames_are_its_overview_and_its_view(adapter, size, tiles, before, cells):
    inputs = shown(size)
    (one,) = adapter.look(inputs, [size], family.processor())
    assert one.n_views == tiles and one.source.tokens.shape == (tiles, N, family.C)
    view = one.vision.geometry[1]
    rows, cols = (view.rows, view.cols)
    if size != (4, 3):  # whose padding is told below
        assert (rows, cols) == cells
    assert one.vision.counts == (N, rows * cols)
    slots = one.placeholder_tokens[N:].view(rows, cols + 1)
    assert (slots[:, -1] == -1).all() and (one.placeholder_tokens[:N] == torch.arange(N)).all()
    assert torch.equal(slots[:, :-1].flatten(), one.vision.shape[1] + torch.arange(rows * cols))
    assert (inputs["input_ids"] == family.words().image_token_id).sum() == len(one.placeholder_tokens)
    mixed = (one.source.mix.weight > 0).sum(-1).max()
    assert mixed == (4 if cells != before else 1)


def test_an_image_of_a_prompt_with_several_may_be_whole_with_one_newline(adapter):
    (wide, square) = adapter.look(whole((150, 61), (76, 76)), [(150, 61), (76, 76)], family.processor())
    assert wide.placeholder_tokens.tolist() == square.placeholder_tokens.tolist() == [*range(N), -1]
    edge = 150 * 70 / 76  # padded to a square, of which 70 of 76 pixels are read
    assert wide.vision.geometry[0].box == pytest.approx((0, -44, edge, edge - 44))


@pytest.mark.parametrize("size", [(2000, 1), (1, 2000), (1, 1)], ids=str)
def test_images_thinner_than_a_token(adapter, size):
    inputs = shown(size)
    assert same(run(FAMILY, inputs, ALL)[0], run(FAMILY, inputs, None)[0])
    (one,) = adapter.look(inputs, [size], family.processor())
    assert all(one.vision.counts) and len(one.vision.geometry) == one.vision.shape[0]
    assert run(FAMILY, inputs, FEW)[1].n_kept < one.vision.n_tokens


def test_a_view_of_which_unpadding_leaves_nothing_is_no_frame(adapter):
    # No public checkpoint's tiles come to this: an even number of token rows, all of it padding.
    size = (4000, 2)
    even = family.model(image_grid_pinpoints=[[2 * SIDE, 2 * SIDE]])
    processor = LlavaOnevisionImageProcessor(
        size={"height": SIDE, "width": SIDE}, image_grid_pinpoints=[[2 * SIDE, 2 * SIDE]]
    )
    inputs = dict(processor(Image.new("RGB", size), return_tensors="pt"))
    (one,) = adapter_for(even).look(inputs, [size], processor)
    assert one.vision.counts == (N,) and one.placeholder_tokens.tolist() == list(range(N))


def test_a_clip_ends_in_one_newline_that_stays(adapter):
    (clip,) = adapter.look(FAMILY.inputs("video"))
    half = (GRID + 1) // 2
    assert clip.vision.shape == (FAMILY.n_frames, half**2) and clip.n_views == FAMILY.n_frames
    assert clip.placeholder_tokens.tolist() == [*range(FAMILY.n_frames * half**2), -1]
    assert clip.surviving(torch.tensor([3])).nonzero().flatten().tolist() == [
        3,
        len(clip.placeholder_tokens) - 1,
    ]


def test_no_value_path_for_mixes_and_no_text_tower(adapter):
    assert adapter.value_path is None and adapter.text_tower_name is None
    assert adapter_for(family.model(vision_feature_layer=-2)).value_path is None


# Geometry: pixels of the upload -----------------------------------------------------------------------------


@pytest.mark.parametrize("backend", [LlavaOnevisionImageProcessor, LlavaOnevisionImageProcessorPil])
@pytest.mark.parametrize("size", [(76, 76), (200, 60), (60, 200), (333, 95), (300, 411)], ids=str)
def test_a_mark_in_a_tokens_box_changes_the_patch_it_is_made_of_and_no_other(size, backend):
    plain = family.model(vision_aspect_ratio="anyres_max_9")  # nothing is shrunk: a token is one patch
    processor = backend(size={"height": SIDE, "width": SIDE}, image_grid_pinpoints=family.PINPOINTS)
    before = dict(processor(Image.new("RGB", size, (90, 90, 90)), return_tensors="pt"))
    before["pixel_values"] = before["pixel_values"].float()
    (one,) = adapter_for(plain).look(before, [size], processor)
    index, n, marked = one.source.mix.index[:, 0], one.vision.shape[1], 0
    for flat in np.random.default_rng(0).permutation(one.vision.all.numpy())[:40]:
        place = one.vision.geometry[flat // n]
        box = place.token_boxes()[flat % n].numpy()
        scale = PATCH / (box[2:] - box[:2])
        blur = 3 * np.maximum(1, 1 / scale)  # bicubic reaches two pixels of the coarser grid
        x0, y0 = np.ceil(np.maximum(box[:2] + blur, 0)).astype(int)
        x1, y1 = np.floor(np.minimum(box[2:] - blur, size)).astype(int)
        if x1 <= x0 or y1 <= y0:
            continue  # padding, or too few pixels to mark
        pixels = np.full((size[1], size[0], 3), 90, np.uint8)
        pixels[y0:y1, x0:x1] = 220
        after = processor(Image.fromarray(pixels), return_tensors="pt")["pixel_values"]
        tile, token = divmod(int(index[flat]), N)
        change = (after - before["pixel_values"])[0, tile].abs().sum(0)
        rows, cols = (change > 0).nonzero().T // PATCH
        assert set(zip(rows.tolist(), cols.tolist(), strict=True)) == {divmod(token, GRID)}
        for axis, (a, b) in enumerate(((x0, x1), (y0, y1))):
            weight = change.sum(axis).double()
            centre = (weight * (torch.arange(SIDE) + 0.5)).sum() / weight.sum()
            corner = PATCH * (token % GRID if axis == 0 else token // GRID)
            assert abs(centre - corner - ((a + b) / 2 - box[axis]) * scale[axis]) < 0.15, (flat, axis)
        marked += 1
    assert marked >= 5


def test_cells_of_a_shrunk_view_by_hand(adapter):
    """15 patches in three tiles of 76 pixels, 6 of which no patch reads, become 10 cells of 1.5 patches."""
    size = (228, 228)
    _, view = adapter.look(shown(size), [size], family.processor())[0].vision.geometry
    across = [(0, 21), (21, 42), (42, 63), (63, 90), (90, 111), (111, 132), (132, 159), (159, 180)]
    across += [(180, 201), (201, 222)]
    assert torch.equal(view.spans[0], torch.tensor(across, dtype=torch.float64))
    assert torch.equal(view.spans[1], view.spans[0]) and view.box == (0, 0, 222, 222)
    # Half the size is half the boxes, for the same canvas is filled.
    _, view = adapter.look(shown((456, 456)), [(456, 456)], family.processor())[0].vision.geometry
    assert torch.equal(view.spans[0], 2 * torch.tensor(across, dtype=torch.float64))


def test_pixels_that_no_patch_reads_belong_to_no_token(adapter):
    """Between tiles: dimmed in the picture even where every token is kept."""
    size = (152, 76)
    one = adapter.look(shown(size), [size], family.processor())[0]
    view = one.vision.geometry[1]
    picture = np.asarray(draw.mark_kept(Image.new("RGB", size, (200, 100, 50)), view, torch.arange(50)))
    unread = [*range(71, 75), *range(147, 152)]  # 70 to 75 and 146 to 151, without the border that is drawn
    grey = (picture[:70].min(-1) == picture[:70].max(-1)).all(0)
    assert grey.nonzero()[0].tolist() == unread


def test_a_clips_cells_divide_what_is_read_of_a_frame(adapter):
    (clip,) = adapter.look(FAMILY.inputs("video"), [FAMILY.size], family.processor())
    width, height = FAMILY.size
    assert set(clip.vision.geometry) == {clip.vision.geometry[0]}
    place = clip.vision.geometry[0]
    assert (place.rows, place.cols) == (3, 3)
    assert place.box == pytest.approx((0, 0, width * 70 / 76, height * 70 / 76))


# The public shapes ------------------------------------------------------------------------------------------


@cache
def public():
    return find(PUBLIC).on_meta().half().eval()


@cache
def public_processor() -> LlavaOnevisionProcessor:
    return LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(),
        video_processor=LlavaOnevisionVideoProcessor(),
        tokenizer=family.words(),
        num_image_tokens=729,
        vision_feature_select_strategy="full",
    )


@pytest.mark.parametrize(
    ("size", "tiles", "rows", "cols"),
    [
        ((384, 384), 2, 27, 27),
        ((640, 480), 5, 40, 54),
        ((1000, 300), 4, 25, 81),
        ((300, 1000), 4, 81, 25),
        ((1500, 1000), 13, 73, 108),  # 7,884 tokens, within a tenth of nine views: not shrunk
        ((1200, 1200), 17, 81, 81),  # shrunk to nine views
        ((4, 3), 2, 21, 27),
        ((4000, 10), 7, 1, 162),
    ],
)
def test_true_counts_of_uploads(size, tiles, rows, cols):
    made = public_processor()(text="<image>", images=Image.new("RGB", size), return_tensors="pt")
    inputs = dict(made) | {"pixel_values": made["pixel_values"].to("meta", torch.half)}
    (one,) = adapter_for(public()).look(inputs, [size], public_processor())
    assert (one.n_views, one.vision.counts) == (tiles, (729, rows * cols))
    assert len(one.placeholder_tokens) == 729 + rows * (cols + 1)
    assert int((made["input_ids"] == family.words().image_token_id).sum()) == len(one.placeholder_tokens)


def test_a_clip_has_196_tokens_a_frame_and_one_newline():
    pixels = torch.zeros(1, 8, 3, 384, 384, device="meta", dtype=torch.half)
    (clip,) = adapter_for(public()).look({"pixel_values_videos": pixels})
    assert clip.vision.shape == (8, 14 * 14) and len(clip.placeholder_tokens) == 8 * 196 + 1
    assert clip.source.tokens.shape == (8, 729, 1152)


def test_the_estimate_equals_counted_forwards_at_the_public_shapes():
    model, s = public(), adapter_for(public()).shapes()
    assert (s.vision_tokens, s.vision_patches, s.projector_in, s.llm_width) == (729, 729, 1152, 3584)
    check_estimates(model, [model.model.vision_tower], views=5, side=384)


# Refusals ---------------------------------------------------------------------------------------------------


def test_wrong_inputs_are_one_sentence(adapter):
    inputs, size = shown((200, 60)), [(200, 60)]
    other = LlavaOnevisionImageProcessor(
        size={"height": SIDE, "width": SIDE}, image_grid_pinpoints=[[3 * SIDE, SIDE]]
    )
    for changes, sizes, processor, sentence in (
        ({"image_sizes": None}, None, None, "came without image_sizes"),
        ({"image_sizes": torch.tensor([[300, 300]])}, None, None, r"are cut into \[10\] tiles"),
        ({"batch_num_images": torch.tensor([2])}, None, None, "speaks of 2 images and image_sizes of 1"),
        ({"pixel_values": inputs["pixel_values"][..., :70]}, None, None, "this vision encoder takes"),
        ({}, size * 2, family.processor(), "2 sizes were given for 1 images and 0 clips"),
        (
            {},
            [(60, 200)],
            family.processor(),
            "60 x 200 pixels was named, but the processor read .* 200 x 60",
        ),
        ({}, size, other, "image_grid_pinpoints are not the model's"),
        ({"pixel_values_videos": inputs["pixel_values"][0]}, None, None, r"one tensor \[clips, T, 3, H, W\]"),
    ):
        with pytest.raises(ModelError, match=sentence) as error:
            adapter.look(inputs | changes, sizes, processor)
        assert "\n" not in str(error.value)


def test_another_aspect_ratio_for_one_call_is_refused(model):
    with (
        pytest.raises(ModelError, match="vision_aspect_ratio cannot be changed for one call"),
        prune(model, FEW),
    ):
        model.generate(**shown((76, 76)), vision_aspect_ratio="anyres_max_1")


# The whole path ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [0, 1, 3], ids=["image", "clip of one frame", "clip"])
def test_explainer(frames):
    question, kind = "What color is the star?", "video" if frames else "image"
    pictures = FAMILY.pictures(0, frames or 1)
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
    counts = (9,) * frames if frames else (N, 96)
    assert trace.vision.counts == counts and len(trace.kept) == sum(round(0.2 * n) for n in counts)
    assert trace.agreement.kl_first > 0

    look = explainer.look(media)
    asked = explainer.ask(look, question, config)
    assert asked.n_text + look.n_visual == inputs["input_ids"].shape[1]
    assert explainer.time(look, asked, trace.kept, repeats=1, warmup=0, steps=1).prefill > 0
    # What is encoded and projected is more than the tokens of the prompt.
    views, shapes = frames or 7, explainer.adapter.shapes()
    assert trace.savings.full.vision == views * vision_flops(shapes)
    assert trace.savings.full.projector == projector_flops(shapes, views * N)
    (one,) = look.items
    projected = explainer.adapter.n_projected(one, trace.kept)
    assert len(trace.kept) < projected < views * N
    assert trace.savings.pruned.projector == projector_flops(shapes, projected)


def test_a_clip_encoder_is_served_as_the_model_runs_it():
    """With its class token taken off, tokens and patches match as SigLIP's do."""
    clip = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=family.SIDE,
        patch_size=family.PATCH,
    )
    model = family.model(vision_config=clip, vision_feature_select_strategy="default")
    assert isinstance(adapter_for(model), LlavaOnevisionAdapter)
    inputs = family.FAMILY.inputs("image", (1, 2))
    settings = {
        "max_new_tokens": 4,
        "do_sample": False,
        "output_logits": True,
        "return_dict_in_generate": True,
    }
    full = model.generate(**inputs, **settings)
    with prune(model, PruneConfig(1.0)):
        ours = model.generate(**inputs, **settings)
    assert torch.equal(ours.sequences, full.sequences)
    assert all(map(torch.equal, ours.logits, full.logits))
    with prune(model, PruneConfig(0.2)) as report:
        model.generate(**inputs, **settings)
    assert 0 < report.n_kept < report.n_visual
