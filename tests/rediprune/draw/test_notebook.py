"""Check that reports and runs have a short repr, draw themselves in a notebook, and say what was saved."""

import pytest

from rediprune import Explainer, PruneConfig, PruneError, PruneReport, estimate, prune
from rediprune.costs.estimate import estimate_over_prompts
from rediprune.models import adapter_for
from rediprune.trace import to_html
from tests.support import tiny

ROWS = (("What color is the star?", [tiny.image(1)]), ("Is it red or is it <blue>?", [tiny.image(2)]))


@pytest.fixture(scope="module")
def report() -> PruneReport:
    model = tiny.model()
    with prune(model, PruneConfig(0.25)) as found:
        model.generate(**tiny.inputs(*ROWS), max_new_tokens=2)
    return found


@pytest.fixture(scope="module")
def trace():
    return Explainer(tiny.model(), tiny.processor(), "tiny").run(
        tiny.image(), "<b>what</b>?", PruneConfig(0.25)
    )


def test_a_report_and_a_run_are_one_short_line(report, trace):
    for record in (report, trace):
        assert "\n" not in repr(record) and len(repr(record)) < 400 and "tensor" not in repr(record)
    assert repr(report).startswith("<PruneReport: Kept 18 of 72 visual tokens")
    assert repr(trace).startswith("<Trace of tiny: ") and "9 of 36 visual tokens" in repr(trace)


def test_a_notebook_shows_the_overlay_of_a_run(trace):
    shown = trace._repr_html_()
    assert 'src="data:image/png;base64,' in shown and "9 of 36" in shown
    assert "<b>what" not in shown and "&lt;b&gt;what" in shown


def test_a_run_without_its_pictures_shows_its_grid(trace):
    from dataclasses import replace

    shown = replace(trace, frames=())._repr_html_()
    assert shown.count("<rect") == tiny.N and shown.count("stroke=") == len(trace.kept)


def test_a_notebook_shows_the_kept_tokens_of_each_image_of_a_report(report):
    shown = report._repr_html_()
    assert shown.count("<svg") == 2 and shown.count("<rect") == 2 * tiny.N
    assert shown.count('stroke="') == 18 and len(shown) < 20_000
    for image in report.images:
        assert image.kept.max() < tiny.N and f"prompt {image.prompt}" in shown


def test_an_empty_report_says_so():
    empty = PruneReport(PruneConfig(), "Some")
    assert "Nothing pruned yet" in repr(empty) and "Nothing pruned yet" in empty._repr_html_()
    with pytest.raises(PruneError, match="call savings"):
        empty.savings()


def test_what_nobody_shows_has_no_html():
    assert to_html(object()) is None


def test_a_report_estimates_what_was_saved_over_all_prompts(report):
    model = tiny.model()
    shapes = adapter_for(model).shapes()
    texts = [int(row.sum()) - tiny.N for row in tiny.inputs(*ROWS)["attention_mask"]]
    each = [estimate(shapes, tiny.N, 9, text, n_new=2) for text in texts]
    found = report.savings(n_new=2)
    assert found.full.total == sum(one.full.total for one in each)
    assert found.pruned.prefill == sum(one.pruned.prefill for one in each)
    assert found.end_to_end == found.full.total / found.pruned.total > 1
    assert found.prefill == found.full.prefill / found.pruned.prefill
    assert found.visual_only == pytest.approx(each[0].visual_only)
    assert (found.n_visual_full, found.n_visual_pruned) == (report.n_visual, report.n_kept) == (72, 18)
    assert (found.n_text, found.n_new) == (sum(texts), 4)


def test_a_report_at_100_percent_saved_nothing():
    model = tiny.model()
    with prune(model, PruneConfig(1.0)) as report:
        model.generate(**tiny.inputs(ROWS[0]), max_new_tokens=1)
    found = report.savings()
    assert found.end_to_end == found.prefill == found.visual_only == 1


def test_savings_of_no_token_are_refused(report):
    with pytest.raises(ValueError, match="at least 1"):
        report.savings(0)


def test_a_call_over_several_prompts_costs_what_each_does(report):
    assert estimate_over_prompts(report.costs[:1]).n_visual_full == tiny.N
    assert len(report.costs) == 2
