"""Run the bench quickly by the command line, and check what its parts report."""

import pytest
import torch

from rediprune.__main__ import main
from rediprune.evaluation.bench import PARTS, flops_conventions, published, record, selection
from rediprune.evaluation.bench.machine import Machine
from rediprune.models import adapter_for
from rediprune.models.checkpoints.catalog import find
from rediprune.selection.greedy import distances, greedy
from tests.support import reference


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    assert main(["bench", "--part", "conventions", "--quick", "--out", str(path)]) == 0
    assert main(["bench", "--part", "selection", "--quick", "--out", str(path)]) == 0
    return record.load(path)


def test_a_quick_run_says_so_and_every_figure_has_its_spread_and_shapes(quick):
    assert list(quick) == ["conventions", "selection"]
    run = quick["selection"]
    assert run.quick and run.seconds > 0 and run.machine.cores >= 1
    for figure in run.measured:
        assert 0 < figure.low <= figure.median <= figure.high
        assert figure.repeats == 2 and figure.warmup == 1 and figure.dtype == "float32"
    for t, n in selection.QUICK_SHAPES:
        for k in (round(0.15 * n), n):
            for what in ("published", "select", "loop of published", "loop of greedy"):
                assert run.figure(what, T=t, N=n, K=k).unit == "s"
        assert run.figure("select, ended at K", T=t, N=n).case["K"] == round(0.15 * n)


def test_the_floor_is_one_gram_matrix_at_the_measured_rate(quick):
    run = quick["selection"]
    rate = 2 * 256**3 / run.figure(selection.RATE).median
    for t, n in selection.QUICK_SHAPES:
        assert run.estimate("floor", T=t, N=n).value == pytest.approx(2 * t * n * n * 1024 / rate)


def test_the_published_loop_is_the_rule_and_ours_makes_its_picks():
    source = torch.Generator().manual_seed(0)
    features = torch.randn(2, 30, 16, generator=source) + torch.randn(16, generator=source)
    query = torch.randn(16, generator=source)
    x, q = features.double().numpy(), query.double().numpy()
    scores = reference.relevance(x, q)
    for k in (1, 7, 30):
        expected = [[i for i, _, _ in reference.greedy(f, s, 0.5, k)] for f, s in zip(x, scores, strict=True)]
        assert published.select(features, query, 0.5, k).tolist() == expected


def test_the_published_loop_breaks_ties_as_ours():
    axes = torch.eye(6)[[2, 0, 0, 1, 2, 3, 5, 5]][None]
    relevance = torch.tensor([[0.0, 1, 1, 0, 0, 1, 0, 0]])
    ours = greedy(axes, relevance, [0.5]).order[0, 0]
    assert torch.equal(published.pick(distances(axes)[0], relevance[0], 0.5, 8), ours)


def test_a_bench_whose_picks_differ_stops(monkeypatch):
    def reversed_picks(between, relevance, alpha, k):
        return torch.arange(len(relevance)).flip(0)[:k]

    monkeypatch.setattr(published, "pick", reversed_picks)
    with pytest.raises(RuntimeError, match="picked different tokens"):
        list(selection.measure("cpu", True))


def test_a_published_loop_that_takes_long_runs_once_and_is_said_to(monkeypatch):
    monkeypatch.setattr(selection, "SLOW", 0)
    found = list(selection.measure("cpu", True))
    measured = [one for one in found if isinstance(one, record.Figure)]
    for one in measured:
        assert (one.repeats, one.warmup) == ((1, 0) if one.what == "published" else (2, 1))
    assert "loop of published" not in {one.what for one in measured}
    estimated = [one for one in found if isinstance(one, record.Estimate)]
    run = record.BenchRun(Machine.here(), "cpu", True, measured=measured, estimated=estimated)
    assert selection.tables(run)["selection-table"].count("(one run)") == 2 * len(selection.QUICK_SHAPES)


def test_the_ratios_known_for_egoschema_come_out(quick):
    run = quick["conventions"]
    known = {(8, 28): 6.08, (8, 196): 3.80, (32, 196): 6.37}  # by the papers' formula, by hand
    for (t, text), value in known.items():
        found = run.estimate("prompt", benchmark="EgoSchema", T=t, L=text).value
        assert found == pytest.approx(value, abs=5e-3)
    n, k, d, m = 8 * 144 + 28, 8 * 22 + 28, 4096, 11008
    by_hand = (4 * n * d * d + 2 * n * n * d + 2 * n * d * m) / (
        4 * k * d * d + 2 * k * k * d + 2 * k * d * m
    )
    assert run.estimate("prompt", benchmark="EgoSchema", T=8, L=28).value == pytest.approx(by_hand)


def test_the_longest_text_is_the_last_with_which_a_claim_holds(quick):
    run = quick["conventions"]
    found = [one for one in run.estimated if one.what == "longest text"]
    shapes = {
        h.benchmark: adapter_for(find(h.model).on_meta()).shapes() for h in flops_conventions.HEADLINES[1:3]
    }
    for one in (
        one for one in found if one.case["benchmark"] in shapes and one.value < flops_conventions.LONGEST
    ):
        way, claim, mine = one.case["way"], one.case["claim"], shapes[one.case["benchmark"]]
        assert flops_conventions.ratio(way, mine, one.case, int(one.value)) > claim
        assert flops_conventions.ratio(way, mine, one.case, int(one.value) + 1) <= claim


def test_counted_end_to_end_no_claim_holds_and_over_visual_tokens_alone_all_do(quick):
    table = flops_conventions.tables(quick["conventions"])["claims-table"].splitlines()[2:]
    assert len(table) == sum(len(h.frames) for h in flops_conventions.HEADLINES)
    for line in table:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[2] == "always" and cells[-1] == "never"


def test_tables_of_the_selection_hold_a_line_for_each_shape(quick):
    found = selection.tables(quick["selection"])
    assert len(found["selection-table"].splitlines()) == 2 + 2 * len(selection.QUICK_SHAPES)
    assert len(found["loops-table"].splitlines()) == 2 + 2 * len(selection.QUICK_SHAPES)
    assert len(found["rows-table"].splitlines()) == 2 + len(selection.QUICK_SHAPES)
    assert "one run" not in found["selection-table"]
    t, n = selection.QUICK_SHAPES[0]
    k = round(0.15 * n)
    published, ours = (
        quick["selection"].figure(what, T=t, N=n, K=k).median for what in ("published", "select, ended at K")
    )
    floor = quick["selection"].estimate("floor", T=t, N=n).value
    cells = [cell.strip() for cell in found["selection-table"].splitlines()[2].strip("|").split("|")]
    assert cells[5] == f"{published / ours:.1f}" and cells[7] == f"{published / floor:.1f}"
    assert cells[6].endswith(f"({floor / ours:.0%})")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--part", "magic"], "invalid choice"),
        (["--device", "abacus"], "invalid choice"),
        (["--out", "/no/such/folder/bench.json"], "there is no folder /no/such/folder"),
    ],
)
def test_a_senseless_bench_is_one_sentence_and_exit_code_2(capsys, more, says):
    assert main(["bench", "--quick", *more]) == 2
    captured = capsys.readouterr()
    assert says in captured.err and captured.err.count("\n") == 1 and captured.out == ""


def test_a_part_that_fails_leaves_its_old_numbers_and_the_other_parts_are_run(tmp_path, monkeypatch, capsys):
    out, machine = tmp_path / "bench.json", Machine.here()
    kept = record.Figure("old", {"T": 1}, "s", 1.0, 1.0, 1.0, "cpu", "float32", 1, 1)
    record.save({"models": record.BenchRun(machine, "cpu", True, measured=[kept])}, out)

    def measure(device, quick):
        yield record.Estimate("new", {}, "x", 2.0, "said")

    def fail(device, quick):
        yield from measure(device, quick)
        raise RuntimeError("no\nmemory")

    for part, module in PARTS.items():
        monkeypatch.setattr(
            f"rediprune.evaluation.bench.{module}.measure", fail if part == "models" else measure
        )
    assert main(["bench", "--out", str(out)]) == 1
    assert capsys.readouterr().err == "rediprune: models failed: no memory\n"
    found = record.load(out)
    assert set(found) == set(PARTS) and found["models"].measured == [kept] and not found["models"].estimated
    assert all(found[part].estimate("new").value == 2 for part in PARTS if part != "models")
    assert len({str(found[part].machine) for part in PARTS if part != "models"}) == 1


def test_where_there_is_no_gpu_it_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["bench", "--device", "cuda", "--out", str(tmp_path / "b.json")]) == 2
    assert "--device=cuda is not available on this machine" in capsys.readouterr().err
