"""The LLaVA adapter hands over what the model's own code computes, and knows which pixels a token saw."""

import shutil

import huggingface_hub.errors as hub
import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    CLIPImageProcessor,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaImageProcessor,
    LlavaNextForConditionalGeneration,
    MllamaForConditionalGeneration,
    PixtralVisionConfig,
    SiglipVisionConfig,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from rediprune.models import ModelError, adapter_for, load
from tests import tiny

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


# Tokens, projector, prompt ----------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [-2, -1, 1, [-2, -3]], ids=str)
def test_look_is_what_the_projector_receives(layer):
    model = tiny.model(vision_feature_layer=layer)
    pixels = tiny.inputs(*PROMPTS)["pixel_values"]
    received = []
    with model.model.multi_modal_projector.register_forward_pre_hook(lambda _, x: received.append(x[0])):
        model.get_image_features(pixel_values=pixels)
    features = adapter_for(model).look(pixels).features
    assert torch.equal(features, received[0].detach())
    assert features.shape == (3, tiny.N, tiny.C * (2 if isinstance(layer, list) else 1))
    assert not features.requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_prune_then_project_is_project_then_prune(dtype):
    adapter = adapter_for(tiny.model(dtype=dtype))
    features = adapter.look(tiny.inputs(*PROMPTS)["pixel_values"]).features
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
    features = adapter.look(inputs["pixel_values"]).features
    embeds, mask = adapter.splice(inputs["input_ids"], inputs["attention_mask"], [*features])
    assert torch.equal(embeds, merged[0])
    assert torch.equal(mask, inputs["attention_mask"])


def test_splice_of_a_few_pads_on_the_left_and_keeps_the_order(adapter):
    inputs = tiny.inputs(*PROMPTS)
    features = adapter.look(inputs["pixel_values"]).features
    few = [features[0, [1, 2]], features[1, [3]], features[2, [4, 5, 6]]]
    embeds, mask = adapter.splice(inputs["input_ids"], inputs["attention_mask"], few)

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


def test_splice_refuses_more_tokens_than_room(adapter):
    ids = tiny.inputs()["input_ids"]
    for k in (0, tiny.N + 1):
        with pytest.raises(ModelError, match=f"{k} visual tokens for an image .* room for 1 to 36"):
            adapter.splice(ids, None, [torch.zeros(k, tiny.C)])
    with pytest.raises(ModelError, match=r"hold \[36\] image placeholders for 5 images"):
        adapter.splice(ids, None, [torch.zeros(1, tiny.C)] * 5)
    with pytest.raises(ModelError, match=r"hold \[0\] image placeholders for 1 images"):
        adapter.splice(torch.tensor([[1, 60]]), None, [torch.zeros(1, tiny.C)])


def test_value_path_is_the_last_block_without_attention_residual_and_mlp(model, adapter):
    pixels = tiny.inputs()["pixel_values"]
    features = adapter.look(pixels).features
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
    assert adapter.look(pixels).features.shape[1] == tiny.N
    assert adapter.shapes().vision_tokens == tiny.N
    for broken in (tiny.model(vision_config=vision), tiny.model(vision_feature_select_strategy="full")):
        with pytest.raises(ModelError, match="tokens and patches do not match"):
            adapter_for(broken).look(pixels)


def test_look_refuses_pixels_of_another_model(adapter):
    with pytest.raises(ModelError, match=r"this vision encoder takes \[T, 3, 84, 84\]"):
        adapter.look(torch.zeros(1, 3, 70, 84))
    with pytest.raises(ModelError, match="2 image sizes were given for 1 images"):
        adapter.look(torch.zeros(1, 3, 84, 84), [(1, 1)] * 2, tiny.processor())


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
    geometry = adapter.look(before, [size], processor).geometry[0]
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
        return adapter.look(pixels, [size], processor).geometry[0].box

    assert box((168, 84)) == (42, 0, 126, 84)
    assert box((336, 672)) == (0, 168, 336, 504)
    assert box((1, 1)) == (0, 0, 1, 1)
    assert box((200, 100), "padded to a square") == (0, -50, 200, 150)
    assert box((50, 200), "squeezed") == (0, 0, 50, 200)


def test_several_images_have_a_geometry_each(adapter):
    images = [tiny.image(0, (84, 84)), tiny.image(1, (168, 84))]
    processor = tiny.processor()
    pixels = processor.image_processor(images, return_tensors="pt")["pixel_values"]
    tokens = adapter.look(pixels, [image.size for image in images], processor)
    assert [g.box for g in tokens.geometry] == [(0, 0, 84, 84), (42, 0, 126, 84)]
    assert [g.box for g in adapter.look(pixels).geometry] == [(0, 0, 84, 84)] * 2  # in preprocessed pixels


def test_geometry_refuses_a_processor_that_did_not_make_the_pixels(adapter):
    pixels = torch.zeros(1, 3, 84, 84)
    with pytest.raises(ModelError, match="without a processor"):
        adapter.look(pixels, [(10, 10)])
    other = CLIPImageProcessor(size={"shortest_edge": 70}, crop_size={"height": 70, "width": 70})
    with pytest.raises(
        ModelError, match="turns a 10 x 20 image into 70 x 70 pixels, but pixel_values are 84 x 84"
    ):
        adapter.look(pixels, [(10, 20)], other)
    odd = CLIPImageProcessor(size={"longest_edge": 84})
    with pytest.raises(ModelError, match="a rule that the token geometry does not know"):
        adapter.look(pixels, [(10, 20)], odd)


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
    with pytest.raises(
        ModelError, match="LlavaNextForConditionalGeneration is of a family not known here yet"
    ):
        adapter_for(small(LlavaNextForConditionalGeneration))
    with pytest.raises(ModelError, match="LlavaModel has no output layer"):
        adapter_for(model.model)
    with pytest.raises(ModelError, match="str has no vision encoder"):
        adapter_for("llava-hf/llava-1.5-7b-hf")


def test_a_llava_whose_tokens_lie_on_no_fixed_grid_is_refused():
    config = tiny.config(
        vision_config=PixtralVisionConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=4)
    )
    with torch.device("meta"):
        pixtral = LlavaForConditionalGeneration(config)
    with pytest.raises(ModelError, match="vision encoder of type pixtral"):
        adapter_for(pixtral)


# Loading ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return tiny.save(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


@pytest.mark.parametrize("dtype", ["auto", "float32", "bfloat16", "float16", torch.bfloat16], ids=str)
def test_load_gives_the_saved_model_ready_to_answer(saved, model, dtype):
    loaded, processor = load(saved, "cpu", dtype)
    assert type(loaded) is LlavaForConditionalGeneration
    assert not loaded.training
    expected = {"auto": torch.float32}.get(
        dtype, dtype if isinstance(dtype, torch.dtype) else getattr(torch, str(dtype)[-8:], None)
    )
    assert loaded.dtype == expected
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight.to(loaded.dtype))
    assert (
        processor(images=tiny.image(), text=tiny.prompt("red?"), return_tensors="pt")["pixel_values"].shape[
            -1
        ]
        == 84
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("x", "cpu", "float64"), "dtype='float64' is unknown: choose auto, float32"),
        (("x", "cpu", torch.int8), "dtype=torch.int8 is unknown"),
        (("x", "tpu9"), "device='tpu9' is unknown"),
        (("x", "meta"), "device='meta' is not available"),
        (("x", "cuda:99"), "device='cuda:99' is not available"),
        (("/no/such/folder",), "there is no folder /no/such/folder"),
        (("./nor/this",), "there is no folder ./nor/this"),
        (("one-word",), "there is no folder one-word, and a model on the hub is named like owner/model"),
        ((__file__,), "is a file, not a folder"),
    ],
    ids=lambda x: "",
)
def test_load_says_what_it_cannot_use(arguments, sentence):
    with pytest.raises(ModelError) as error:
        load(*arguments)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda d: (d / "config.json").unlink(), "holds no config.json"),
        (lambda d: (d / "config.json").write_text("{"), "a file of the configuration .* is damaged"),
        (lambda d: (d / "config.json").write_text('{"model_type": "zzz"}'), "model type `zzz`"),
        (
            lambda d: LlamaConfig(architectures=["LlamaForCausalLM"]).save_pretrained(d),
            "LlamaForCausalLM has no vision encoder",
        ),
        (
            lambda d: (d / "model.safetensors").unlink(),
            "the weights in the folder .* cannot be used: .*model.safetensors",
        ),
        (lambda d: (d / "model.safetensors").write_bytes(b"x" * 99), "a file of the weights .* is damaged"),
        (lambda d: (d / "processor_config.json").unlink(), "the processor in the folder"),
        (lambda d: (d / "tokenizer.json").unlink(), "the processor in the folder"),
    ],
    ids=[
        "no config",
        "bad config",
        "unknown",
        "text only",
        "no weights",
        "cut weights",
        "no processor",
        "no tokenizer",
    ],
)
def test_a_broken_folder_is_one_sentence(folder, damage, sentence):
    damage(folder)
    with pytest.raises(ModelError, match=sentence) as error:
        load(folder)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def raises(error, cause=None):
    def fail(*args, **kwargs):
        raise error from cause

    return fail


def hub_error(kind):
    error = kind.__new__(kind)
    Exception.__init__(error, "401 Client Error")
    return error


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        (hub_error(hub.GatedRepoError), "owner/model is gated: accept its terms"),
        (
            hub_error(hub.RepositoryNotFoundError),
            "no folder and no public model on the hub named owner/model",
        ),
        (
            hub_error(hub.LocalEntryNotFoundError),
            "owner/model is not on this machine and the hub cannot be reached",
        ),
        (hub.OfflineModeIsEnabled("offline"), "is not on this machine and the hub cannot be reached"),
    ],
    ids=["gated", "unknown", "offline", "offline mode"],
)
def test_the_hub_saying_no_is_one_sentence(monkeypatch, cause, sentence):
    monkeypatch.setattr(AutoConfig, "from_pretrained", raises(OSError("a\nlong story"), cause))
    with pytest.raises(ModelError, match=sentence):
        load("owner/model")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "does not fit into the device's memory"),
        (MemoryError(), "does not fit into this machine's memory"),
        (ImportError("needs\n   accelerate"), "cannot be used: needs accelerate"),
    ],
)
def test_a_failure_while_loading_weights_is_one_sentence(monkeypatch, saved, error, sentence):
    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", raises(error))
    with pytest.raises(ModelError, match=sentence):
        load(saved)


def test_a_processor_without_images_is_refused(monkeypatch, saved):
    monkeypatch.setattr(AutoProcessor, "from_pretrained", lambda *_: tiny.tokenizer())
    with pytest.raises(ModelError, match="holds no complete processor"):
        load(saved)
