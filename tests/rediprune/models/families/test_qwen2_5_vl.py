"""Qwen2.5-VL, and what Qwen3-VL has in common with it: tokens, positions, clips, counts, the whole way."""

from __future__ import annotations

import threading
from functools import cache

import pytest
import torch
from accelerate import cpu_offload
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2VLImageProcessor
from transformers import Qwen3VLForConditionalGeneration as Qwen3

from rediprune import Explainer, PruneConfig, prune
from rediprune.costs.estimate import prefill_flops, projector_flops, vision_flops
from rediprune.models import ModelError, adapter_for
from rediprune.models.checkpoints.catalog import find
from rediprune.query.question import prompt_text
from rediprune.tokens import Geometry, VisionTokens
from tests.families import building, qwen2_5_vl, qwen3_vl
from tests.rediprune.models.families.test_every_family import ALL, COMPARE, FEW, run, same

BOTH = pytest.mark.parametrize("module", [qwen2_5_vl, qwen3_vl], ids=lambda m: m.FAMILY.name)
SIZES = ((84, 84), (200, 90), (61, 150))


@cache
def model_of(module):
    return module.FAMILY.model(torch.float32)


def mixed(module, images=SIZES, clips=((120, 70),)) -> dict:
    """Processor output for one prompt with images of these sizes and then clips."""
    family, processor = module.FAMILY, module.processor()
    content = [{"type": "image"}] * len(images) + [{"type": "video"}] * len(clips)
    content.append({"type": "text", "text": "What color is the star?"})
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    shown = {
        "images": [family.pictures(i, size=size)[0] for i, size in enumerate(images)] or None,
        "videos": [family.pictures(9 + i, 4, size) for i, size in enumerate(clips)] or None,
    }
    return dict(processor(text=[text], do_sample_frames=False, return_tensors="pt", **shown))


def merged_rows(module, call) -> int:
    """How many groups of patches the projector is given during a call."""
    rows, group = [], qwen2_5_vl.MERGE**2
    with model_of(module).model.visual.merger.register_forward_hook(
        lambda _, x, y: rows.append(len(x[0]) // group)
    ):
        call()
    return sum(rows)


# Tokens -----------------------------------------------------------------------------------------------------


@BOTH
def test_projected_tokens_are_the_models_own_image_features_in_raster_order(module):
    model, inputs = model_of(module), mixed(module)
    adapter = adapter_for(model)
    seen = adapter.look(inputs)
    with torch.no_grad():
        own = [
            *model.model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"]).pooler_output,
            *model.model.get_video_features(
                inputs["pixel_values_videos"], inputs["video_grid_thw"]
            ).pooler_output,
        ]
        ours = [adapter.project(one.vision.features).flatten(0, 1) for one in seen]
    assert [one.kind for one in seen] == ["image"] * 3 + ["video"]
    assert [one.vision.shape for one in seen] == [(1, 36), (1, 55), (1, 44), (2, 45)]
    for a, b in zip(ours, own, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)


@BOTH
def test_images_of_several_sizes_and_a_clip_in_one_prompt_are_identical_at_100(module):
    inputs = mixed(module)
    for beams in (1, 3):
        ours, report = run(module.FAMILY, inputs, ALL, num_beams=beams)
        assert same(ours, run(module.FAMILY, inputs, None, num_beams=beams)[0])
    assert [image.n_tokens for image in report.images] == [36, 55, 44, 90]


@BOTH
@pytest.mark.parametrize("budget", ["frame", "shared"])
def test_images_of_several_sizes_and_a_clip_equal_the_masked_prompt(module, budget):
    inputs, adapter = mixed(module), adapter_for(model_of(module))
    ours, report = run(module.FAMILY, inputs, PruneConfig(0.2, positions="original", budget=budget))
    mask = inputs["attention_mask"]
    hidden, seen = mask.clone(), adapter.look(inputs)
    places = adapter.placeholders(inputs["input_ids"], seen)
    for image, one, (row, where) in zip(report.images, seen, places, strict=True):
        hidden[row, where[~one.surviving(image.kept)]] = 0
    full = model_of(module).generate(
        **inputs | {"attention_mask": hidden},
        position_ids=adapter.positions(inputs["input_ids"], mask, inputs),
        **COMPARE,
    )
    for a, b in zip(ours.logits, full.logits, strict=True):
        torch.testing.assert_close(a, b, atol=2e-6, rtol=2e-6)


@BOTH
def test_a_thread_that_projects_while_another_encodes_is_not_taken_for_the_encoder(module):
    """As `Explainer.select` may, for a method that measures distances behind the projector."""
    model = model_of(module)
    adapter, image = adapter_for(model), mixed(module, clips=())
    expected, result = adapter.look(image), []
    projected = adapter.projected(expected)

    def meanwhile(*_) -> None:
        thread = threading.Thread(target=lambda: result.append(adapter.projected(expected)))
        thread.start()
        thread.join()

    with model.model.visual.blocks[-1].register_forward_hook(meanwhile):
        seen = adapter.look(image)
    assert torch.equal(result[0], projected)
    assert all(torch.equal(a.vision.features, b.vision.features) for a, b in zip(seen, expected, strict=True))


@BOTH
def test_only_what_is_kept_is_projected_and_no_hook_is_left(module):
    model = model_of(module)

    def call():
        nonlocal report
        with prune(model, FEW) as report:
            model.generate(**mixed(module), max_new_tokens=1, do_sample=False)

    report = None
    assert merged_rows(module, call) == report.n_kept < report.n_visual / 4
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in model.modules())

    def fails(*_):
        raise RuntimeError("in the middle of the encoder")

    with (
        model.model.visual.blocks[1].register_forward_pre_hook(fails),
        pytest.raises(RuntimeError, match="in the middle"),
        prune(model, FEW),
    ):
        model.generate(**mixed(module))
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in model.modules())
    assert "generate" not in vars(model)


@BOTH
def test_an_offloaded_encoder_is_read_alike_and_its_weights_go_back(module):
    """The encoder is left before its end, but not before accelerate has put away what it brought."""
    inputs = mixed(module)
    plain = run(module.FAMILY, inputs, FEW)[0]
    model = module.FAMILY.model(torch.float32)
    cpu_offload(model.model.visual, execution_device=torch.device("cpu"))
    with prune(model, FEW):
        assert same(model.generate(**inputs, **COMPARE), plain)
    assert all(weight.is_meta for weight in model.model.visual.parameters())


# Positions --------------------------------------------------------------------------------------------------


@BOTH
def test_positions_are_the_models_own_and_the_next_word_follows_the_last(module):
    model, inputs = model_of(module), mixed(module)
    adapter = adapter_for(model)
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    names = {k: v for k, v in inputs.items() if k.endswith(("_thw", "type_ids", "_ts"))}
    expected, delta = model.model.get_rope_index(ids, attention_mask=mask, **names)
    seen = adapter.look(inputs)
    whole = adapter.splice(ids, mask, seen, [one.vision.all for one in seen], inputs=inputs)
    assert torch.equal(whole.position_ids, expected)
    following = whole.positions(2)["position_ids"][..., -2:]
    assert (following == ids.shape[1] + delta + torch.arange(2)).all()


@BOTH
def test_compacted_positions_have_no_gaps_and_original_ones_do(module):
    inputs = mixed(module, clips=())
    adapter = adapter_for(model_of(module))
    seen, ids = adapter.look(inputs), inputs["input_ids"]
    kept = [torch.tensor([3, 30]) for _ in seen]
    positions = {
        original: adapter.splice(ids, None, seen, kept, original, inputs).position_ids[:, 0]
        for original in (True, False)
    }
    used = {original: p.unique() for original, p in positions.items()}
    assert used[False].tolist() == list(range(len(used[False])))
    assert used[True].max() > used[False].max() and used[True].diff().max() > 1
    # Two corners span 2 x 2 where they lie in two rows and two columns.
    text = int((~adapter.is_placeholder(ids)).sum())
    assert positions[False].max() + 1 == text + 2 * len(seen)


@BOTH
def test_the_models_own_count_of_an_earlier_answer_does_not_leak_in(module):
    model = module.FAMILY.model(torch.float32)
    few = mixed(module, images=((84, 84),), clips=())
    first, _ = run(module.FAMILY, few, FEW)
    model.generate(**mixed(module), max_new_tokens=1)  # leaves its rope_deltas behind
    before = model.model.rope_deltas
    with prune(model, FEW):
        again = model.generate(**few, **COMPARE)
    assert same(again, first) and model.model.rope_deltas is before


# Clips ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("frames", "patches"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
@BOTH
def test_a_frame_is_a_temporal_patch(module, frames, patches):
    adapter, processor = adapter_for(model_of(module)), module.processor()
    pictures = module.FAMILY.pictures(0, frames)
    inputs = adapter.run_processor(processor, prompt_text(processor, "Where?", "video"), pictures, True)
    (one,) = adapter.look(inputs, [(84, 84)], processor)
    assert one.vision.shape[0] == len(one.vision.geometry) == patches
    assert {(g.box, g.image_size) for g in one.vision.geometry} == {((0, 0, 84, 84), (84, 84))}


@BOTH
def test_a_mark_in_one_frame_shows_in_its_temporal_patch_alone(module):
    adapter, processor = adapter_for(model_of(module)), module.processor()
    pictures, changed = module.FAMILY.pictures(0, 4), module.FAMILY.pictures(5, 1)[0]
    text = prompt_text(processor, "Where?", "video")
    plain, marked = (
        adapter.look(adapter.run_processor(processor, text, frames, True))[0].vision.features
        for frames in (pictures, [*pictures[:2], changed, pictures[3]])
    )
    assert torch.equal(plain[0], marked[0]) and not torch.allclose(plain[1], marked[1])


def test_seconds_become_the_time_axis():
    module = qwen2_5_vl
    adapter, processor = adapter_for(model_of(module)), module.processor()
    text, pictures = prompt_text(processor, "When?", "video"), module.FAMILY.pictures(0, 6)
    for spacing in (0.25, 2.0):
        seconds = [3 + spacing * i for i in range(6)]
        inputs = adapter.run_processor(processor, text, pictures, True, seconds)
        assert inputs["second_per_grid_ts"][0] == pytest.approx(2 * spacing)
        moments = adapter.positions(inputs["input_ids"], inputs["attention_mask"], inputs)[0, 0]
        moments = moments[adapter.is_placeholder(inputs["input_ids"])[0]]
        rate = adapter.model.config.vision_config.tokens_per_second
        assert moments.unique().diff().tolist() == [int(2 * spacing * rate)] * 2


@BOTH
def test_frames_shown_at_one_moment_are_no_trouble(module):
    adapter, processor = adapter_for(model_of(module)), module.processor()
    text, pictures = prompt_text(processor, "When?", "video"), module.FAMILY.pictures(0, 2)
    inputs = adapter.run_processor(processor, text, pictures, True, (2.0, 2.0))
    assert adapter.positions(inputs["input_ids"], inputs["attention_mask"], inputs).min() == 0


# The public shapes ------------------------------------------------------------------------------------------

# What the public checkpoints' preprocessor_config.json says; the LLM may be any.
PUBLIC = {
    "Qwen2.5-VL": (qwen2_5_vl, dict(patch_size=14, window_size=112), 3136, 12845056),
    "Qwen3-VL": (qwen3_vl, dict(patch_size=16), 65536, 16777216),
}


@pytest.mark.parametrize(
    ("name", "size", "grid"),
    [
        ("Qwen2.5-VL", (640, 480), (17, 23)),
        ("Qwen2.5-VL", (336, 336), (12, 12)),
        ("Qwen2.5-VL", (1000, 300), (11, 36)),
        ("Qwen2.5-VL", (301, 1000), (36, 11)),
        ("Qwen2.5-VL", (30, 30), (2, 2)),
        ("Qwen3-VL", (640, 480), (15, 20)),
        ("Qwen3-VL", (336, 336), (10, 10)),
        ("Qwen3-VL", (1000, 300), (9, 31)),
        ("Qwen3-VL", (30, 30), (8, 8)),
    ],
)
def test_true_counts_of_uploads(name, size, grid):
    module, cut, least, most = PUBLIC[name]
    config = module.config()
    for key, value in cut.items():
        setattr(config.vision_config, key, value)
    kind = Qwen3 if module is qwen3_vl else Qwen2_5_VLForConditionalGeneration
    adapter = adapter_for(building.built(lambda: kind(config), module.tokenizer(), torch.float32))
    processor = Qwen2VLImageProcessor(
        size={"shortest_edge": least, "longest_edge": most}, patch_size=cut["patch_size"], merge_size=2
    )
    picture = module.FAMILY.pictures(0, 1, size)
    (one,) = adapter.look(dict(processor(picture, return_tensors="pt")), [size], processor)
    (place,) = one.vision.geometry
    assert (place.rows, place.cols) == grid and one.vision.n_tokens == grid[0] * grid[1]
    assert place.box == (0, 0, *size)


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-VL-3B-Instruct", "Qwen/Qwen3-VL-2B-Instruct"])
@torch.no_grad()
def test_the_estimate_equals_counted_forwards_at_the_public_shapes(name):
    model, (rows, cols) = find(name).on_meta().half().eval(), (9, 6)  # windows of 4 x 4, some cut off
    place = Geometry(rows, cols, (0, 0, 1, 1), (1, 1))
    shapes = adapter_for(model).shapes_for(
        VisionTokens(torch.empty(2, rows * cols, 1, device="meta"), (place,) * 2)
    )
    grid = torch.tensor([[2, 2 * rows, 2 * cols]])
    n = int(grid.prod())
    # On meta the encoder cannot compute these from the grid; they cost no matrix product.
    known = {"position_ids": torch.zeros(n, 2, device="meta")}
    if "Qwen3" in name:
        known["interp_indices"] = torch.zeros(n, 4, dtype=torch.long, device="meta")
        known["interp_weights"] = torch.zeros(n, 4, device="meta")

    def counted(call) -> int:
        with FlopCounterMode(display=False) as counter:
            call()
        return counter.get_total_flops()

    def prefill():
        embeds = torch.zeros(1, 90, shapes.llm_width, device="meta", dtype=torch.half)
        where = torch.zeros(3, 1, 90, dtype=torch.long, device="meta")
        out = model.model.language_model(inputs_embeds=embeds, position_ids=where, use_cache=True)
        model.lm_head(out.last_hidden_state[:, -1:])

    pixels = torch.zeros(n, shapes.patch_dim, device="meta", dtype=torch.half)
    estimate = 2 * vision_flops(shapes) + projector_flops(shapes, 2 * rows * cols)
    assert estimate == counted(lambda: model.model.visual(pixels, grid_thw=grid, **known))
    assert prefill_flops(shapes, 90) == counted(prefill)
    nothing_seen = adapter_for(model).shapes()
    assert vision_flops(nothing_seen) == 0
    assert prefill_flops(nothing_seen, 90) == prefill_flops(shapes, 90)


# Refusals ---------------------------------------------------------------------------------------------------


@BOTH
def test_inputs_that_do_not_belong_together_are_refused(module):
    model, inputs = model_of(module), mixed(module, clips=())
    adapter, processor = adapter_for(model), module.processor()
    without = {k: v for k, v in inputs.items() if k != "image_grid_thw"}
    with pytest.raises(ModelError, match="image_grid_thw is missing: pass all"):
        adapter.look(without)
    with pytest.raises(ModelError, match=r"which are not the patches of 294 numbers that image_grid_thw="):
        adapter.look(inputs | {"pixel_values": inputs["pixel_values"][:-4]})
    with pytest.raises(ModelError, match="2 sizes were given for 3 images and clips"):
        adapter.look(inputs, SIZES[:2], processor)
    with pytest.raises(ModelError, match="cuts a 84 x 84 image into 144 patches, but there are 10 x 22"):
        adapter.look(inputs, (SIZES[0], SIZES[0], SIZES[2]), processor)
    with pytest.raises(ModelError, match="mm_token_type_ids are missing"), prune(model, FEW):
        model.generate(**{k: v for k, v in inputs.items() if k != "mm_token_type_ids"})
    with pytest.raises(ModelError, match="takes no image_sizes"), prune(model, FEW):
        model.generate(**inputs, image_sizes=torch.tensor([[1, 1]]))


# The whole path ---------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("kind", ["image", "video"])
def test_explainer(module, kind):
    question, seconds = "What color is the star?", (0.0, 1.5, 3.0, 4.5)
    model, processor = model_of(module), module.processor()
    explainer, config = Explainer(model, processor), PruneConfig(0.2)
    frames = module.FAMILY.pictures(3, 4, (150, 61))
    media = type("Clip", (), {"frames": frames, "seconds": seconds}) if kind == "video" else frames[0]
    look = explainer.look(media)
    asked = explainer.ask(look, question, config)
    kept = explainer.select(look, asked, config).kept()
    full = explainer.answer(look, asked, max_new_tokens=6)
    shown = frames if kind == "video" else frames[:1]
    inputs = explainer.adapter.run_processor(
        processor, prompt_text(processor, question, kind), shown, kind == "video", seconds
    )
    plain = model.generate(**inputs, **COMPARE | {"max_new_tokens": 6})
    assert full.token_ids == tuple(plain.sequences[0, inputs["input_ids"].shape[1] :].tolist())
    assert full.n_visual + full.n_text == inputs["input_ids"].shape[1]

    few = explainer.answer(look, asked, kept, max_new_tokens=6)
    with prune(model, config) as report:
        pruned = model.generate(**inputs, **COMPARE | {"max_new_tokens": 6})
    assert torch.equal(report.images[0].kept, kept)
    assert few.token_ids == tuple(pruned.sequences[0, inputs["input_ids"].shape[1] :].tolist())
    judged = explainer.agreement(look, asked, kept, full, few)
    logits = [out.logits[0][0].log_softmax(-1) for out in (plain, pruned)]
    kl = float((logits[0].exp() * (logits[0] - logits[1])).sum())
    assert judged.kl_first == pytest.approx(kl, rel=1e-3)
    alike = explainer.agreement(look, asked, look.vision.all, full, full)
    assert alike.kl_first == 0 and alike.full_on_full == alike.pruned_on_full
    saved = explainer.savings(look, asked, kept, 4)
    shapes = explainer.adapter.shapes_for(look.vision)
    assert saved.full.vision == look.vision.shape[0] * vision_flops(shapes) > 0
    assert explainer.time(look, asked, kept, repeats=1, warmup=0, steps=1).prefill > 0
