"""The LLaVA adapter hands over what the model's own code computes, and knows which pixels a token saw."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    CLIPImageProcessor,
    Dinov2Config,
    InternVLVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaImageProcessor,
    MllamaForConditionalGeneration,
    PixtralVisionConfig,
    SiglipVisionConfig,
    ViTConfig,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from rediprune import PruneConfig, prune
from rediprune.models import ModelError, adapter_for
from tests.support import tiny

PROMPTS = (
    ("Is it red?", [tiny.image(3), tiny.image(4, (130, 90))]),
    ("Describe a dog", []),
    ("What color is the star in the picture?", [tiny.image(5)]),
)


@pytest.fixture(scope="module")
def model():
    return tiny.model()


@pytest.fixture(scope="module")
def adapter(model):
    return adapter_for(model)


def look(adapter, pixels, sizes=None, processor=None):
    return adapter.look({"pixel_values": pixels}, sizes, processor)


# Tokens, projector, prompt ----------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [-2, -1, 1, [-2, -3]], ids=str)
def test_look_is_what_the_projector_receives(layer):
    model = tiny.model(vision_feature_layer=layer)
    pixels = tiny.inputs(*PROMPTS)["pixel_values"]
    received = []
    with model.model.multi_modal_projector.register_forward_pre_hook(lambda _, x: received.append(x[0])):
        model.get_image_features(pixel_values=pixels)
    seen = look(adapter_for(model), pixels)
    features = torch.cat([one.vision.features for one in seen])
    assert torch.equal(features, received[0].detach())
    assert features.shape == (3, tiny.N, tiny.C * (2 if isinstance(layer, list) else 1))
    assert not features.requires_grad
    assert all(one.vision.shape == (1, tiny.N) and one.vision.valid is None for one in seen)
    assert all(one.kind == "image" and one.placeholder_tokens.tolist() == list(range(tiny.N)) for one in seen)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_prune_then_project_is_project_then_prune(dtype):
    adapter = adapter_for(tiny.model(dtype=dtype))
    features = torch.cat([one.vision.features for one in adapter.look(tiny.inputs(*PROMPTS))])
    assert features.dtype is dtype
    kept = torch.tensor([0, 5, 11, 30])
    with torch.no_grad():
        assert torch.equal(adapter.project(features[:, kept]), adapter.project(features)[:, kept])


def test_prompt_tail_is_the_text_after_the_last_image(model, adapter):
    ids = tiny.inputs(PROMPTS[0])["input_ids"][0]
    embeddings, tail = adapter.prompt_tail_embeddings(ids)
    assert tiny.tokenizer().decode(tail) == "is it red ? assistant :"
    assert torch.equal(embeddings, model.get_input_embeddings().weight[tail])
    with pytest.raises(ModelError, match="no image placeholder"):
        adapter.prompt_tail_embeddings(torch.tensor([1, 60]))


def test_splice_of_everything_is_the_models_own_merge(model, adapter):
    inputs = tiny.inputs(*PROMPTS)
    merged = []
    with model.model.language_model.register_forward_pre_hook(
        lambda _, args, kwargs: merged.append(kwargs["inputs_embeds"]), with_kwargs=True
    ):
        model(**inputs)
    whole = [torch.arange(tiny.N)] * 3
    for original in (False, True):
        made = adapter.splice(
            inputs["input_ids"], inputs["attention_mask"], adapter.look(inputs), whole, original
        )
        assert torch.equal(made.embeds, merged[0])
        assert torch.equal(made.mask, inputs["attention_mask"])
        assert made.stays.all() and made.position_ids is None


def test_splice_of_a_few_pads_on_the_left_and_keeps_the_order(adapter):
    inputs = tiny.inputs(*PROMPTS)
    seen, kept = adapter.look(inputs), [torch.tensor(k) for k in ([1, 2], [3], [4, 5, 6])]
    made = adapter.splice(inputs["input_ids"], inputs["attention_mask"], seen, kept)
    embeds, mask, few = (
        made.embeds,
        made.mask,
        [one.vision.take(k) for one, k in zip(seen, kept, strict=True)],
    )
    assert made.position_ids is None and made.arguments().keys() == {"attention_mask"}

    image = adapter.image_token_id
    text = [
        ids[m.bool() & (ids != image)]
        for ids, m in zip(*map(inputs.get, ("input_ids", "attention_mask")), strict=True)
    ]
    lengths = [len(t) + k for t, k in zip(text, (3, 0, 3), strict=True)]
    assert mask.sum(1).tolist() == lengths
    assert embeds.shape[1] == max(lengths)  # padding that nothing needs is gone
    assert all(m[-n:].all() for m, n in zip(mask, lengths, strict=True))
    # "<s> user : image ..." so that the visual tokens stand at 3, 4, 5 of each prompt
    for row, tokens in ((0, torch.cat(few[:2])), (2, few[2])):
        start = embeds.shape[1] - lengths[row] + 3
        torch.testing.assert_close(embeds[row, start : start + 3], adapter.project(tokens))
    # and `stays` says which tokens of the prompt these are
    lasting = inputs["input_ids"].masked_fill(~made.stays, -1)
    assert [int((row >= 0).sum()) for row in lasting] == lengths
    for row, ids, its_text in zip(lasting, inputs["input_ids"], text, strict=True):
        assert torch.equal(row[(row >= 0) & (row != image)], its_text)
        if (ids == image).any():
            assert int((row >= 0).nonzero()[3]) == int((ids == image).nonzero()[0]) + int(
                (row[ids == image] >= 0).nonzero()[0]
            )


def test_original_positions_are_those_in_the_whole_prompt_and_padding_has_none(adapter):
    inputs = tiny.inputs(*PROMPTS)
    seen, kept = adapter.look(inputs), [torch.tensor(k) for k in ([1, 2], [3], [4, 5, 6])]
    made = adapter.splice(inputs["input_ids"], inputs["attention_mask"], seen, kept, True)
    assert made.position_ids.shape == made.mask.shape == made.embeds.shape[:2]
    for row in range(3):
        # Token i of a prompt without its padding stands at i.
        expected = made.stays[row][inputs["attention_mask"][row].bool()].nonzero()[:, 0]
        assert torch.equal(made.position_ids[row][made.mask[row].bool()], expected)
    first = made.position_ids[0][made.mask[0].bool()]
    assert first[:7].tolist() == [0, 1, 2, 3 + 1, 3 + 2, 3 + tiny.N + 3, 3 + 2 * tiny.N]
    more = made.arguments(2)
    assert more["attention_mask"][:, -2:].all()
    assert torch.equal(more["position_ids"][:, -2:], made.position_ids[:, -1:] + torch.tensor([1, 2]))


def test_splice_refuses_tokens_that_it_has_no_place_for(adapter):
    inputs = tiny.inputs()
    ids, (one,) = inputs["input_ids"], adapter.look(inputs)
    for kept in ([*range(tiny.N + 1)], [tiny.N], [3, 3], [5, 4], [-1, 3]):
        with pytest.raises(
            ModelError, match=f"{len(kept)} tokens .* not all are among its 36, or .*ascending"
        ):
            adapter.splice(ids, None, [one], [torch.tensor(kept)])
    with pytest.raises(ModelError, match=r"hold \[36\] image placeholders, but the 5 image\(s\)"):
        adapter.splice(ids, None, [one] * 5, [torch.tensor([0])] * 5)
    with pytest.raises(ModelError, match=r"hold \[0\] image placeholders, but the 1 image\(s\)"):
        adapter.splice(torch.tensor([[1, 60]]), None, [one], [torch.tensor([0])])
    with pytest.raises(ModelError, match=r"hold \[36\] image placeholders, but the 0 image\(s\)"):
        adapter.splice(ids, None, [], [])


def test_value_path_is_the_last_block_without_attention_residual_and_mlp(model, adapter):
    pixels = tiny.inputs()["pixel_values"]
    features = look(adapter, pixels)[0].vision.features
    block, seen = model.model.vision_tower.encoder.layers[-1], []
    with block.self_attn.v_proj.register_forward_hook(lambda _m, _x, y: seen.append(y)):
        model.model.vision_tower(pixels)
    values = block.self_attn.out_proj(seen[0])[:, 1:]  # what the block itself computed, class token off
    torch.testing.assert_close(adapter.value_path(features), values)
    assert adapter_for(tiny.model(vision_feature_layer=-1)).value_path is None
    assert adapter_for(tiny.model(vision_feature_layer=[-2, -3])).value_path is None
    assert adapter_for(tiny.model(vision_feature_layer=2)).value_path is not None  # -2 counted from the front


def test_shapes_are_those_of_the_modules(model, adapter):
    s, llm = adapter.shapes(), model.model.language_model
    tower, projector = model.model.vision_tower, model.model.multi_modal_projector
    assert (s.vision_layers, s.vision_width) == (len(tower.encoder.layers), tiny.C)
    assert s.vision_mlp == tower.encoder.layers[0].mlp.fc1.out_features
    assert (s.vision_patches, s.vision_tokens) == (tiny.N, tower.embeddings.num_positions)
    assert s.patch_dim == tower.embeddings.patch_embedding.weight[0].numel()
    assert (s.projector_in, s.projector_hidden) == (
        projector.linear_1.in_features,
        projector.linear_1.out_features,
    )
    assert s.projector_out == s.llm_width == tiny.D
    assert (s.llm_layers, s.llm_mlp) == (len(llm.layers), llm.layers[0].mlp.up_proj.out_features)
    assert s.n_heads * s.head_dim == llm.layers[0].self_attn.q_proj.out_features
    assert s.n_kv_heads * s.head_dim == llm.layers[0].self_attn.k_proj.out_features
    assert s.vocab == model.lm_head.out_features
    assert (s.kv_dtype_bytes, adapter_for(tiny.model(dtype=torch.bfloat16)).shapes().kv_dtype_bytes) == (4, 2)


def test_text_tower_is_named_for_the_public_llava_and_for_nothing_else(adapter):
    with torch.device("meta"):
        config = LlavaConfig()  # its defaults are LLaVA-1.5-7B's shapes
        config.text_config = LlamaConfig(num_hidden_layers=1)
        public = adapter_for(LlavaForConditionalGeneration(config))
    assert public.text_tower_name == "ViT-L-14-336-quickgelu/openai"
    assert adapter.text_tower_name is None


def test_a_siglip_tower_has_no_class_token_to_drop():
    vision = SiglipVisionConfig(
        hidden_size=tiny.C,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=84,
        patch_size=14,
    )
    pixels = tiny.inputs()["pixel_values"]
    adapter = adapter_for(tiny.model(vision_config=vision, vision_feature_select_strategy="full"))
    assert look(adapter, pixels)[0].vision.shape == (1, tiny.N)
    assert adapter.shapes().vision_tokens == tiny.N


SIGLIP = {
    "hidden_size": tiny.C,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 84,
    "patch_size": 14,
}
TOWERS = {
    "clip-full": (None, "full", 37),
    "siglip-default": (SiglipVisionConfig(**SIGLIP), "default", 35),
    "vit-full": (ViTConfig(**SIGLIP), "full", 37),
    "vit-default": (ViTConfig(**SIGLIP), "default", 36),
    "dinov2-default": (
        Dinov2Config(**{k: v for k, v in SIGLIP.items() if k != "intermediate_size"}),
        "default",
        36,
    ),
    "internvl": (
        InternVLVisionConfig(**SIGLIP | {"image_size": [84, 84], "patch_size": [14, 14]}),
        "default",
        36,
    ),
    "pixtral": (PixtralVisionConfig(**SIGLIP, head_dim=8), "full", 36),
}


@pytest.mark.parametrize("tower", TOWERS)
def test_any_vision_encoder_and_strategy_that_transformers_runs_is_served(tower):
    vision, strategy, n = TOWERS[tower]
    changes = {"vision_config": vision} if vision is not None else {}
    layer = {"vision_feature_layer": -1} if tower == "pixtral" else {}
    model = tiny.model(**changes, **layer, vision_feature_select_strategy=strategy)
    ids = [5, 6, *[tiny.tokenizer().image_token_id] * n, 8, 9, 10]
    inputs = {
        "input_ids": torch.tensor([ids]),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
        "pixel_values": tiny.inputs()["pixel_values"],
    }
    if tower == "pixtral":
        inputs["image_sizes"] = torch.tensor([[84, 84]])
    settings = {
        "max_new_tokens": 4,
        "do_sample": False,
        "output_logits": True,
        "return_dict_in_generate": True,
    }
    full = model.generate(**inputs, **settings)
    with prune(model, PruneConfig(1.0)) as report:
        ours = model.generate(**inputs, **settings)
    assert torch.equal(ours.sequences, full.sequences) and report.n_kept == n
    assert all(map(torch.equal, ours.logits, full.logits))
    few = PruneConfig(0.2, positions="original")
    with prune(model, few) as report:
        pruned = model.generate(**inputs, **settings)
    hidden = inputs["attention_mask"].clone()
    hidden[0, 2 : 2 + n] = 0
    hidden[0, 2 + report.images[0].kept] = 1
    positions = torch.arange(len(ids))[None]
    masked = model.generate(**inputs | {"attention_mask": hidden}, position_ids=positions, **settings)
    for a, b in zip(pruned.logits, masked.logits, strict=True):
        torch.testing.assert_close(a, b, atol=4e-6, rtol=4e-6)


def test_look_refuses_pixels_of_another_model(adapter):
    with pytest.raises(ModelError, match=r"this vision encoder takes \[T, 3, 84, 84\]"):
        look(adapter, torch.zeros(1, 3, 70, 84))
    with pytest.raises(ModelError, match="2 image sizes were given for 1 images"):
        look(adapter, torch.zeros(1, 3, 84, 84), [(1, 1)] * 2, tiny.processor())


# Geometry: pixels of the upload -----------------------------------------------------------------------------

SQUARE = {"height": 84, "width": 84}
SETTINGS = {
    "crop": {"size": {"shortest_edge": 84}, "crop_size": SQUARE},
    "larger than its crop": {"size": {"shortest_edge": 101}, "crop_size": SQUARE},
    "smaller than its crop": {"size": {"shortest_edge": 40, "longest_edge": 73}, "crop_size": SQUARE},
    "squeezed": {"size": SQUARE, "do_center_crop": False},
    "squeezed, then cropped": {"size": {"height": 90, "width": 117}, "crop_size": SQUARE},
    "padded to a square": {"size": {"shortest_edge": 84}, "crop_size": SQUARE, "do_pad": True},
    "fitted into a box": {"size": {"max_height": 84, "max_width": 84}, "crop_size": SQUARE},
    "not resized": {"do_resize": False, "crop_size": SQUARE},
}
SIZES = [(84, 84), (131, 84), (97, 211), (300, 60), (61, 299), (640, 427), (333, 500), (85, 86)]


def image_processor(name, backend):
    kinds = (
        (LlavaImageProcessor, LlavaImageProcessorPil)
        if "padded" in name
        else (CLIPImageProcessor, CLIPImageProcessorPil)
    )
    return kinds[backend == "pil"](**SETTINGS[name])


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("backend", ["torchvision", "pil"])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_mark_in_a_tokens_box_changes_that_patch_and_no_other(adapter, name, backend, size):
    processor = image_processor(name, backend)
    plain = Image.new("RGB", size, (90, 90, 90))
    before = processor(plain, return_tensors="pt")["pixel_values"]
    (geometry,) = look(adapter, before, [size], processor)[0].vision.geometry
    assert (geometry.rows, geometry.cols, geometry.image_size) == (tiny.GRID, tiny.GRID, size)

    scale = tiny.IMAGE_SIZE / np.array([geometry.box[2] - geometry.box[0], geometry.box[3] - geometry.box[1]])
    blur = 3 * np.maximum(1, 1 / scale)  # bicubic reaches two pixels of the coarser grid, rounding one more
    marked = 0
    for token, box in enumerate(geometry.token_boxes().tolist()):
        x0, y0 = np.ceil(np.maximum(box[:2] + blur, 0)).astype(int)
        x1, y1 = np.floor(np.minimum(box[2:] - blur, size)).astype(int)
        if x1 <= x0 or y1 <= y0:
            continue  # padding, or too few pixels to mark
        pixels = np.asarray(plain).copy()
        pixels[y0:y1, x0:x1] = 220
        after = processor(Image.fromarray(pixels), return_tensors="pt")["pixel_values"]
        change = (after - before).abs().sum((0, 1))
        row, col = divmod(token, tiny.GRID)
        rows, cols = (change > 0).nonzero().T // tiny.PATCH
        assert len(rows) > 0, f"token {token}"
        assert set(zip(rows.tolist(), cols.tolist(), strict=True)) == {(row, col)}, f"token {token}"

        # and to a fraction of a pixel: the change has its centre where the mark has, through the same map
        for axis, (a, b) in enumerate(((x0, x1), (y0, y1))):
            weight = change.sum(axis).double()
            centre = (weight * (torch.arange(tiny.IMAGE_SIZE) + 0.5)).sum() / weight.sum()
            expected = ((a + b) / 2 - geometry.box[axis]) * scale[axis]
            assert abs(centre - expected) < 0.1, f"token {token}, axis {axis}"
        marked += 1
    assert marked > 0


def test_boxes_of_an_image_cropped_padded_and_tiny(adapter):
    def box(size, name="crop"):
        processor = image_processor(name, "torchvision")
        pixels = processor(Image.new("RGB", size), return_tensors="pt")["pixel_values"]
        return look(adapter, pixels, [size], processor)[0].vision.geometry[0].box

    assert box((168, 84)) == (42, 0, 126, 84)
    assert box((336, 672)) == (0, 168, 336, 504)
    assert box((1, 1)) == (0, 0, 1, 1)
    assert box((200, 100), "padded to a square") == (0, -50, 200, 150)
    assert box((50, 200), "squeezed") == (0, 0, 50, 200)


def test_several_images_have_a_geometry_each(adapter):
    images = [tiny.image(0, (84, 84)), tiny.image(1, (168, 84))]
    processor = tiny.processor()
    pixels = processor.image_processor(images, return_tensors="pt")["pixel_values"]
    seen = look(adapter, pixels, [image.size for image in images], processor)
    assert [one.vision.geometry[0].box for one in seen] == [(0, 0, 84, 84), (42, 0, 126, 84)]
    # in preprocessed pixels
    assert [one.vision.geometry[0].box for one in look(adapter, pixels)] == [(0, 0, 84, 84)] * 2


def test_geometry_refuses_a_processor_that_did_not_make_the_pixels(adapter):
    pixels = torch.zeros(1, 3, 84, 84)
    with pytest.raises(ModelError, match="without a processor"):
        look(adapter, pixels, [(10, 10)])
    other = CLIPImageProcessor(size={"shortest_edge": 70}, crop_size={"height": 70, "width": 70})
    with pytest.raises(
        ModelError, match="turns a 10 x 20 image into 70 x 70 pixels, but pixel_values are 84 x 84"
    ):
        look(adapter, pixels, [(10, 20)], other)
    odd = CLIPImageProcessor(size={"longest_edge": 84})
    with pytest.raises(ModelError, match="a rule that the token geometry does not know"):
        look(adapter, pixels, [(10, 20)], odd)


# Which models -----------------------------------------------------------------------------------------------


def small(kind, **fields):
    with torch.device("meta"):
        return kind(kind.config_class(**fields))


def test_models_without_a_separate_projector_are_refused_by_name(model):
    text = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2
        )
    )
    with pytest.raises(ModelError, match="LlamaForCausalLM has no vision encoder and no projector"):
        adapter_for(text)
    with pytest.raises(
        ModelError, match=r"MllamaForConditionalGeneration has no separate projector .* cross-att"
    ):
        adapter_for(small(MllamaForConditionalGeneration))
    with pytest.raises(ModelError, match="LlavaModel has no output layer"):
        adapter_for(model.model)
    with pytest.raises(ModelError, match="str has no vision encoder"):
        adapter_for("llava-hf/llava-1.5-7b-hf")
