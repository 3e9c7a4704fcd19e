"""Small real models: the one that fits is chosen, and opens quick, with an overlay that lies right."""

from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image

from rediprune import Explainer, ModelError, PruneConfig
from rediprune.models.checkpoints import memory, small, speed
from rediprune.models.checkpoints.catalog import SMALL, find
from rediprune.models.checkpoints.checkpoint import QuickSettings
from rediprune.models.checkpoints.loading import load
from rediprune.models.checkpoints.memory import Room, needed_bytes
from rediprune.models.checkpoints.quick import apply_to_processor, known_checkpoint, quick_settings_for
from rediprune.models.checkpoints.small import PATIENCE, small_for_this_machine, small_models
from rediprune.models.checkpoints.speed import Rates
from tests.support import photo_models

INTERNVL = find("OpenGVLab/InternVL3-1B-hf")
SMOLVLM = find("HuggingFaceTB/SmolVLM-256M-Instruct")
# One of each family: 2B, 4B and 8B of Qwen3-VL, and both SmolVLM, differ in width only.
EACH = [entry for entry in SMALL if entry.title not in ("SmolVLM 500M", "Qwen3-VL 4B", "Qwen3-VL 8B")]
GIB = 2**30


# Which one fits -------------------------------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch):
    """Return a function that sets free memory in GiB and the seconds of each model, by their order."""

    def make(free: float | None, seconds: dict[str, float] | float, dtype: str = "bfloat16") -> None:
        room = None if free is None else int(free * GIB)
        monkeypatch.setattr(small, "room", lambda device, freed: Room(device, room and room + freed, room))
        told = seconds if isinstance(seconds, dict) else {entry.title: seconds for entry in SMALL}
        monkeypatch.setattr(small, "answer_seconds", lambda entry, _: told[entry.title])
        monkeypatch.setattr(small, "quick_dtype", lambda _: dtype)

    return make


@pytest.mark.parametrize(
    ("free", "seconds", "chosen"),
    [
        (64, 1.0, "Qwen3-VL 2B"),  # a large machine: the most able one that is no huge download
        (2.5, 1.0, "SmolVLM 500M"),
        (3.5, 1.0, "InternVL3 1B"),
        (None, 1.0, "Qwen3-VL 2B"),  # a system that does not say what is free
        (1, 1.0, None),
    ],
)
def test_the_most_able_one_that_fits_into_memory_is_chosen(machine, free, seconds, chosen):
    machine(free, seconds)
    found = small_for_this_machine()
    assert (found and found.entry.title) == chosen
    if found and free:
        assert needed_bytes(found.entry, "bf16") <= free * GIB


def test_a_model_that_is_too_slow_gives_way_to_the_most_able_quick_one(machine):
    machine(64, {entry.title: PATIENCE if entry.parameters < 1e9 else PATIENCE + 1 for entry in SMALL})
    assert small_for_this_machine().entry == INTERNVL


def test_where_all_are_slow_the_quickest_is_chosen(machine):
    machine(64, {entry.title: PATIENCE + entry.parameters / 1e8 for entry in SMALL})
    assert small_for_this_machine().entry == SMOLVLM


def test_one_that_does_not_fit_on_the_disk_is_taken_only_where_it_lies_there_already(machine):
    machine(3.5, 1.0)
    free = INTERNVL.download_bytes - 1
    assert small_for_this_machine(free_disk=free).entry.title == "Qwen3.5 0.8B"
    assert small_for_this_machine(free_disk=free, here=[INTERNVL.name]).entry == INTERNVL
    assert small_for_this_machine(free_disk=0) is None


def test_a_machine_that_is_slow_in_bfloat16_needs_room_for_float32(machine):
    """InternVL3 1B takes 2.8 GiB in bfloat16, and 4.5 GiB in the format that it would be opened in there."""
    machine(3.5, 1.0, dtype="float32")
    found = small_for_this_machine()
    assert found.entry.title == "SmolVLM 500M"
    assert needed_bytes(INTERNVL, "fp32") - needed_bytes(INTERNVL, "bf16") == 2 * INTERNVL.parameters
    assert "in fp32" in found.fit.sentence


def test_all_are_listed_with_those_that_do_not_fit_last(machine):
    machine(3.5, 1.0)
    listed = small_models()
    assert sorted(one.entry.name for one in listed) == sorted(entry.name for entry in SMALL)
    fitting = [one.fit.verdict == "fits" for one in listed]
    assert fitting == sorted(fitting, reverse=True) and not all(fitting)


# How long it takes ----------------------------------------------------------------------------------------


def test_an_answer_is_the_sum_of_three_parts_that_a_reader_can_redo():
    found = speed.answer_time(INTERNVL, rates=Rates(flops=1e12, bytes_read=1e10))
    words = 151_674 * 896
    encoder_weights = INTERNVL.parameters - INTERNVL.quantised - 2 * words  # its embeddings are not tied
    assert found.encoder == pytest.approx((2 * 1025 * encoder_weights + 4 * 24 * 1024 * 1025**2) / 1e12)
    prompt = 256 + speed.TEXT_TOKENS
    layers = 2 * prompt * INTERNVL.quantised + 4 * 24 * 896 * prompt**2
    assert found.prefill == pytest.approx((layers + 2 * words) / 1e12)
    assert found.decoding == pytest.approx(19 * 2 * (INTERNVL.quantised + words) / 1e10)
    assert found.seconds == found.encoder + found.prefill + found.decoding


def test_the_encoder_counted_is_the_real_one():
    """What is left of the parameters without the LLM's layers and words is encoder and projector, to 2%."""
    for entry in EACH:
        found = speed.answer_time(entry, rates=Rates(1.0, 1.0))
        parts = dict(entry.on_meta().model.named_children())
        named = ("vision_model", "vision_tower", "visual", "connector", "multi_modal_projector")
        weights = sum(w.numel() for name in named if name in parts for w in parts[name].parameters())
        pictures = entry.photograph
        linear = 2 * pictures.views * pictures.positions * weights
        layers, width = speed._encoder(entry)
        attention = 4 * layers * width * pictures.positions**2 * pictures.views
        assert found.encoder == pytest.approx(linear + attention, rel=0.02), entry.title


def test_rates_are_measured_quickly_and_kept():
    speed.measured_rates.cache_clear()
    first = speed.measured_rates("cpu", "float32")
    assert speed.measured_rates("cpu", "float32") is first
    assert first.flops > 1e8 and first.bytes_read > 1e7


def test_the_number_of_threads_is_the_same_after_measuring():
    before = torch.get_num_threads()
    speed.measured_rates.cache_clear()
    speed.measured_rates("cpu", "bfloat16")
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_further_threads_multiply_the_rates_of_one(monkeypatch, threads):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr(speed, "_rates_of_one", lambda *_, **__: Rates(10.0, 10.0))
    found = speed.measured_rates.__wrapped__("cpu", "float32")
    assert found.flops == pytest.approx(10 * (1 + 0.8 * (threads - 1)))
    assert found.bytes_read == pytest.approx(10 * min(1 + 0.8 * (threads - 1), 3))


@pytest.mark.parametrize(("bfloat16", "chosen"), [(2.0, "bfloat16"), (0.5, "float32")])
def test_numbers_are_those_that_the_machine_is_quicker_in(monkeypatch, bfloat16, chosen):
    monkeypatch.setattr(
        speed, "measured_rates", lambda _, dtype: Rates(bfloat16 if dtype == "bfloat16" else 1.0, 1.0)
    )
    speed.quick_dtype.cache_clear()
    assert speed.quick_dtype("cpu") == chosen
    speed.quick_dtype.cache_clear()


def test_a_model_without_a_known_photograph_has_no_estimate():
    assert speed.answer_seconds(find("llava-hf/llava-1.5-7b-hf")) is None


# The settings ---------------------------------------------------------------------------------------------


@cache
def folder_of(name, root):
    return photo_models.save(find(name), root)


def folder(entry, root):
    return folder_of(entry.name, root)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("small")


@pytest.fixture(scope="module", params=EACH, ids=lambda entry: entry.title)
def opened(request, root):
    """Open one small model of true picture sizes and narrow layers from its folder, with quick settings."""
    return request.param, Explainer.from_pretrained(folder(request.param, root), quick=True)


def test_a_photograph_becomes_what_the_catalogue_says_and_is_answered_twice(opened):
    entry, explainer = opened
    trace = explainer.run(
        photo_models.photograph(), "What color is the star?", PruneConfig(0.15), max_new_tokens=2
    )
    assert len(trace.vision.features) == entry.photograph.views
    assert len(trace.vision.all) == entry.photograph.tokens
    assert len(trace.full.token_ids) == len(trace.pruned.token_ids) == 2
    assert 0 < len(trace.kept) < 0.16 * entry.photograph.tokens
    assert explainer.settings == entry.settings.description
    assert explainer.load_arguments["quick"] is True


@pytest.mark.parametrize("size", [(640, 480), (1000, 1500), (1200, 400)], ids=str)
def test_a_mark_on_the_picture_changes_the_token_whose_box_it_is_in(opened, size):
    """Tiles and natural aspect ratios: the box of a token is where its pixels came from."""
    entry, explainer = opened
    processor, adapter = explainer.processor, explainer.adapter

    def processed(picture: Image.Image) -> dict:
        return dict(
            processor(text=[photo_models.SHOWN[entry.family]], images=[[picture]], return_tensors="pt")
        )

    plain = Image.new("RGB", size, (90, 90, 90))
    before = processed(plain)
    (seen,) = adapter.look(before, [size], processor)
    blocks = photo_models.patches(entry, before)
    boxes = [place.token_boxes().tolist() for place in seen.vision.geometry]
    checked = 0
    for token in np.random.default_rng(0).choice(seen.vision.all.numpy(), 8):
        t, n = divmod(int(token), seen.vision.features.shape[1])
        left, top, right, bottom = boxes[t][n]
        x0, x1 = round(left + (right - left) * 0.3), round(right - (right - left) * 0.3)
        y0, y1 = round(top + (bottom - top) * 0.3), round(bottom - (bottom - top) * 0.3)
        if x1 <= max(x0, 0) or y1 <= max(y0, 0) or x0 < 0 or y0 < 0 or x1 > size[0] or y1 > size[1]:
            continue  # padding, or smaller than a pixel
        pixels = np.asarray(plain).copy()
        pixels[y0:y1, x0:x1] = 250
        after = photo_models.patches(entry, processed(Image.fromarray(pixels)))
        changed = (after - blocks)[t].abs().sum(-1)
        assert int(changed.argmax()) == n
        checked += 1
    assert checked >= 4


def test_without_being_asked_nothing_is_changed(root):
    model, processor = load(folder(INTERNVL, root))
    assert model.dtype == torch.float32 and processor.image_processor.max_patches == 12
    model, processor = load(folder(INTERNVL, root), quick=True)
    assert str(model.dtype) == f"torch.{speed.quick_dtype('cpu')}"
    assert processor.image_processor.max_patches == 1


def test_a_number_format_that_was_asked_for_stays(root):
    model, processor = load(folder(INTERNVL, root), dtype="float32", quick=True)
    assert model.dtype == torch.float32 and processor.image_processor.max_patches == 1


def test_the_settings_are_for_a_processor_and_not_for_a_gpu():
    assert quick_settings_for(INTERNVL, torch.device("cpu")) is INTERNVL.settings
    assert quick_settings_for(INTERNVL, torch.device("cuda")) is None
    assert quick_settings_for(None, torch.device("cpu")) is None


@pytest.mark.parametrize(
    ("name", "path", "known"),
    [
        (INTERNVL.name, "cache/models--OpenGVLab--InternVL3-1B-hf/snapshots/c0ffee", True),
        ("mine/InternVL3-1B-hf", "mine/InternVL3-1B-hf", True),
        ("c0ffee", "cache/models--OpenGVLab--InternVL3-1B-hf/snapshots/c0ffee", True),
        ("mine/other", "mine/other", False),
    ],
)
def test_a_checkpoint_is_known_by_its_name_or_its_folder_and_its_family(tmp_path, name, path, known):
    found = known_checkpoint(name, tmp_path / path, "internvl")
    assert found == (INTERNVL if known else None)
    assert known_checkpoint(name, tmp_path / path, "llava") is None


def test_a_setting_that_the_processor_does_not_have_is_refused_and_not_passed_over(root):
    processor = load(folder(INTERNVL, root))[1]
    with pytest.raises(ModelError, match=r"GotOcr2ImageProcessor\w* has no setting most_views"):
        apply_to_processor(processor, QuickSettings("few views", processor={"most_views": 1}))
    changed = apply_to_processor(processor, INTERNVL.settings)
    assert (changed.image_processor.max_patches, processor.image_processor.max_patches) == (1, 12)
    assert changed.tokenizer is processor.tokenizer and type(changed) is type(processor)


def test_a_photograph_takes_many_more_tokens_without_the_settings(root):
    explainer = Explainer.from_pretrained(folder(INTERNVL, root))
    assert len(explainer.look(photo_models.photograph()).vision.all) == 13 * 256
    assert explainer.settings == "" and "quick" not in explainer.load_arguments


def test_the_whole_way_asks_this_machine(monkeypatch):
    monkeypatch.setattr(small, "room", lambda device, freed: memory.Room(device, 64 * GIB, 64 * GIB))
    found = small_for_this_machine()
    assert found.entry in SMALL and found.seconds > 0


# True shapes ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("entry", [SMOLVLM, INTERNVL], ids=lambda entry: entry.title)
def test_the_true_shapes_with_random_weights_go_the_whole_way(tmp_path, entry):
    """Files of the published size are opened by the real path, and a picture is answered twice."""
    path = photo_models.save(entry, tmp_path, "true", torch.bfloat16)
    stored = sum(file.stat().st_size for file in path.glob("*.safetensors"))
    assert abs(stored - entry.download_bytes) < 200_000
    explainer = Explainer.from_pretrained(path, quick=True)
    assert sum(w.numel() for w in explainer.model.parameters()) == entry.parameters
    picture = photo_models.photograph()
    trace = explainer.run(picture, "What color is the star?", PruneConfig(0.15), max_new_tokens=3)
    assert len(trace.vision.all) == entry.photograph.tokens
    assert len(trace.full.token_ids) == len(trace.pruned.token_ids) == 3
    boxes = trace.vision.geometry[0].token_boxes()
    side = round(entry.photograph.tokens**0.5)
    expected = (picture.width / side, picture.height / side)
    assert boxes[0].tolist() == pytest.approx([0, 0, *expected])
    assert boxes[-1].tolist() == pytest.approx(
        [picture.width - expected[0], picture.height - expected[1], picture.width, picture.height]
    )
    assert trace.savings.prefill > 1
