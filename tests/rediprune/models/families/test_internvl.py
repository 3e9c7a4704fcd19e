"""InternVL: what belongs together in a prompt, where tiles and their tokens lie, counts, the whole way."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from transformers import GotOcr2ImageProcessor, InternVLProcessor, InternVLVideoProcessor

from rediprune import Explainer, PruneConfig, prune
from rediprune.costs.estimate import prefill_flops, projector_flops, vision_flops
from rediprune.models import ModelError, adapter_for
from rediprune.models.checkpoints.catalog import find
from rediprune.query.question import prompt_text
from tests.families import internvl as family
from tests.rediprune.models.families.test_every_family import ALL, COMPARE, FEW, run, same

FAMILY, SIDE = family.FAMILY, 4
SIZES = ((84, 84), (200, 90), (50, 50))  # 4 tiles and an overview, 2 and an overview, 1


@cache
def model():
    return FAMILY.model(torch.float32)


@pytest.fixture
def adapter():
    return adapter_for(model())


def shown(*media: tuple[int, int] | int) -> dict:
    """Processor output for one prompt: images of these sizes, clips of so many frames, in this order."""
    processor = family.processor()
    text = "".join("<video>\n" if isinstance(one, int) else "<IMG_CONTEXT>\n" for one in media)
    images = [FAMILY.pictures(i, 1, size)[0] for i, size in enumerate(media) if not isinstance(size, int)]
    clips = [np.stack(FAMILY.pictures(20 + i, n)) for i, n in enumerate(media) if isinstance(n, int)]
    return dict(
        processor(
            text=[f"user {text} What color is the star?"],
            images=images or None,
            videos=clips or None,
            do_sample_frames=False,
            return_tensors="pt",
        )
    )


# What belongs together --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (SIZES, [("image", 5), ("image", 3), ("image", 1)]),
        (((50, 50), (50, 50)), [("image", 1), ("image", 1)]),
        ((4,), [("video", 4)]),
        ((12,), [("video", 12)]),  # with two digits in its labels
        ((3, 3), [("video", 3), ("video", 3)]),
        (((84, 84), 3, (50, 50)), [("image", 5), ("video", 3), ("image", 1)]),
        ((1,), [("image", 1)]),  # one frame is an image to the model
    ],
    ids=str,
)
def test_images_and_clips_are_told_apart_by_the_prompt(adapter, media, expected):
    inputs = shown(*media)
    seen = adapter.look(inputs)
    assert [(one.kind, one.vision.shape) for one in seen] == [(k, (t, SIDE**2)) for k, t in expected]
    ours, report = run(FAMILY, inputs, ALL)
    assert same(ours, run(FAMILY, inputs, None)[0])
    assert [image.n_tokens for image in report.images] == [t * SIDE**2 for _, t in expected]


@pytest.mark.parametrize("budget", ["frame", "shared"])
def test_grouping_decides_nothing_about_what_is_kept(budget, monkeypatch):
    """Frames taken for images, or images for frames, would keep the same tokens."""
    inputs, config = shown(4), PruneConfig(0.2, budget=budget)
    _, clip = run(FAMILY, inputs, config)
    kind = type(adapter_for(model()))
    together = kind._shown
    monkeypatch.setattr(
        kind, "_shown", lambda self, ids: [("image", 1) for _, n in together(self, ids) for _ in range(n)]
    )
    _, images = run(FAMILY, inputs, config)
    assert len(images.images) == 4 and len(clip.images) == 1
    apart = torch.cat([image.kept + i * SIDE**2 for i, image in enumerate(images.images)])
    assert torch.equal(clip.images[0].kept, apart)


def test_a_padded_batch_is_read_row_by_row(adapter):
    inputs = FAMILY.inputs("video", (1, 2))
    seen = adapter.look(inputs)
    assert [(one.kind, one.vision.shape[0]) for one in seen] == [("video", 4)] * 3
    assert [row for row, _ in adapter.placeholders(inputs["input_ids"], seen)] == [0, 1, 1]


# Tokens -----------------------------------------------------------------------------------------------------


def test_look_is_what_the_projector_receives(adapter):
    inputs, received = shown(*SIZES), []
    with model().model.multi_modal_projector.register_forward_pre_hook(lambda _, x: received.append(x[0])):
        model().get_image_features(inputs["pixel_values"])
    seen = adapter.look(inputs)
    assert torch.equal(torch.cat([one.vision.features for one in seen]), received[0].detach())


def test_a_token_is_four_neighbouring_patches_in_raster_order(adapter, monkeypatch):
    """The encoder replaced by one that hands its patches' numbers on: they come back as 2 x 2 blocks."""
    side = 2 * SIDE
    numbers = torch.arange(side * side, dtype=torch.float32)

    class Numbers(torch.nn.Module):
        device = torch.device("cpu")

        def forward(self, pixels, **_):
            states = torch.cat([torch.tensor([-1.0]), numbers])[None, :, None].expand(len(pixels), -1, 4)
            return type("Out", (), {"last_hidden_state": states.contiguous()})

    monkeypatch.setitem(model().model._modules, "vision_tower", Numbers())
    (one,) = adapter.look(shown((50, 50)))
    blocks = numbers.reshape(SIDE, 2, SIDE, 2).permute(0, 2, 1, 3).reshape(SIDE**2, 4)
    for token, block in zip(one.vision.features[0], blocks, strict=True):
        assert sorted(token.unique().tolist()) == sorted(block.tolist())


def test_only_what_is_kept_is_projected():
    rows = []
    with (
        model().model.multi_modal_projector.register_forward_pre_hook(
            lambda _, x: rows.append(x[0].shape[:-1].numel())
        ),
        prune(model(), FEW) as report,
    ):
        model().generate(**shown(*SIZES), max_new_tokens=1, do_sample=False)
    assert sum(rows) == report.n_kept < report.n_visual / 4


# Geometry ---------------------------------------------------------------------------------------------------


def test_boxes_of_tiles_by_hand(adapter):
    inputs, processor = shown(*SIZES, 2), family.processor()
    seen = adapter.look(inputs, [*SIZES, (84, 84)], processor)
    boxes = [[g.box for g in one.vision.geometry] for one in seen]
    halves = [(x, y, x + 42, y + 42) for y in (0, 42) for x in (0, 42)]
    assert boxes[0] == [*halves, (0, 0, 84, 84)]
    assert boxes[1] == [(0, 0, 100, 90), (100, 0, 200, 90), (0, 0, 200, 90)]
    assert boxes[2] == [(0, 0, 50, 50)]
    assert boxes[3] == [(0, 0, 84, 84)] * 2
    assert [one.vision.geometry[0].image_size for one in seen] == [*SIZES, (84, 84)]


def test_without_sizes_the_geometry_is_that_of_each_tile(adapter):
    for one in adapter.look(shown(*SIZES, 2)):
        assert {(g.box, g.image_size) for g in one.vision.geometry} == {((0, 0, 56, 56), (56, 56))}


# The public shapes ------------------------------------------------------------------------------------------


@cache
def public():
    return find("OpenGVLab/InternVL3-1B-hf").on_meta().half().eval()


@pytest.mark.parametrize(
    ("size", "tiles"),
    [
        ((448, 448), 1),
        ((640, 480), 13),  # 4 x 3 and an overview
        ((1000, 300), 4),
        ((300, 1000), 4),
        ((1920, 1080), 9),  # nearest to 16:9 is 2:1: 4 x 2
        ((100, 100), 1),
    ],
)
def test_true_counts_of_uploads(size, tiles):
    side = {"height": 448, "width": 448}
    processor = InternVLProcessor(
        # What the public preprocessor_config.json says.
        image_processor=GotOcr2ImageProcessor(size=side, crop_to_patches=True, min_patches=1, max_patches=12),
        tokenizer=family.tokenizer(),
        video_processor=InternVLVideoProcessor(size=side),
        image_seq_length=256,
    )
    adapter = adapter_for(public())
    public().config.image_token_id = processor.image_token_id
    made = processor(text="<IMG_CONTEXT> What?", images=Image.new("RGB", size), return_tensors="pt")
    inputs = {"input_ids": made["input_ids"], "pixel_values": made["pixel_values"].to("meta", torch.half)}
    (one,) = adapter.look(inputs, [size], processor)
    assert one.vision.shape == (tiles, 256) and one.vision.features.shape[-1] == 4096
    clip = np.zeros((3, size[1], size[0], 3), np.uint8)
    made = processor(text="<video> What?", videos=[clip], return_tensors="pt")
    inputs = {"input_ids": made["input_ids"], "pixel_values": made["pixel_values"].to("meta", torch.half)}
    (one,) = adapter.look(inputs, [size], processor)
    assert (one.kind, one.vision.shape) == ("video", (3, 256))
    assert one.vision.geometry[0].box == pytest.approx((0, 0, *size))


@torch.no_grad()
def test_the_estimate_equals_counted_forwards_at_the_public_shapes():
    base, s = public().model, adapter_for(public()).shapes()

    def counted(call) -> int:
        with FlopCounterMode(display=False) as counter:
            call()
        return counter.get_total_flops()

    def zeros(*shape):
        return torch.zeros(shape, device="meta", dtype=torch.half)

    def prefill():
        out = base.language_model(inputs_embeds=zeros(1, 300, 896), use_cache=True)
        public().lm_head(out.last_hidden_state[:, -1:])

    assert (s.vision_tokens, s.projector_in, s.n_kv_heads, s.vocab) == (1025, 4096, 2, 151674)
    assert 3 * vision_flops(s) == counted(lambda: base.vision_tower(zeros(3, 3, 448, 448)))
    assert projector_flops(s, 77) == counted(lambda: base.multi_modal_projector(zeros(1, 77, 4096)))
    assert prefill_flops(s, 300) == counted(prefill)


# Refusals ---------------------------------------------------------------------------------------------------


def test_inputs_that_do_not_belong_together_are_refused(adapter):
    inputs, processor = shown((84, 84)), family.processor()
    with pytest.raises(ModelError, match="input_ids are missing"):
        adapter.look({"pixel_values": inputs["pixel_values"]})
    with pytest.raises(ModelError, match="but the prompts speak of 5 tiles of 56 x 56 pixels"):
        adapter.look(inputs | {"pixel_values": inputs["pixel_values"][1:]})
    with pytest.raises(ModelError, match="an image has 79 placeholders, but a tile has 16 tokens"):
        first = int((inputs["input_ids"][0] == adapter.image_token_id).nonzero()[0])
        shorter = torch.cat([inputs["input_ids"][:, :first], inputs["input_ids"][:, first + 1 :]], 1)
        adapter.look(inputs | {"input_ids": shorter})
    with pytest.raises(ModelError, match="2 sizes were given for 1 images"):
        adapter.look(inputs, [(84, 84)] * 2, processor)
    with pytest.raises(ModelError, match="cuts a 200 x 90 image into 2 x 1 tiles, but pixel_values hold 5"):
        adapter.look(inputs, [(200, 90)], processor)
    with pytest.raises(ModelError, match="without a processor"):
        adapter.look(inputs, [(84, 84)])
    with pytest.raises(ModelError, match="takes no image_grid_thw"), prune(model(), FEW):
        model().generate(**inputs, image_grid_thw=torch.ones(1, 3))


# The whole path ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["image", "video"])
def test_explainer(kind):
    question, processor = "What color is the star?", family.processor()
    explainer, config = Explainer(model(), processor), PruneConfig(0.2)
    frames = FAMILY.pictures(3, 4 if kind == "video" else 1, (150, 61))
    look = explainer.look(frames if kind == "video" else frames[0])
    asked = explainer.ask(look, question, config)
    kept = explainer.select(look, asked, config).kept()
    full = explainer.answer(look, asked, max_new_tokens=6)
    text = prompt_text(processor, question, kind)
    inputs = explainer.adapter.run_processor(processor, text, frames, kind == "video")
    plain = model().generate(**inputs, **COMPARE | {"max_new_tokens": 6})
    assert full.token_ids == tuple(plain.sequences[0, inputs["input_ids"].shape[1] :].tolist())
    assert full.n_visual + full.n_text == inputs["input_ids"].shape[1]

    few = explainer.answer(look, asked, kept, max_new_tokens=6)
    with prune(model(), config) as report:
        pruned = model().generate(**inputs, **COMPARE | {"max_new_tokens": 6})
    assert torch.equal(report.images[0].kept, kept)
    assert few.token_ids == tuple(pruned.sequences[0, inputs["input_ids"].shape[1] :].tolist())
    judged = explainer.agreement(look, asked, kept, full, few)
    assert judged.kl_first > 0
    alike = explainer.agreement(look, asked, look.vision.all, full, full)
    assert alike.kl_first == 0 and alike.full_on_full == alike.pruned_on_full
    saved = explainer.savings(look, asked, kept, 4)
    tiles = look.vision.shape[0]
    assert saved.full.vision == tiles * vision_flops(explainer.adapter.shapes())
    assert tiles == {"image": 3, "video": 4}[kind]
    assert explainer.time(look, asked, kept, repeats=1, warmup=0, steps=1).prefill > 0
