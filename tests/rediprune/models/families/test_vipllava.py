"""VipLLaVA: five layers side by side are one token, the projector's LayerNorm is the projector's own."""

from functools import cache

import pytest
import torch
from transformers import CLIPImageProcessor, SiglipVisionConfig

from rediprune import Explainer, PruneConfig
from rediprune.models import ModelError, adapter_for
from rediprune.models.checkpoints.catalog import find
from rediprune.models.generic.tracing import TracedAdapter
from rediprune.query.prompt_tail import fold
from tests.families import vipllava as family
from tests.rediprune.models.families.test_every_family import ALL, COMPARE, run, same
from tests.support import tiny
from tests.support.counting import check_estimates, zeros

FAMILY, N = family.FAMILY, tiny.N
PUBLIC = "llava-hf/vip-llava-7b-hf"


def shown(*sizes: tuple[int, int], question: str = "What color is the star?") -> dict:
    """Processor output for one prompt with images of these sizes."""
    content = [{"type": "image"}] * len(sizes) + [{"type": "text", "text": question}]
    text = family.processor().apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    return FAMILY.processed([text], images=[FAMILY.pictures(i, size=size)[0] for i, size in enumerate(sizes)])


@pytest.mark.parametrize("layers", [family.LAYERS, -2], ids=["five layers", "one layer"])
def test_look_is_what_the_projector_receives(layers):
    model = family.model(vision_feature_layer=layers)
    pixels, received = shown((84, 84), (130, 90))["pixel_values"], []
    with model.model.multi_modal_projector.register_forward_pre_hook(lambda _, x: received.append(x[0])):
        model.get_image_features(pixel_values=pixels)
    seen = adapter_for(model).look({"pixel_values": pixels})
    assert torch.equal(torch.cat([one.vision.features for one in seen]), received[0].detach())
    assert seen[0].vision.features.shape == (1, N, tiny.C * (5 if layers is family.LAYERS else 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_prune_then_project_is_project_then_prune(dtype):
    """The LayerNorm looks at one token at a time, so what was dropped cannot change it."""
    adapter = adapter_for(family.model(dtype))
    tokens = torch.randn(1, N, 5 * tiny.C).to(dtype)
    kept = torch.tensor([0, 5, 11, 30])
    with torch.no_grad():
        # A product of other rows may round otherwise, which is all that may differ.
        torch.testing.assert_close(adapter.project(tokens[:, kept]), adapter.project(tokens)[:, kept])


def test_images_of_different_sizes_in_one_prompt_lie_where_each_was_cropped():
    sizes = [(84, 84), (200, 100), (84, 168)]
    inputs = shown(*sizes)
    assert same(run(FAMILY, inputs, ALL)[0], run(FAMILY, inputs, None)[0])
    seen = adapter_for(family.model()).look(inputs, sizes, family.processor())
    boxes = [one.vision.geometry[0].box for one in seen]
    assert boxes == [(0, 0, 84, 84), (50, 0, 150, 100), (0, 42, 84, 126)]


def test_tokens_of_several_layers_stand_in_no_text_towers_space():
    adapter = adapter_for(family.model())
    assert adapter.text_tower_name is None
    assert adapter.value_path is None
    assert adapter_for(public()).text_tower_name is None
    assert adapter_for(family.model(vision_feature_layer=-2)).value_path is not None


# The public shapes ------------------------------------------------------------------------------------------


@cache
def public():
    return find(PUBLIC).on_meta().half().eval()


def test_the_estimate_equals_counted_forwards_at_the_public_shapes():
    model, s = public(), adapter_for(public()).shapes()
    assert (s.vision_width, s.projector_in, s.vision_tokens) == (1024, 5 * 1024, 577)
    check_estimates(model, [model.model.vision_tower], views=1, side=336)


@pytest.mark.parametrize("size", [(336, 336), (640, 480), (37, 900), (4000, 300)], ids=str)
def test_every_upload_has_576_tokens_in_its_middle_square(size):
    square = {"height": 336, "width": 336}
    processor = CLIPImageProcessor(size={"shortest_edge": 336}, crop_size=square)
    (one,) = adapter_for(public()).look({"pixel_values": zeros(1, 3, 336, 336)}, [size], processor)
    assert one.vision.features.shape == (1, public().config.image_seq_length, 5 * 1024)
    (place,), short = one.vision.geometry, min(size)
    assert (place.rows, place.cols, place.n_global) == (24, 24, 0)
    left, top, right, bottom = place.box
    assert (right - left, bottom - top) == pytest.approx((short, short), rel=2e-3)
    # An odd difference to the crop is cut one pixel unevenly, and that pixel was short / 336 of the upload.
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx(
        (size[0] / 2, size[1] / 2), abs=short / 336
    )


def test_the_published_query_is_repeated_to_the_five_layers_width():
    """D = 4096 is less than C = 5120, where the rule repeats the vector and cuts it."""
    vector = torch.randn(4096)
    assert torch.equal(fold(vector, 5120), torch.cat([vector, vector[:1024]]))


# Refusals ---------------------------------------------------------------------------------------------------


def test_an_encoder_without_a_class_token_is_served_as_the_model_runs_it():
    """The model cuts the first token of every image off, which is a patch here: one token is never there."""
    siglip = SiglipVisionConfig(
        hidden_size=32, num_hidden_layers=6, num_attention_heads=4, image_size=84, patch_size=14
    )
    model = family.VipLlavaForConditionalGeneration(family.config(vision_config=siglip)).eval()
    adapter = adapter_for(model)
    assert isinstance(adapter, TracedAdapter) and not adapter.has_overlay
    (seen,) = adapter.look({"pixel_values": torch.randn(1, 3, 84, 84)})
    assert seen.vision.n_tokens == 35


def test_wrong_inputs_are_one_sentence():
    adapter = adapter_for(family.model())
    with pytest.raises(ModelError, match="this vision encoder takes"):
        adapter.look({"pixel_values": torch.zeros(1, 3, 56, 56)})
    with pytest.raises(ModelError, match="2 image sizes were given for 1 images"):
        adapter.look({"pixel_values": torch.zeros(1, 3, 84, 84)}, [(84, 84)] * 2, family.processor())


@pytest.mark.parametrize("frames", [1, 3], ids=["image", "clip as images"])
def test_explainer(frames):
    size, question = (150, 61), "What color is the star?"
    pictures = [FAMILY.pictures(i, size=size)[0] for i in range(frames)]
    explainer, config = Explainer(family.model(), family.processor()), PruneConfig(0.2)
    trace = explainer.run(pictures[0] if frames == 1 else pictures, question, config, max_new_tokens=6)
    inputs = shown(*[size] * frames, question=question)
    plain = family.model().generate(**inputs, **COMPARE | {"max_new_tokens": 6})
    assert trace.full.token_ids == tuple(plain.sequences[0, inputs["input_ids"].shape[1] :].tolist())
    assert (trace.vision.shape, len(trace.kept)) == ((frames, N), 7 * frames)
    assert trace.savings.n_visual_full == N * frames
    assert trace.agreement.kl_first > 0
    look = explainer.look(pictures[0] if frames == 1 else pictures)
    asked = explainer.ask(look, question, config)
    assert explainer.time(look, asked, trace.kept, repeats=1, warmup=0, steps=1).prefill > 0
