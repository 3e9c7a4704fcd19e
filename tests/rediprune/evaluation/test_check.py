"""Check `python -m rediprune check`: the built-in model passes, and a fault fails where it is."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

from rediprune import Explainer
from rediprune.__main__ import main
from rediprune.costs.stopwatch import Timing
from rediprune.evaluation import check
from rediprune.explainer.encode import MediaInput
from rediprune.models.families.llava import LlavaAdapter
from rediprune.tokens import Geometry, VisionTokens
from tests.families import families
from tests.support import tiny


@pytest.fixture(scope="module")
def known():
    return check.read_known()


@pytest.fixture
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny")


def test_the_built_in_model_passes_every_check(capsys):
    assert main(["check", "--repeats", "1"]) == 0
    output = capsys.readouterr().out
    assert "7 passed, 0 failed" in output and "FAIL" not in output
    assert "default cosine" in output and "rounding alone" in output


def test_a_failed_check_is_named_and_ends_with_1(monkeypatch, capsys):
    monkeypatch.setattr(check, "check_placement", lambda explainer: (False, "nowhere"))
    assert main(["check", "--repeats", "1"]) == 1
    output = capsys.readouterr().out
    assert "6 passed, 1 failed: tokens lie where shown" in output


@pytest.mark.parametrize("shown", ["image", "clip"])
def test_a_projector_that_prunes_differently_is_found(explainer, known, shown, monkeypatch):
    clip = MediaInput((known[0].image, known[1].image), True)
    media = MediaInput((known[0].image,)) if shown == "image" else clip
    assert check.check_identical(explainer, media)[0] and check.check_masked(explainer, media)[0]
    project = LlavaAdapter.project
    monkeypatch.setattr(LlavaAdapter, "project", lambda self, x: project(self, x) * 1.001)
    assert not check.check_identical(explainer, media)[0]


def test_kept_tokens_in_the_wrong_place_are_found(explainer, known, monkeypatch):
    take = VisionTokens.take
    monkeypatch.setattr(
        VisionTokens, "take", lambda self, kept: take(self, kept if len(kept) > 30 else kept.flip(0))
    )
    media = MediaInput((known[0].image,))
    assert check.check_identical(explainer, media)[0]  # at 100% the fault does not show
    assert not check.check_masked(explainer, media)[0]


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_rounding_is_measured_by_the_same_prompt_in_every_family(family):
    """Guard the limit: a prompt whose deepstack features are shifted differs by far more than rounding."""
    explainer = Explainer(family.model(torch.float32), family.processor())
    passed, detail = check.check_masked(explainer, MediaInput((family.pictures(3)[0],)))
    rounding = float(detail.partition("rounding alone: ")[2].rstrip(")"))
    assert passed and rounding < 1e-5


def test_two_prompts_in_a_batch_are_compared_and_the_tokenizer_is_left_as_it_was(explainer, known):
    explainer.processor.tokenizer.padding_side = "left"
    passed, detail = check.check_identical_batch(explainer, known)
    assert passed and f"{2 * tiny.N} visual tokens" in detail


def test_a_map_that_is_one_token_off_is_found(monkeypatch):
    explainer = Explainer.from_pretrained()
    assert check.check_placement(explainer)[0]
    boxes = Geometry.token_boxes
    monkeypatch.setattr(
        Geometry, "token_boxes", lambda self: boxes(self) + torch.tensor([1, 0, 1, 0]) * boxes(self)[0, 2]
    )
    passed, detail = check.check_placement(explainer)
    assert not passed and "mean offset" in detail


def test_a_reversed_sign_is_found_and_the_remedy_named(known, monkeypatch):
    explainer = Explainer.from_pretrained()
    few = known[:3]
    assert check.check_pointing(explainer, few)[0]
    select = Explainer.select

    def reversed_sign(self, *args):
        chosen = select(self, *args)
        chosen.relevance.neg_()
        return chosen

    monkeypatch.setattr(Explainer, "select", reversed_sign)
    passed, detail = check.check_pointing(explainer, few)
    assert not passed and 'use pointing="negated"' in detail


def test_a_model_without_text_tower_is_not_judged_by_it(explainer, known):
    assert check.check_pointing(explainer, known)[0] is None


def test_the_share_of_pairs_counts_ties_half():
    assert check._share_of_pairs_above(torch.tensor([2.0, 3.0]), torch.tensor([1.0, 2.0])) == pytest.approx(
        (3 + 0.5) / 4
    )


def test_the_pictures_are_those_of_the_world(tmp_path):
    from world.exports.known_objects import write_known_objects

    write_known_objects(tmp_path)
    assert json.loads((tmp_path / "objects.json").read_text()) == json.loads(
        (check.KNOWN_FOLDER / "objects.json").read_text()
    )
    for path in tmp_path.glob("*.png"):
        assert Image.open(path).tobytes() == Image.open(check.KNOWN_FOLDER / path.name).tobytes()


def test_without_its_pictures_it_says_so(tmp_path):
    with pytest.raises(ValueError, match="come with the repository"):
        check.read_known(tmp_path)


def timing(prefill):
    return Timing(prefill, (prefill, prefill), 0.001, (0.001, 0.001), 3, 1, "cpu")


@pytest.mark.parametrize(
    ("full", "pruned", "busy"), [(0.026, 0.012, False), (0.026, 1.059, True), (1.059, 0.026, True)]
)
def test_times_that_cannot_both_be_right_are_told_as_such(explainer, known, monkeypatch, full, pruned, busy):
    monkeypatch.setattr(explainer, "time_both", lambda *_, **__: (timing(full), timing(pruned)))
    _, detail = check.measure_times(explainer, MediaInput((known[0].image,)), 3)
    assert f"{full * 1000:.0f} ms ({full * 1000:.0f}..{full * 1000:.0f})" in detail
    assert ("NOT RELIABLE" in detail) == busy


def test_both_prompts_are_timed_in_turns_and_again_where_a_time_cannot_be_right(
    explainer, known, monkeypatch
):
    calls, slow = [], [0.9] * 3

    def time(look, asked, kept=None, positions="compacted", **how):
        calls.append((kept is None, how["warmup"]))
        took = 0.01 if kept is None or not slow else slow.pop()
        return replace(timing(took), repeats=1)

    monkeypatch.setattr(explainer, "time", time)
    monkeypatch.setattr("rediprune.costs.stopwatch.time.sleep", lambda _: None)
    _, detail = check.measure_times(explainer, MediaInput((known[0].image,)), 3)
    one_try = [(True, 1), (False, 1), *([(True, 0), (False, 0)] * 2)]
    assert calls == one_try * 2
    assert "NOT RELIABLE" not in detail and "10 ms (10..10)" in detail


def test_repeats_must_be_positive(capsys):
    assert main(["check", "--repeats", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err
