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
    return range(len(ranker.eval_set.questions))


def echo(explainer: Explainer, eval_set: EvalSet, kept: list[torch.Tensor], positions: str) -> EvalSet:
    """Replace every expected answer by what the explainer decodes token by token."""

    def decode(question: EvalQuestion, mine: torch.Tensor) -> EvalQuestion:
        look = eval_set.encodings[question.scene]
        asked = explainer.ask(look, question.question.text)
        answer = explainer.answer(look, asked, mine, max_new_tokens=5, positions=positions)
        return replace(question, answer_ids=answer.token_ids)

    return replace(eval_set, questions=tuple(map(decode, eval_set.questions, kept)))


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
    eval_set = echo(explainer, ranker.eval_set, kept, arm.positions)
    assert len({question.answer_ids for question in eval_set.questions}) > 3
    in_place = arm.positions == "original"
    assert exact_match(explainer, eval_set, kept, in_place).all()
    for at in (0, -1):
        wrong = []
        for question in eval_set.questions:
            answer = list(question.answer_ids)
            answer[at] = (answer[at] + 1) % 500
            wrong.append(replace(question, answer_ids=tuple(answer)))
        assert not exact_match(explainer, replace(eval_set, questions=tuple(wrong)), kept, in_place).any()
    monkeypatch.setattr(exact_match_module, "MAX_BATCH_TOKENS", 1)  # every prefix alone
    assert exact_match(explainer, eval_set, kept, in_place).all()


def test_different_numbers_of_tokens_are_refused(explainer, ranker):
    kept = [torch.arange(5), torch.arange(6)]
    with pytest.raises(ValueError, match="different numbers"):
        exact_match(explainer, ranker.eval_set, kept)


def test_every_arm_that_the_library_offers_keeps_what_it_keeps_there(explainer, ranker):
    eval_set = ranker.eval_set
    plan = STILLS_PLAN if eval_set.n_frames == 1 else CLIPS_PLAN
    arms = {test.arm for tests in plan for test in tests if test.arm.in_library}
    assert {arm.method for arm in arms} >= {"rediprune", "relevance", "cdpruner", "divprune", "random"}
    for arm in arms:
        made = list(ranker.select_kept(arm, RATIOS, every(ranker)))
        assert len(made) == arm.n_masks
        for i in (0, len(eval_set.questions) - 1):
            question = eval_set.questions[i]
            for mask, kept in enumerate(made):
                config = PruneConfig(
                    seed=random_mask_seed(eval_set.seeds[question.scene], mask), **arm.config_fields
                )
                look = eval_set.encodings[question.scene]
                chosen = explainer.select(look, explainer.ask(look, question.question.text, config), config)
                for ratio in RATIOS:
                    assert torch.equal(kept[ratio][i], chosen.kept(ratio)), (arm.name, ratio)


def test_a_question_alone_keeps_what_it_keeps_among_others(ranker):
    for arm in (REDIPRUNE[PUBLISHED_QUERY], QUERY_FREE[0], RANDOM):
        of_all = next(ranker.select_kept(arm, (0.15,), every(ranker)))[0.15]
        assert torch.equal(next(ranker.select_kept(arm, (0.15,), range(3, 4)))[0.15][0], of_all[3])


def test_prompts_are_those_of_the_processor(explainer, ranker):
    eval_set = ranker.eval_set
    for question in eval_set.questions:
        ids = explainer.ask(eval_set.encodings[question.scene], question.question.text).inputs["input_ids"][0]
        assert ids.tolist() == eval_set.prompt_head.tolist() + list(question.tail_ids)
        assert (
            explainer.processor.tokenizer.decode(question.answer_ids[:-1]).strip() == question.question.answer
        )
        assert question.answer_ids[-1] == explainer.processor.tokenizer.eos_token_id


def test_made_up_queries_are_what_their_names_say(explainer, query_builder, ranker):
    eval_set, tokenizer = ranker.eval_set, explainer.processor.tokenizer
    half = len(eval_set.questions) // 2
    of = {
        name: query_builder.compute_relevance(eval_set, 0, name)
        for name in (*ABLATION_QUERIES, PUBLISHED_QUERY, TOWER_QUERY)
    }
    assert torch.equal(of[FLIPPED_QUERY], -of[PUBLISHED_QUERY])
    assert len({tuple(one.flatten().tolist()) for one in of.values()}) == len(of)

    def tail(ids: list[int]) -> torch.Tensor:
        return prompt_tail(explainer.model.get_input_embeddings()(torch.tensor(ids))).vector

    # In the prompt a new line precedes the question, so its first word begins without a space.
    alone = tokenizer.encode("\n" + eval_set.questions[0].question.text, add_special_tokens=False)[2:]
    assert torch.equal(query_builder.build(eval_set, 0, QUESTION_ONLY_QUERY).vector, tail(alone))
    templates = {
        tuple(query_builder.build(eval_set, i, TEMPLATE_ONLY_QUERY).vector.tolist()) for i in every(ranker)
    }
    assert len(templates) == 1  # it knows nothing of the question
    other = query_builder.build(eval_set, half, PUBLISHED_QUERY).vector
    assert torch.equal(query_builder.build(eval_set, 0, OTHER_TAIL_QUERY).vector, other)
    assert torch.equal(
        query_builder.build(eval_set, 0, OTHER_TOWER_QUERY).vector,
        query_builder.build(eval_set, half, TOWER_QUERY).vector,
    )
    assert not torch.equal(
        query_builder.build(eval_set, 0, RANDOM_QUERY).vector,
        query_builder.build(eval_set, 1, RANDOM_QUERY).vector,
    )
    with pytest.raises(ValueError, match="unknown"):
        query_builder.build(eval_set, 0, "nobody's")


def test_behind_the_projector_both_parts_of_the_rule_are_measured_there(explainer, query_builder, ranker):
    eval_set = ranker.eval_set
    projected = ranker.projected_tokens[0]
    assert torch.equal(projected, explainer.projected(eval_set.encodings[0]))
    before, behind = (
        ranker.compute_relevance(PUBLISHED_QUERY, range(1), where)[0] for where in (False, True)
    )
    assert not torch.allclose(before, behind)
    unit = torch.nn.functional.normalize
    wanted = unit(projected, dim=-1) @ unit(query_builder.build(eval_set, 0, PUBLISHED_QUERY).vector, dim=-1)
    assert torch.allclose(behind, wanted, atol=1e-5)
    towers = (ranker.compute_relevance(TOWER_QUERY, range(1), where)[0] for where in (False, True))
    assert torch.equal(*towers)  # its space is neither: only distances move
