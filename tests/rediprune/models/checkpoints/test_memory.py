"""Estimates are sums that a reader can redo, and free memory is read or said to be unknown."""

import pytest

from rediprune.models.checkpoints import memory
from rediprune.models.checkpoints.catalog import CATALOG, find
from rediprune.models.checkpoints.memory import FORMS, Room, fit, needed_bytes, room, weight_bytes

SEVEN = find("llava-hf/llava-1.5-7b-hf")
GIB = 2**30


def test_weights_are_parameters_times_bytes_with_the_rest_in_16_bits():
    rest = SEVEN.parameters - SEVEN.quantised  # encoder, projector, embeddings, output layer, norms
    assert weight_bytes(SEVEN, "bf16") == 2 * SEVEN.parameters
    assert weight_bytes(SEVEN, "int8") == 2 * rest + SEVEN.quantised + 4 * SEVEN.quantised // 4096
    blocks = SEVEN.quantised // 64
    assert weight_bytes(SEVEN, "int4") == 2 * rest + SEVEN.quantised // 2 + blocks + 4 * blocks // 256


def test_the_allowance_is_the_stated_one():
    for form in FORMS:
        assert needed_bytes(SEVEN, form) - weight_bytes(SEVEN, form) == 4096 * 524_288 + GIB


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_fewer_bits_need_less(entry):
    bf16, int8, int4 = (needed_bytes(entry, form) for form in FORMS)
    assert int4 < int8 < bf16


@pytest.mark.parametrize(
    ("free", "verdict", "says"),
    [
        (needed_bytes(SEVEN, "bf16"), "fits", "it fits"),
        (needed_bytes(SEVEN, "bf16") - 1, "tight", "short prompts and few frames"),
        (weight_bytes(SEVEN, "bf16"), "tight", "short prompts"),
        (weight_bytes(SEVEN, "bf16") - 1, "no", "does not fit"),
        (None, "unknown", "does not say how much of cuda is free"),
    ],
)
def test_what_fits_is_said_in_a_word_and_a_sentence(free, verdict, says):
    found = fit(SEVEN, "bf16", Room("cuda", free, None))
    assert found.verdict == verdict
    assert says in found.sentence
    assert "LLaVA-1.5 7B in bf16 needs about 16.2 GiB (estimated; 13.2 GiB are weights)" in found.sentence
    assert "\n" not in found.sentence


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A Linux with 8 GiB free of 16, in a folder; returns a writer of its files."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "cgroup")

    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    kib = GIB // 1024
    write(
        "proc/meminfo",
        f"MemTotal: {16 * kib} kB\nMemFree: {kib} kB\nMemAvailable: {8 * kib} kB\nHugePages: 0\n",
    )
    return write


def test_main_memory_is_what_the_kernel_calls_available(system):
    assert room() == Room("cpu", 8 * GIB, 16 * GIB)
    assert room(freed=GIB).free == 9 * GIB


@pytest.mark.parametrize(
    ("limit", "used", "stat"),
    [
        ("cgroup/memory.max", "cgroup/memory.current", "cgroup/memory.stat"),
        (
            "cgroup/memory/memory.limit_in_bytes",
            "cgroup/memory/memory.usage_in_bytes",
            "cgroup/memory/memory.stat",
        ),
    ],
    ids=["version 2", "version 1"],
)
def test_a_container_has_what_its_limit_leaves(system, limit, used, stat):
    system(limit, f"{4 * GIB}\n")
    system(used, f"{3 * GIB}\n")
    system(stat, f"anon {2 * GIB}\ninactive_file {GIB}\n")  # cached files are given up on demand
    assert room() == Room("cpu", 2 * GIB, 4 * GIB)


def test_a_container_without_a_limit_has_the_machine(system):
    system("cgroup/memory.max", "max\n")
    assert room() == Room("cpu", 8 * GIB, 16 * GIB)


def test_a_system_that_does_not_say_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_PROC", tmp_path / "nowhere")
    assert room() == Room("cpu", None, None)
    assert room(freed=GIB).free is None


def test_a_gpu_counts_what_torch_holds_in_reserve_as_free(monkeypatch):
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (5 * GIB, 24 * GIB))
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda _: 3 * GIB)
    monkeypatch.setattr("torch.cuda.memory_allocated", lambda _: 2 * GIB)
    assert room("cuda:0") == Room("cuda:0", 6 * GIB, 24 * GIB)


def test_apple_memory_is_the_recommended_most_less_what_is_held(monkeypatch):
    monkeypatch.setattr("torch.mps.recommended_max_memory", lambda: 12 * GIB)
    monkeypatch.setattr("torch.mps.current_allocated_memory", lambda: 2 * GIB)
    assert room("mps") == Room("mps", 10 * GIB, 12 * GIB)
