"""One forward tells what greedy decoding would say, and many questions at once keep what each keeps alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rediprune import Explainer, PruneConfig
from rediprune.query.prompt_tail import prompt_tail
from tests.support.measured_world import make_untrained_model
from world import make_clip, make_scene
from world.evaluation import exact_match as exact_match_module
from world.evaluation.arms import (
    ABLATION_QUERIES,
    CLIPS_PLAN,
    FLIPPED_QUERY,
    KEEP_RATIOS,
    OTHER_TAIL_QUERY,
    OTHER_TOWER_QUERY,
    PUBLISHED_QUERY,
    QUERY_FREE,
    QUESTION_ONLY_QUERY,
    RANDOM,
    RANDOM_QUERY,
    REDIPRUNE,
    STILLS_PLAN,
    TEMPLATE_ONLY_QUERY,
    TOWER_QUERY,
    UNPRUNED,
    Arm,
)
from world.evaluation.cases import EvalQuestion, EvalSet, build_eval_set
from world.evaluation.exact_match import exact_match
from world.evaluation.queries import QueryBuilder
from world.evaluation.ranking import TokenRanker, random_mask_seed

FIRST, N = 500_000, {"stills": 9, "clips": 8}
RATIOS = KEEP_RATIOS[2:]


@pytest.fixture(scope="module")
def explainer(tmp_path_factory) -> Explainer:
    return make_untrained_model(tmp_path_factory.mktemp("assets"))


@pytest.fixture(scope="module")
def query_builder(explainer) -> QueryBuilder:
    return QueryBuilder(explainer)


@pytest.fixture(scope="module", params=["stills", "clips"])
def ranker(explainer, query_builder, request) -> TokenRanker:
    made = make_scene if request.param == "stills" else make_clip
    return TokenRanker(query_builder, build_eval_set(explainer, made, FIRST, N[request.param]))


def every(ranker: TokenRanker) -> range:
    return range(len(ranker.found.questions))


def echo(explainer: Explainer, found: EvalSet, kept: list[torch.Tensor], positions: str) -> EvalSet:
    """The same questions; what the explainer decodes, token by token, is the expected answer."""

    def said(case: EvalQuestion, mine: torch.Tensor) -> EvalQuestion:
        look = found.looks[case.scene]
        asked = explainer.ask(look, case.question.text)
        answer = explainer.answer(look, asked, mine, max_new_tokens=5, positions=positions)
        return replace(case, answer=answer.token_ids)

    return replace(found, questions=tuple(map(said, found.questions, kept)))


@pytest.mark.parametrize(
    "arm",
    [
        UNPRUNED,
        RANDOM,
        REDIPRUNE[TOWER_QUERY],
        REDIPRUNE[TOWER_QUERY].with_shared_budget,
        Arm("rediprune", PUBLISHED_QUERY, positions="original"),
    ],
    ids=lambda arm: arm.name,
)
def test_one_forward_is_greedy_decoding(explainer, ranker, arm, monkeypatch):
    """Whatever is decoded counts as right, and nothing else does; neighbours and padding change nothing."""
    ratio = 1.0 if arm == UNPRUNED else 0.15
    kept = next(ranker.select_kept(arm, (ratio,), every(ranker)))[ratio]
    found = echo(explainer, ranker.found, kept, arm.positions)
    assert len({case.answer for case in found.questions}) > 3
    in_place = arm.positions == "original"
    assert exact_match(explainer, found, kept, in_place).all()
    for at in (0, -1):
        wrong = []
        for case in found.questions:
            answer = list(case.answer)
            answer[at] = (answer[at] + 1) % 500
            wrong.append(replace(case, answer=tuple(answer)))
        assert not exact_match(explainer, replace(found, questions=tuple(wrong)), kept, in_place).any()
    monkeypatch.setattr(exact_match_module, "MAX_BATCH_TOKENS", 1)  # every prefix alone
    assert exact_match(explainer, found, kept, in_place).all()


def test_different_numbers_of_tokens_are_refused(explainer, ranker):
    kept = [torch.arange(5), torch.arange(6)]
    with pytest.raises(ValueError, match="different numbers"):
        exact_match(explainer, ranker.found, kept)


def test_every_arm_that_the_library_offers_keeps_what_it_keeps_there(explainer, ranker):
    found = ranker.found
    plan = STILLS_PLAN if found.n_frames == 1 else CLIPS_PLAN
    arms = {test.arm for tests in plan for test in tests if test.arm.in_library}
    assert {arm.method for arm in arms} >= {"rediprune", "relevance", "cdpruner", "divprune", "random"}
    for arm in arms:
        made = list(ranker.select_kept(arm, RATIOS, every(ranker)))
        assert len(made) == arm.n_masks
        for i in (0, len(found.questions) - 1):
            case = found.questions[i]
            for mask, kept in enumerate(made):
                config = PruneConfig(
                    seed=random_mask_seed(found.seeds[case.scene], mask), **arm.config_fields
                )
                look = found.looks[case.scene]
                chosen = explainer.select(look, explainer.ask(look, case.question.text, config), config)
                for ratio in RATIOS:
                    assert torch.equal(kept[ratio][i], chosen.kept(ratio)), (arm.name, ratio)


def test_a_question_alone_keeps_what_it_keeps_among_others(ranker):
    for arm in (REDIPRUNE[PUBLISHED_QUERY], QUERY_FREE[0], RANDOM):
        of_all = next(ranker.select_kept(arm, (0.15,), every(ranker)))[0.15]
        assert torch.equal(next(ranker.select_kept(arm, (0.15,), range(3, 4)))[0.15][0], of_all[3])


def test_prompts_are_those_of_the_processor(explainer, ranker):
    found = ranker.found
    for case in found.questions:
        ids = explainer.ask(found.looks[case.scene], case.question.text).inputs["input_ids"][0]
        assert ids.tolist() == found.prompt_head.tolist() + list(case.tail)
        assert explainer.processor.tokenizer.decode(case.answer[:-1]).strip() == case.question.answer
        assert case.answer[-1] == explainer.processor.tokenizer.eos_token_id


def test_made_up_queries_are_what_their_names_say(explainer, query_builder, ranker):
    found, tokenizer = ranker.found, explainer.processor.tokenizer
    half = len(found.questions) // 2
    of = {
        name: query_builder.compute_relevance(found, 0, name)
        for name in (*ABLATION_QUERIES, PUBLISHED_QUERY, TOWER_QUERY)
    }
    assert torch.equal(of[FLIPPED_QUERY], -of[PUBLISHED_QUERY])
    assert len({tuple(one.flatten().tolist()) for one in of.values()}) == len(of)

    def tail(ids: list[int]) -> torch.Tensor:
        return prompt_tail(explainer.model.get_input_embeddings()(torch.tensor(ids))).vector

    # In the prompt a new line precedes the question, so its first word begins without a space.
    alone = tokenizer.encode("\n" + found.questions[0].question.text, add_special_tokens=False)[2:]
    assert torch.equal(query_builder.build(found, 0, QUESTION_ONLY_QUERY).vector, tail(alone))
    templates = {
        tuple(query_builder.build(found, i, TEMPLATE_ONLY_QUERY).vector.tolist()) for i in every(ranker)
    }
    assert len(templates) == 1  # it knows nothing of the question
    other = query_builder.build(found, half, PUBLISHED_QUERY).vector
    assert torch.equal(query_builder.build(found, 0, OTHER_TAIL_QUERY).vector, other)
    assert torch.equal(
        query_builder.build(found, 0, OTHER_TOWER_QUERY).vector,
        query_builder.build(found, half, TOWER_QUERY).vector,
    )
    assert not torch.equal(
        query_builder.build(found, 0, RANDOM_QUERY).vector, query_builder.build(found, 1, RANDOM_QUERY).vector
    )
    with pytest.raises(ValueError, match="unknown"):
        query_builder.build(found, 0, "nobody's")


def test_behind_the_projector_both_parts_of_the_rule_are_measured_there(explainer, query_builder, ranker):
    found = ranker.found
    projected = ranker.projected_tokens[0]
    assert torch.equal(projected, explainer.projected(found.looks[0]))
    before, behind = (
        ranker.compute_relevance(PUBLISHED_QUERY, range(1), where)[0] for where in (False, True)
    )
    assert not torch.allclose(before, behind)
    unit = torch.nn.functional.normalize
    wanted = unit(projected, dim=-1) @ unit(query_builder.build(found, 0, PUBLISHED_QUERY).vector, dim=-1)
    assert torch.allclose(behind, wanted, atol=1e-5)
    towers = (ranker.compute_relevance(TOWER_QUERY, range(1), where)[0] for where in (False, True))
    assert torch.equal(*towers)  # its space is neither: only distances move
