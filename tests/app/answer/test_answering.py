"""One forward tells what greedy decoding would say, and many questions at once keep what each keeps alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rediprune import Explainer, PruneConfig
from rediprune.query.prompt_tail import prompt_tail
from tests.support.measured_world import untrained
from world import make_clip, make_scene
from world.evaluation import exact_match as answering
from world.evaluation.arms import (
    ARBITRARY,
    BLIND,
    CLIPS,
    FLIPPED,
    KEEP_RATIOS,
    MADE_UP,
    OTHER_TAIL,
    OTHER_TOWER,
    OURS,
    PUBLISHED,
    QUESTION,
    RANDOM,
    STILLS,
    TEMPLATE,
    TOWER,
    UNPRUNED,
    Arm,
)
from world.evaluation.cases import Case, Cases, cases
from world.evaluation.exact_match import hits
from world.evaluation.queries import Asking
from world.evaluation.ranking import Ranking, mask_seed

FIRST, N = 500_000, {"stills": 9, "clips": 8}
RATIOS = KEEP_RATIOS[2:]


@pytest.fixture(scope="module")
def explainer(tmp_path_factory) -> Explainer:
    return untrained(tmp_path_factory.mktemp("assets"))


@pytest.fixture(scope="module")
def asking(explainer) -> Asking:
    return Asking(explainer)


@pytest.fixture(scope="module", params=["stills", "clips"])
def ranking(explainer, asking, request) -> Ranking:
    made = make_scene if request.param == "stills" else make_clip
    return Ranking(asking, cases(explainer, made, FIRST, N[request.param]))


def every(ranking: Ranking) -> range:
    return range(len(ranking.found.cases))


def echo(explainer: Explainer, found: Cases, kept: list[torch.Tensor], positions: str) -> Cases:
    """The same questions; what the explainer decodes, token by token, is the expected answer."""

    def said(case: Case, mine: torch.Tensor) -> Case:
        look = found.looks[case.scene]
        asked = explainer.ask(look, case.question.text)
        answer = explainer.answer(look, asked, mine, max_new_tokens=5, positions=positions)
        return replace(case, answer=answer.token_ids)

    return replace(found, cases=tuple(map(said, found.cases, kept)))


@pytest.mark.parametrize(
    "arm",
    [UNPRUNED, RANDOM, OURS[TOWER], OURS[TOWER].shared, Arm("rediprune", PUBLISHED, positions="original")],
    ids=lambda arm: arm.name,
)
def test_one_forward_is_greedy_decoding(explainer, ranking, arm, monkeypatch):
    """Whatever is decoded counts as right, and nothing else does; neighbours and padding change nothing."""
    ratio = 1.0 if arm == UNPRUNED else 0.15
    kept = next(ranking.kept(arm, (ratio,), every(ranking)))[ratio]
    found = echo(explainer, ranking.found, kept, arm.positions)
    assert len({case.answer for case in found.cases}) > 3
    in_place = arm.positions == "original"
    assert hits(explainer, found, kept, in_place).all()
    for at in (0, -1):
        wrong = []
        for case in found.cases:
            answer = list(case.answer)
            answer[at] = (answer[at] + 1) % 500
            wrong.append(replace(case, answer=tuple(answer)))
        assert not hits(explainer, replace(found, cases=tuple(wrong)), kept, in_place).any()
    monkeypatch.setattr(answering, "TOKENS_A_BATCH", 1)  # every prefix alone
    assert hits(explainer, found, kept, in_place).all()


def test_different_numbers_of_tokens_are_refused(explainer, ranking):
    kept = [torch.arange(5), torch.arange(6)]
    with pytest.raises(ValueError, match="different numbers"):
        hits(explainer, ranking.found, kept)


def test_every_arm_that_the_library_offers_keeps_what_it_keeps_there(explainer, ranking):
    found = ranking.found
    plan = STILLS if found.frames == 1 else CLIPS
    arms = {test.arm for tests in plan for test in tests if test.arm.offered}
    assert {arm.method for arm in arms} >= {"rediprune", "relevance", "cdpruner", "divprune", "random"}
    for arm in arms:
        made = list(ranking.kept(arm, RATIOS, every(ranking)))
        assert len(made) == arm.masks
        for i in (0, len(found.cases) - 1):
            case = found.cases[i]
            for mask, kept in enumerate(made):
                config = PruneConfig(seed=mask_seed(found.seeds[case.scene], mask), **arm.settings)
                look = found.looks[case.scene]
                chosen = explainer.select(look, explainer.ask(look, case.question.text, config), config)
                for ratio in RATIOS:
                    assert torch.equal(kept[ratio][i], chosen.kept(ratio)), (arm.name, ratio)


def test_a_question_alone_keeps_what_it_keeps_among_others(ranking):
    for arm in (OURS[PUBLISHED], BLIND[0], RANDOM):
        of_all = next(ranking.kept(arm, (0.15,), every(ranking)))[0.15]
        assert torch.equal(next(ranking.kept(arm, (0.15,), range(3, 4)))[0.15][0], of_all[3])


def test_prompts_are_those_of_the_processor(explainer, ranking):
    found = ranking.found
    for case in found.cases:
        ids = explainer.ask(found.looks[case.scene], case.question.text).inputs["input_ids"][0]
        assert ids.tolist() == found.before.tolist() + list(case.tail)
        assert explainer.processor.tokenizer.decode(case.answer[:-1]).strip() == case.question.answer
        assert case.answer[-1] == explainer.processor.tokenizer.eos_token_id


def test_made_up_queries_are_what_their_names_say(explainer, asking, ranking):
    found, tokenizer = ranking.found, explainer.processor.tokenizer
    half = len(found.cases) // 2
    of = {name: asking.relevance(found, 0, name) for name in (*MADE_UP, PUBLISHED, TOWER)}
    assert torch.equal(of[FLIPPED], -of[PUBLISHED])
    assert len({tuple(one.flatten().tolist()) for one in of.values()}) == len(of)

    def tail(ids: list[int]) -> torch.Tensor:
        return prompt_tail(explainer.model.get_input_embeddings()(torch.tensor(ids))).vector

    # In the prompt a new line precedes the question, so its first word begins without a space.
    alone = tokenizer.encode("\n" + found.cases[0].question.text, add_special_tokens=False)[2:]
    assert torch.equal(asking.query(found, 0, QUESTION).vector, tail(alone))
    templates = {tuple(asking.query(found, i, TEMPLATE).vector.tolist()) for i in every(ranking)}
    assert len(templates) == 1  # it knows nothing of the question
    other = asking.query(found, half, PUBLISHED).vector
    assert torch.equal(asking.query(found, 0, OTHER_TAIL).vector, other)
    assert torch.equal(asking.query(found, 0, OTHER_TOWER).vector, asking.query(found, half, TOWER).vector)
    assert not torch.equal(asking.query(found, 0, ARBITRARY).vector, asking.query(found, 1, ARBITRARY).vector)
    with pytest.raises(ValueError, match="unknown"):
        asking.query(found, 0, "nobody's")


def test_behind_the_projector_both_parts_of_the_rule_are_measured_there(explainer, asking, ranking):
    found = ranking.found
    projected = ranking.projected[0]
    assert torch.equal(projected, explainer.projected(found.looks[0]))
    before, behind = (ranking.scores(PUBLISHED, range(1), where)[0] for where in (False, True))
    assert not torch.allclose(before, behind)
    unit = torch.nn.functional.normalize
    wanted = unit(projected, dim=-1) @ unit(asking.query(found, 0, PUBLISHED).vector, dim=-1)
    assert torch.allclose(behind, wanted, atol=1e-5)
    towers = (ranking.scores(TOWER, range(1), where)[0] for where in (False, True))
    assert torch.equal(*towers)  # its space is neither: only distances move
