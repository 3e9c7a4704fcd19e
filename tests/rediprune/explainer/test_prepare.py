"""prepare_run: encoding, question and selection in one step, each the one that its own method returns."""

import pytest
import torch

from rediprune import Explainer, PruneConfig, QuestionError
from rediprune.explainer.prepare import prepare_run
from rediprune.models import ModelError
from rediprune.replay.recorded_run import RecordedRun
from tests.support import tiny

QUESTION = "What color is the star?"


@pytest.fixture
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny")


def test_every_part_is_what_its_own_method_returns(explainer):
    config = PruneConfig(keep_ratio=0.5)
    start = prepare_run(explainer, tiny.image(), QUESTION, config)
    encoding = explainer.look(tiny.image())
    assert start.config is config and start.encoding is encoding
    assert start.question is explainer.ask(encoding, QUESTION, config)
    assert torch.equal(start.selection.order, explainer.select(encoding, start.question, config).order)


def test_several_weights_make_several_orders(explainer):
    start = prepare_run(explainer, tiny.image(), QUESTION, alphas=[0.0, 1.0])
    assert start.config == explainer.defaults and start.selection.order.shape[0] == 2


def test_a_question_that_cannot_be_asked_is_refused_before_the_encoder_runs(explainer):
    with pytest.raises(QuestionError):
        prepare_run(explainer, tiny.image(), " ")
    assert explainer.encodes == 0


def test_settings_of_another_kind_are_refused(explainer):
    with pytest.raises(TypeError, match="must be a PruneConfig"):
        prepare_run(explainer, tiny.image(), QUESTION, 0.5)


def test_a_recorded_run_is_prepared_from_its_file_alone(explainer):
    trace = explainer.run(tiny.image(), QUESTION)
    recorded = RecordedRun(trace)
    start = prepare_run(recorded, recorded.media, QUESTION)
    assert torch.equal(start.selection.order, trace.selection.order)
    with pytest.raises(ModelError, match="opened from a file"):
        prepare_run(recorded, recorded.media, "What shape is it?")
