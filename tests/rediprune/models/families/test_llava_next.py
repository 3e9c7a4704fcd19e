"""LLaVA-NeXT: which tokens there are, which separators stay, where each tile's tokens lie in the upload."""

from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessor, LlavaNextProcessor
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

from rediprune import Explainer, PruneConfig, prune
from rediprune.models import ModelError, adapter_for
from rediprune.models.checkpoints.catalog import find
from rediprune.models.families.llava_next import tile_geometry
from tests.families import llava_next as family
from tests.rediprune.models.families.test_every_family import ALL, COMPARE, FEW, run, same
from tests.support import tiny
from tests.support.counting import check_estimates

FAMILY, N = family.FAMILY, tiny.N
MIXED_SIZES = [(150, 61), (84, 84), (90, 301)]
EXTREMES = [(2000, 1), (1, 2000), (1, 1)]
PUBLIC = "llava-hf/llava-v1.6-mistral-7b-hf"


@pytest.fixture(scope="module")
def model():
    return family.model()


@pytest.fixture(scope="module")
def adapter(model):
    return adapter_for(model)


def shown(*sizes: tuple[int, int], question: str = "What color is the star?") -> dict:
    """Processor output for one prompt with images of these sizes."""
    content = [{"type": "image"}] * len(sizes) + [{"type": "text", "text": question}]
    text = family.processor().apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    return FAMILY.processed([text], images=[FAMILY.pictures(i, size=size)[0] for i, size in enumerate(sizes)])


# Tokens, newlines, prompt -----------------------------------------------------------------------------------


def test_look_is_what_the_projector_receives(model, adapter):
    inputs, received = shown(*MIXED_SIZES), []
    with model.model.multi_modal_projector.register_forward_pre_hook(lambda _, x: received.append(x[0])):
        model.get_image_features(inputs["pixel_values"], inputs["image_sizes"])
    seen = adapter.look(inputs)
    assert torch.equal(torch.cat([one.vision.features for one in seen]), received[0].detach())
    assert [one.vision.shape for one in seen] == [(3, N), (3, N), (4, N)]


def test_splice_of_everything_is_the_models_own_merge(model, adapter):
    inputs, merged = shown(*MIXED_SIZES), []
    with model.model.language_model.register_forward_pre_hook(
        lambda _, args, kwargs: merged.append(kwargs["inputs_embeds"]), with_kwargs=True
    ):
        model(**inputs)
    seen = adapter.look(inputs)
    prompt = adapter.splice(inputs["input_ids"], None, seen, [one.vision.all for one in seen])
    assert torch.equal(prompt.embeds, merged[0])


def test_images_of_different_sizes_in_one_prompt():
    inputs = shown(*MIXED_SIZES)
    ours, report = run(FAMILY, inputs, ALL)
    assert same(ours, run(FAMILY, inputs, None)[0])
    _, report = run(FAMILY, inputs, FEW)
    seen = adapter_for(family.model()).look(inputs)
    assert [image.n_tokens for image in report.images] == [one.vision.n_tokens for one in seen]
    for image, one in zip(report.images, seen, strict=True):
        assert [len(k) for k in one.vision.per_frame(image.kept)] == [
            max(1, round(0.2 * n)) for n in one.vision.counts
        ]


@pytest.mark.parametrize("size", EXTREMES, ids=str)
def test_an_image_thinner_than_a_token_keeps_its_overview_and_is_identical(adapter, size):
    inputs = shown(size)
    assert same(run(FAMILY, inputs, ALL)[0], run(FAMILY, inputs, None)[0])
    (one,) = adapter.look(inputs, [size], family.processor())
    assert len(one.vision.geometry) == one.vision.shape[0] and all(one.vision.counts)
    assert one.vision.counts[0] == N
    assert run(FAMILY, inputs, FEW)[1].n_kept == sum(max(1, round(0.2 * n)) for n in one.vision.counts)
    if 2000 in size:
        assert one.vision.shape[0] == 1  # of the tiles nothing is left


def test_a_newline_stays_where_its_row_has_a_token_left(model, adapter):
    inputs = shown((150, 61))
    (one,) = adapter.look(inputs)
    assert (one.placeholder_tokens[:N] == torch.arange(N)).all()
    rows = one.placeholder_tokens[N:].view(-1, 2 * tiny.GRID + 1)  # of both tiles, and the newline
    assert (rows[:, -1] == -1).all() and (rows[:, :-1] >= 0).all()
    assert len(rows) < tiny.GRID  # the padding above and below is gone

    kept = torch.tensor(sorted([3, int(rows[1, 0]), int(rows[1, -2]), int(rows[3, 4])]))
    left = one.placeholder_tokens[one.surviving(kept)].tolist()
    # The overview's token is in the first row's line, for no newline ends the overview itself.
    assert left == [3, -1, int(rows[1, 0]), int(rows[1, -2]), -1, int(rows[3, 4]), -1]
    few = kept[1:]
    assert one.placeholder_tokens[one.surviving(few)].tolist() == left[2:]

    embeds = adapter.embed_kept([one], [kept])[0]
    ends = torch.tensor(left) < 0
    assert torch.equal(embeds[ends], model.model.image_newline.detach().expand(3, -1))
    torch.testing.assert_close(embeds[~ends], adapter.project(one.vision.take(torch.tensor(left)[~ends])))


def test_only_what_is_kept_is_projected(model):
    rows = []
    with (
        model.model.multi_modal_projector.register_forward_pre_hook(
            lambda _, x: rows.append(x[0].shape[:-1].numel())
        ),
        prune(model, FEW) as report,
    ):
        model.generate(**shown(*MIXED_SIZES), max_new_tokens=1)
    assert sum(rows) == report.n_kept < report.n_visual / 4


def test_a_prompt_tail_has_no_newline_in_it(adapter):
    ids = shown((150, 61))["input_ids"][0]
    _, tail = adapter.prompt_tail_embeddings(ids)
    assert family.words().decode(tail) == "what color is the star ? assistant :"


def test_value_path_and_siglip_towers_are_llavas(adapter):
    assert adapter.value_path is not None and adapter.text_tower_name is None
    assert adapter_for(family.model(vision_feature_layer=-1)).value_path is None


# The public shapes ------------------------------------------------------------------------------------------


@cache
def public():
    return find(PUBLIC).on_meta().half().eval()


@cache
def public_processor() -> LlavaNextProcessor:
    vision = public().config.vision_config
    side = vision.image_size
    return LlavaNextProcessor(
        image_processor=family.image_processor(
            size={"shortest_edge": side},
            crop_size={"height": side, "width": side},
            image_grid_pinpoints=public().config.image_grid_pinpoints,
        ),
        tokenizer=family.words(),
        patch_size=vision.patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


@pytest.mark.parametrize(
    ("size", "tiles", "n", "newlines"),
    [
        ((672, 672), 5, 576 + 48 * 48, 48),  # nothing to take off: the 2,880 tokens of the papers
        ((336, 336), 3, 576 + 24 * 24, 24),  # half of each tile is padding
        ((640, 480), 5, 576 + 36 * 48, 36),
        ((480, 640), 5, 576 + 48 * 36, 48),
        ((1000, 300), 4, 576 + 22 * 72, 22),
        ((300, 1000), 4, 576 + 72 * 22, 72),
        ((1920, 1080), 5, 576 + 28 * 48, 28),
        ((4000, 10), 1, 576, 0),
    ],
)
def test_true_counts_of_uploads(size, tiles, n, newlines):
    processor, adapter = public_processor(), adapter_for(public())
    made = processor(text="<image>", images=Image.new("RGB", size), return_tensors="pt")
    inputs = {"pixel_values": made["pixel_values"].to("meta", torch.half), "image_sizes": made["image_sizes"]}
    (one,) = adapter.look(inputs, [size], processor)
    assert (one.vision.shape, one.vision.n_tokens) == ((tiles, 576), n)
    assert (len(one.placeholder_tokens), int((one.placeholder_tokens < 0).sum())) == (n + newlines, newlines)
    assert int((made["input_ids"] == family.words().image_token_id).sum()) == len(one.placeholder_tokens)


def test_the_estimate_equals_counted_forwards_at_the_public_shapes():
    model, s = public(), adapter_for(public()).shapes()
    assert (s.llm_width, s.n_kv_heads, s.vision_tokens, s.projector_in) == (4096, 8, 577, 1024)
    check_estimates(model, [model.model.vision_tower], views=5, side=336)


def test_the_text_tower_of_the_public_shapes_is_named():
    assert adapter_for(public()).text_tower_name == "ViT-L-14-336-quickgelu/openai"


# Geometry: pixels of the upload -----------------------------------------------------------------------------

SQUARE = {"height": 84, "width": 84}
SETTINGS = {
    "as published": {},
    "with the PIL backend": {"pil": True},
    "tiles larger than they are read": {
        "crop_size": {"height": 112, "width": 112},
        "do_center_crop": False,
        "image_grid_pinpoints": [[112, 224], [224, 112], [224, 224], [112, 336], [336, 112]],
    },
    "an overview larger than its crop": {"size": {"shortest_edge": 100}},
}


def image_processor(name: str):
    settings = dict(SETTINGS[name])
    if not settings.pop("pil", False):
        return family.image_processor(**settings)
    return LlavaNextImageProcessorPil(
        size={"shortest_edge": 84}, crop_size=SQUARE, image_grid_pinpoints=family.PINPOINTS
    )


def placed(name: str, size: tuple[int, int]) -> tuple:
    """(processor, pixel values [T, 3, 84, 84] of a grey image, the geometry of each tile)."""
    processor = image_processor(name)
    (pixels,) = processor(Image.new("RGB", size, (90, 90, 90)), return_tensors="pt")["pixel_values"]
    return processor, pixels, tile_geometry(size, processor, (84, 84), 14, len(pixels))


@pytest.mark.parametrize("size", [(84, 84), (150, 61), (97, 211), (300, 60), (333, 500), (640, 427)], ids=str)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_mark_in_a_tokens_box_changes_that_patch_of_its_tile_and_no_other(name, size):
    processor, before, places = placed(name, size)
    rng, marked = np.random.default_rng(0), 0
    for t, place in enumerate(places):
        assert place.image_size == size
        span = np.array([place.box[2] - place.box[0], place.box[3] - place.box[1]])
        scale = tiny.IMAGE_SIZE / span
        blur = 4 * np.maximum(1, 1 / scale)  # bicubic, twice where the tile itself is resized
        for token in rng.permutation(N)[:9]:
            box = place.token_boxes()[token].numpy()
            x0, y0 = np.ceil(np.maximum(box[:2] + blur, 0)).astype(int)
            x1, y1 = np.floor(np.minimum(box[2:] - blur, size)).astype(int)
            if x1 <= x0 or y1 <= y0:
                continue  # padding, or too few pixels to mark
            pixels = np.full((size[1], size[0], 3), 90, np.uint8)
            pixels[y0:y1, x0:x1] = 220
            (after,) = processor(Image.fromarray(pixels), return_tensors="pt")["pixel_values"]
            change = (after - before)[t].abs().sum(0)
            rows, cols = (change > 0).nonzero().T // tiny.PATCH
            assert set(zip(rows.tolist(), cols.tolist(), strict=True)) == {divmod(token, tiny.GRID)}
            for axis, (a, b) in enumerate(((x0, x1), (y0, y1))):
                weight = change.sum(axis).double()
                centre = (weight * (torch.arange(tiny.IMAGE_SIZE) + 0.5)).sum() / weight.sum()
                assert abs(centre - ((a + b) / 2 - place.box[axis]) * scale[axis]) < 0.15, (t, token, axis)
            marked += 1
    assert marked >= 2 or min(size) < 70


def test_boxes_of_tiles_by_hand():
    def boxes(size):
        return [tuple(round(x, 3) for x in place.box) for place in placed("as published", size)[2]]

    assert boxes((168, 168)) == [
        (0, 0, 168, 168),
        *[(x, y, x + 84, y + 84) for y in (0, 84) for x in (0, 84)],
    ]
    # fitted into 168 x 84 as 84 x 84, with 42 columns of padding on either side
    assert boxes((84, 84)) == [(0, 0, 84, 84), (-42, 0, 42, 84), (42, 0, 126, 84)]
    # 252 x 84 holds it at 252 x 42: 21 rows of padding above and below
    assert boxes((504, 84)) == [(0, 0, 504, 84), *[(x, -42, x + 168, 126) for x in (0, 168, 336)]]


def test_present_are_exactly_the_tokens_that_touch_the_image_where_tokens_and_image_align(adapter):
    (one,) = adapter.look(shown((84, 84)), [(84, 84)], family.processor())
    for place, there in zip(one.vision.geometry, one.vision.valid, strict=True):
        left, top, right, bottom = place.token_boxes().T
        assert torch.equal((right > 0) & (left < 84) & (bottom > 0) & (top < 84), there)


def test_without_sizes_the_geometry_is_that_of_each_tile(adapter):
    (one,) = adapter.look(shown((150, 61)))
    assert {(g.box, g.image_size) for g in one.vision.geometry} == {((0, 0, 84, 84), (84, 84))}


# Refusals ---------------------------------------------------------------------------------------------------


def test_inputs_that_do_not_belong_together_are_refused(adapter):
    inputs, processor = shown((150, 61)), family.processor()
    with pytest.raises(ModelError, match=r"need image_sizes, one .* pass everything that the processor"):
        adapter.look({"pixel_values": inputs["pixel_values"]})
    with pytest.raises(ModelError, match="need image_sizes"):
        adapter.look(inputs | {"pixel_values": inputs["pixel_values"][0]})
    with pytest.raises(ModelError, match="hold 3 tiles for an image, but image_sizes ask for 5"):
        adapter.look(inputs | {"image_sizes": torch.tensor([[300, 300]])})
    with pytest.raises(ModelError, match="2 image sizes were given for 1 images"):
        adapter.look(inputs, [(150, 61)] * 2, processor)
    with pytest.raises(
        ModelError, match=r"150 x 62 pixels was named, but the processor was given .* 150 x 61"
    ):
        adapter.look(inputs, [(150, 62)], processor)
    with pytest.raises(ModelError, match="without a processor"):
        adapter.look(inputs, [(150, 61)])
    with pytest.raises(ModelError, match="CLIPImageProcessor cuts no tiles"):
        adapter.look(inputs, [(150, 61)], CLIPImageProcessor())
    other = family.image_processor(image_grid_pinpoints=[[252, 252]])
    with pytest.raises(ModelError, match="cuts a 150 x 61 image into 10 tiles, but the model expects 3"):
        adapter.look(inputs, [(150, 61)], other)
    small = family.image_processor(size={"shortest_edge": 70}, crop_size={"height": 84, "width": 84})
    small.do_center_crop = False
    with pytest.raises(ModelError, match="makes tiles of 70 x 70 pixels, but pixel_values are 84 x 84"):
        adapter.look(inputs, [(150, 61)], small)


def test_the_wrong_number_of_placeholders_is_refused(model):
    one, two = shown((150, 61)), shown((150, 61), (84, 84))
    with pytest.raises(ModelError, match="image placeholders, but the 1 image"), prune(model, FEW):
        model.generate(**two | {name: one[name] for name in ("pixel_values", "image_sizes")})


# The whole path ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 2], ids=["image", "clip as images"])
def test_explainer(frames):
    size, question = (150, 61), "What color is the star?"
    pictures = [FAMILY.pictures(i, size=size)[0] for i in range(frames)]
    explainer, config = Explainer(family.model(), family.processor()), PruneConfig(0.2, positions="original")
    look = explainer.look(pictures[0] if frames == 1 else pictures)
    asked = explainer.ask(look, question, config)
    kept = explainer.select(look, asked, config).kept()
    full = explainer.answer(look, asked, max_new_tokens=6)
    inputs = shown(*[size] * frames, question=question)
    plain = family.model().generate(**inputs, **COMPARE | {"max_new_tokens": 6})
    assert full.token_ids == tuple(plain.sequences[0, inputs["input_ids"].shape[1] :].tolist())
    assert full.n_visual + full.n_text == inputs["input_ids"].shape[1]

    few = explainer.answer(look, asked, kept, max_new_tokens=6)
    assert few.n_visual == len(kept) == sum(max(1, round(0.2 * n)) for n in look.vision.counts)
    judged = explainer.agreement(look, asked, kept, full, few)
    assert judged.kl_first > 0
    same_as_all = explainer.agreement(look, asked, look.vision.all, full, full)
    assert same_as_all.kl_first == 0 and same_as_all.full_on_full == same_as_all.pruned_on_full
    assert explainer.savings(look, asked, kept, 4).n_visual_full == look.n_visual
    assert explainer.time(look, asked, kept, repeats=1, warmup=0, steps=1).prefill > 0
