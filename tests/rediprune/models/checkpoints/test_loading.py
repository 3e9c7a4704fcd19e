"""A checkpoint opens from a folder ready to answer, and whatever is wrong with it is one sentence."""

import importlib.util
import shutil
import sys
import weakref
from types import ModuleType

import huggingface_hub.errors as hub
import pytest
import torch
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    LlamaConfig,
    LlavaForConditionalGeneration,
)

from rediprune.models import ModelError, load
from rediprune.models.checkpoints.placement import placement, why_not_quantised
from tests.support import tiny


@pytest.fixture(scope="module")
def model():
    return tiny.model()


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
        (lambda d: (d / "config.json").write_text("{"), "config.json of .* is damaged"),
        (lambda d: (d / "config.json").write_text('{"model_type": "zzz"}'), "model type `zzz`"),
        (
            lambda d: LlamaConfig(architectures=["LlamaForCausalLM"]).save_pretrained(d),
            "LlamaForCausalLM has no vision encoder",
        ),
        (
            lambda d: (d / "model.safetensors").unlink(),
            "holds no weights: it needs model.safetensors",
        ),
        (lambda d: (d / "model.safetensors").write_bytes(b"x" * 99), "model.safetensors of .* is damaged"),
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
    monkeypatch.setattr(
        "rediprune.models.checkpoints.loading.fetch_description", raises(OSError("a\nlong story"), cause)
    )
    with pytest.raises(ModelError, match=sentence):
        load("owner/model")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "does not fit into the device's memory"),
        (MemoryError(), "does not fit into this machine's memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 1 GB"),
            "this machine's memory",
        ),
        (RuntimeError("MPS backend out of memory (used: 9 GB)"), "does not fit into this machine's memory"),
        (
            RuntimeError("size mismatch\nfor lm_head"),
            "the weights in the folder .* cannot be used: size mismatch",
        ),
        (ImportError("needs\n   accelerate"), "cannot be used: needs accelerate"),
    ],
)
def test_a_failure_while_loading_weights_is_one_sentence(monkeypatch, saved, error, sentence):
    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", raises(error))
    with pytest.raises(ModelError, match=sentence):
        load(saved)


def test_a_processor_without_images_is_refused(monkeypatch, saved):
    monkeypatch.setattr(AutoProcessor, "from_pretrained", lambda *_, **__: tiny.tokenizer())
    with pytest.raises(ModelError, match="holds no complete processor"):
        load(saved)


def test_an_error_kept_by_someone_keeps_no_weights(monkeypatch, saved):
    read = []

    def fail(*_, **__):
        weights = torch.empty(3)  # as a loader's own locals hold what it has read so far
        read.append(weakref.ref(weights))
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", fail)
    with pytest.raises(ModelError) as error:
        load(saved)
    assert isinstance(error.value.__cause__, torch.OutOfMemoryError)
    assert read[0]() is None


def test_the_weights_may_be_spread_by_accelerate(saved, model):
    loaded, _ = load(saved, device_map="auto")
    assert torch.equal(loaded.lm_head.weight.cpu(), model.lm_head.weight)


def without(monkeypatch, *names):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else find(name))


def with_bitsandbytes(monkeypatch, devices):
    """A stand-in that says on which devices it works; what it computes is not asked here."""
    fake = ModuleType("bitsandbytes")
    fake.supported_torch_devices = devices
    monkeypatch.setitem(sys.modules, "bitsandbytes", fake)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "bitsandbytes" or find(name))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"device_map": "everywhere"}, "device_map='everywhere' is unknown"),
        ({"quantise": "int3"}, "quantise='int3' is unknown: choose int8 or int4"),
    ],
)
def test_unknown_words_are_said_before_anything_is_fetched(changes, sentence):
    with pytest.raises(ModelError, match=sentence):
        load("owner/model", **changes)


def test_without_accelerate_spreading_is_refused_in_one_sentence(monkeypatch, saved):
    without(monkeypatch, "accelerate")
    with pytest.raises(ModelError, match="needs accelerate: pip install accelerate"):
        load(saved, device_map="auto")


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (("bitsandbytes",), "need bitsandbytes: pip"),
        (("bitsandbytes", "accelerate"), "need bitsandbytes and accelerate: pip"),
    ],
)
def test_without_bitsandbytes_quantising_is_refused_in_one_sentence(monkeypatch, saved, missing, named):
    without(monkeypatch, *missing)
    assert named in why_not_quantised()
    # The packages themselves: an extra of ours names nothing where this runs from its folder.
    with pytest.raises(ModelError, match=f"pip install {' '.join(missing)}$"):
        load(saved, quantise="int8")


def test_a_device_that_bitsandbytes_cannot_use_is_refused(monkeypatch, saved):
    with_bitsandbytes(monkeypatch, {"cuda"})
    with pytest.raises(ModelError, match="no int8 or int4 for the device cpu"):
        load(saved, quantise="int4")


@pytest.mark.parametrize("quantise", ["int8", "int4"])
def test_only_the_language_model_is_quantised(monkeypatch, quantise):
    with_bitsandbytes(monkeypatch, {"cpu"})
    _, options = placement("cpu", "float16", quantise, None)
    asked = options["quantization_config"]
    assert (asked.load_in_8bit, asked.load_in_4bit) == (quantise == "int8", quantise == "int4")
    assert {"lm_head", "model.vision_tower", "model.multi_modal_projector"} <= set(
        asked.llm_int8_skip_modules
    )
    assert asked.bnb_4bit_compute_dtype in (
        torch.float16,
        torch.float32,
    )  # float32 is its default, unused for int8
    assert options["device_map"] == {"": torch.device("cpu")}
