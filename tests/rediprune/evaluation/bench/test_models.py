"""Run part 2 of the bench at tiny shapes: every ratio has its figures, and bytes are counted right."""

import pytest
import torch

from rediprune.__main__ import main
from rediprune.evaluation.bench import encoder, models, models_7b
from rediprune.evaluation.bench.answer_tables import ANSWERS, RATIOS, answer_seconds
from rediprune.evaluation.bench.dummy_inputs import make_tiny
from rediprune.evaluation.bench.machine import Machine
from rediprune.evaluation.bench.memory import byte_figure
from rediprune.evaluation.bench.record import BenchRun, Figure, load, save
from rediprune.models.checkpoints.catalog import find
from rediprune.models.checkpoints.memory import Room


def run_of(part) -> BenchRun:
    run = BenchRun(Machine.here(), "cpu", True)
    for found in part.measure("cpu", True):
        assert torch.is_grad_enabled()  # what a part turns off inside is on again between its figures
        (run.measured if isinstance(found, Figure) else run.estimated).append(found)
    return run


@pytest.fixture(scope="module")
def run():
    return run_of(models)


@pytest.fixture(scope="module")
def free():
    return run_of(encoder)


def test_every_ratio_of_a_picture_and_of_a_clip_has_its_times_and_bytes(run):
    for shown, tokens in (("image", 72), ("8 frames", 72)):
        for ratio in RATIOS:
            case = {"shown": shown, "keep": ratio}
            for what in ("prefill", "decode step", "attention of a step"):
                figure = run.figure(what, **case)
                assert 0 < figure.low <= figure.median <= figure.high
            kept = run.figure("prefill", **case).case["K"]
            assert kept == tokens if ratio == 1 else 1 <= kept < tokens / 4


def test_the_cache_that_was_measured_is_the_one_that_was_estimated(run):
    for shown in ("image", "8 frames"):
        for ratio in RATIOS:
            measured = run.figure("KV cache", shown=shown, keep=ratio)
            each = 2 * 2 * (2 * 16) * torch.empty(0, dtype=getattr(torch, measured.dtype)).itemsize
            assert measured.median == measured.case["L"] * each
            assert measured.median == run.estimate("KV cache", shown=shown, keep=ratio).value


def test_models_of_7b_are_measured_alike():
    """Measure their families and clips at tiny shapes."""
    run = run_of(models_7b)
    for name, shows in models_7b.MEDIA_OF_CHECKPOINTS.items():
        for frames in shows:
            case = {"model": f"{find(name).title}, tiny", "shown": f"{frames} frames" if frames else "image"}
            full = run.figure("KV cache", **case, keep=1.0)
            assert full.median == run.estimate("KV cache", **case, keep=1.0).value
            assert full.case["tokens"] == (9 * frames if frames else 36)
    tables = models_7b.tables(run)
    assert len(tables["large-answers-table"].splitlines()) == 2 + 4 * len(RATIOS)
    assert tables["large-table"].count("in bfloat16") == 1


def test_without_room_for_7b_nothing_is_begun_and_what_there_was_stays(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(models_7b, "room", lambda device: Room(device, 5 << 30, 8 << 30))
    monkeypatch.setattr(models_7b, "measure_checkpoints", None)
    out = tmp_path / "bench.json"
    before = BenchRun(
        Machine.here(), "cpu", True, measured=[byte_figure("weights", {}, 7, "cpu", "bfloat16")]
    )
    save({"large": before}, out)
    assert main(["bench", "--part", "large", "--out", str(out)]) == 1
    sentence = "large is left as it was: models of 7B need 18 GiB of free memory, and 5 GiB are free"
    assert capsys.readouterr().err == f"rediprune: {sentence}\n"
    monkeypatch.setattr("rediprune.cli.bench.PARTS", {"large": "models_7b"})
    assert main(["bench", "--out", str(out)]) == 0
    assert load(out)["large"].measured == before.measured


def test_fewer_tokens_need_less_memory(run):
    for what in ("KV cache", "memory of the prefill"):
        sizes = [run.figure(what, shown="image", keep=ratio).median for ratio in RATIOS]
        assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0] / 2


def test_a_whole_answer_is_the_sum_of_its_parts(run):
    full, few = (run.figure("prefill", shown="image", keep=ratio) for ratio in (1.0, 0.1))
    of = {"shown": "image"}
    step, encoded = run.figure("decode step", **of, keep=0.1).median, run.figure("encoder", **of).median
    chosen = run.figure("selection", **of).median
    assert answer_seconds(run, few.case, 5) == pytest.approx(encoded + chosen + few.median + 4 * step)
    assert answer_seconds(run, full.case, 1) == pytest.approx(encoded + full.median)  # nothing is chosen


def test_the_tables_have_a_line_for_every_ratio_and_both_ways_of_knowing(run):
    tables = models.tables(run)
    rows = {name: [line for line in table.splitlines() if line[:1] == "|"] for name, table in tables.items()}
    for name, columns in (("models-table", 11), ("models-answers-table", 8 + len(ANSWERS))):
        assert len(rows[name]) == 2 + 2 * len(RATIOS)
        assert {line.count("|") for line in rows[name]} == {columns + 1}
    assert "in float32" in tables["models-table"] and "in bfloat16" in tables["models-table"]


def test_the_encoder_runs_fewer_layers_and_a_few_frames_need_less(free):
    assert free.figure("encoder, to its end").case["layers"] == 4
    assert free.figure("encoder, to the layer read").case["layers"] == 3
    sizes = [free.figure(f"memory of {how}").median for how in ("frames together", "8 frames at a time")]
    assert sizes[1] < sizes[0] / 2
    assert free.figure("8 frames at a time").case["same bits"] == "yes"
    lines = encoder.tables(free)["encoder-table"].splitlines()
    assert len(lines) == 7 and "3 of 4 layers" in lines[2]


def test_ways_that_differ_stop_the_bench(monkeypatch):
    real = encoder.hidden_states
    monkeypatch.setattr(encoder, "hidden_states", lambda *given: [x + 1 for x in real(*given)])
    with pytest.raises(RuntimeError, match="ends early and one that runs to its end differ"):
        list(encoder.measure("cpu", True))


def test_random_weights_stand_in_the_public_shapes_and_are_finite():
    entry = make_tiny(find("llava-hf/llava-onevision-qwen2-0.5b-ov-hf"))
    model, meta = entry.at_random(dtype=torch.bfloat16), entry.on_meta()
    shapes = [{name: weight.shape for name, weight in one.named_parameters()} for one in (model, meta)]
    assert shapes[0] == shapes[1]
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert not any(weight.is_meta or not weight.isfinite().all() for weight in model.parameters())
    rope, real = model.model.language_model.rotary_emb, meta.model.language_model.rotary_emb
    assert rope.inv_freq.shape == real.inv_freq.shape and rope.inv_freq[0] == 1
