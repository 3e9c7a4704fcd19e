"""Measure one split of the evaluation, stills or clips, and resume where an earlier run stopped."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from rediprune import PruneConfig

from .. import ClipWithQuestions, SceneWithQuestions
from .arms import (
    ABLATION_QUERIES,
    HEADLINE_RATIO,
    PUBLISHED_QUERY,
    QUERY_FREE,
    RANDOM,
    REDIPRUNE,
    TOWER_QUERY,
    Arm,
    ArmAtRatios,
)
from .cases import EvalSet, build_eval_set
from .exact_match import exact_match
from .overlap import relevance_spread, shared_tokens
from .pointing import measure_pointing
from .queries import QueryBuilder
from .ranking import TokenRanker, random_mask_seed
from .results import pack_bits, unpack_bits

LONGEST_ANSWER = 6  # tokens, the end token included


@dataclass(frozen=True)
class EvalSplit:
    """What is measured on stills, or on clips.

    Attributes:
        make: make_scene or make_clip of the package world: seed -> scene or clip with its questions.
        kinds: the kinds of questions.
        plan: rounds of arms with their keep ratios, in the order of measuring.
        n_questions: how many questions most arms are asked.
        n_subset: how many questions arms with `subset_only` are asked, the first ones.
        n_validation: how many questions choose the default query; 0 for none.
        n_recheck: how many random cells are measured once more by generating the answer.
        pointing_queries: the queries that are compared by where they point.
        first_seed: the first seed of the questions.
        validation_seed: the first seed of the questions that choose the default query.
    """

    make: Callable[[int], SceneWithQuestions | ClipWithQuestions]
    kinds: tuple[str, ...]
    plan: tuple[tuple[ArmAtRatios, ...], ...]
    n_questions: int
    n_subset: int
    n_validation: int
    n_recheck: int
    pointing_queries: tuple[str, ...]
    first_seed: int
    validation_seed: int

    @property
    def subset(self) -> range:
        """Return the indices of the questions that arms with `subset_only` are asked."""
        return range(min(self.n_subset, self.n_questions))


class EvalRun:
    """Measure one split and keep its record, which becomes a part of evaluation.json.

    Args:
        query_builder: builds the queries of the model.
        split: what to measure.
        record: what an earlier run measured with the present weights; {} for none.
        save: called with the whole record after every arm.
    """

    def __init__(
        self, query_builder: QueryBuilder, split: EvalSplit, record: dict, save: Callable[[dict], None]
    ) -> None:
        self.query_builder = query_builder
        self.split = split
        self.save = save
        self.eval_set = build_eval_set(
            query_builder.explainer, split.make, split.first_seed, split.n_questions
        )
        self.ranker = TokenRanker(query_builder, self.eval_set)
        self.record = _describe_questions(split, self.eval_set) | record

    def measure_accuracy(self, planned_round: Sequence[ArmAtRatios]) -> None:
        """Measure which questions each arm answers correctly; cells of the record are not measured again."""
        total = sum(map(self.estimate_cost, planned_round))
        bar = tqdm(total=total, unit="token", unit_scale=True, mininterval=10)
        for planned in planned_round:
            bar.set_description(planned.arm.name)
            cells = self.record["hits"].setdefault(planned.arm.name, {})
            missing = tuple(ratio for ratio in planned.ratios if str(ratio) not in cells)
            if missing:
                cells |= self._measure_arm(planned.arm, missing, self.question_range(planned))
                self.save(self.record)
            bar.update(self.estimate_cost(planned))
        bar.close()

    def question_range(self, planned: ArmAtRatios) -> range:
        """Return the indices of the questions that an arm is asked."""
        return self.split.subset if planned.subset_only else range(self.split.n_questions)

    def estimate_cost(self, planned: ArmAtRatios) -> int:
        """Estimate how many tokens the LLM reads for an arm at all of its ratios."""
        eval_set = self.eval_set
        n_questions = len(self.question_range(planned))
        n_masks = planned.arm.n_masks
        if planned.arm.query:
            n_prefixes = n_questions
        else:
            n_prefixes = n_masks * (eval_set.questions[n_questions - 1].scene + 1)
        head_tokens = len(eval_set.prompt_head) - eval_set.n_visual
        first = eval_set.questions[0]
        text_tokens = len(first.tail_ids + first.answer_ids)
        return sum(
            round(
                n_prefixes * (ratio * eval_set.n_visual + head_tokens) + n_questions * n_masks * text_tokens
            )
            for ratio in planned.ratios
        )

    def _measure_arm(self, arm: Arm, ratios: tuple[float, ...], questions: range) -> dict[str, dict]:
        """Return for each keep ratio the kept tokens "k", the questions "n", and the hits of every mask."""
        original_positions = arm.positions == "original"
        cells: dict[str, dict] = {}
        for kept_by_ratio in self.ranker.select_kept(arm, ratios, questions):
            for ratio, kept in kept_by_ratio.items():
                cell = cells.setdefault(str(ratio), {"k": len(kept[0]), "n": len(questions), "hits": []})
                is_correct = exact_match(
                    self.query_builder.explainer, self.eval_set, kept, original_positions
                )
                cell["hits"].append(pack_bits(is_correct))
        return cells

    def measure_pointing(self) -> None:
        """Measure where the queries point, on the questions and on those that choose the default query."""
        if "pointing" in self.record:
            return
        self.record["pointing"] = self._measure_pointing_of(self.ranker)
        if self.split.n_validation:
            validation_set = build_eval_set(
                self.query_builder.explainer,
                self.split.make,
                self.split.validation_seed,
                self.split.n_validation,
            )
            found = self._measure_pointing_of(TokenRanker(self.query_builder, validation_set))
            self.record["choosing"] = {"first_seed": self.split.validation_seed, **found}
        self.save(self.record)

    def _measure_pointing_of(self, ranker: TokenRanker) -> dict:
        questions = range(len(ranker.eval_set.questions))

        def select(arm: Arm) -> list[Tensor]:
            return next(ranker.select_kept(arm, (HEADLINE_RATIO,), questions))[HEADLINE_RATIO]

        return measure_pointing(
            ranker.eval_set.questions,
            ranker.eval_set.n_visual,
            {query: ranker.compute_relevance(query, questions) for query in self.split.pointing_queries},
            {query: select(REDIPRUNE[query]) for query in self.split.pointing_queries},
            select(RANDOM),
        )

    def measure_overlap(self) -> None:
        """Measure which tokens the arms share with the published one, and the spread of each relevance."""
        if "overlap" in self.record:
            return
        subset = self.split.subset
        scenes = [self.eval_set.questions[i].scene for i in subset]
        queries = (PUBLISHED_QUERY, TOWER_QUERY, *ABLATION_QUERIES)
        arms = [*(Arm("rediprune", query) for query in queries), *QUERY_FREE, RANDOM]
        kept = {
            arm.name: next(self.ranker.select_kept(arm, (HEADLINE_RATIO,), subset))[HEADLINE_RATIO]
            for arm in arms
        }
        self.record["overlap"] = {
            "n": len(subset),
            "in_common": shared_tokens(kept, REDIPRUNE[PUBLISHED_QUERY].name, scenes),
            "spread": {
                query: relevance_spread(self.ranker.compute_relevance(query, subset), scenes)
                for query in queries
            },
        }
        self.save(self.record)

    def recheck(self) -> None:
        """Measure random cells once more as a user would: Explainer.select, then generation token by token.

        Records the number of "cells", how many of them keep the "same_tokens" both ways, and how many "agree"
        whether the answer is correct.
        """
        if "rechecked" in self.record:
            return
        source = random.Random(0)
        explainer = self.query_builder.explainer
        candidates = [
            (planned.arm, ratio)
            for planned_round in self.split.plan
            for planned in planned_round
            if planned.arm.in_library
            for ratio in planned.ratios
        ]
        cells = source.choices(candidates, k=self.split.n_recheck)
        counts = {"cells": len(cells), "same_tokens": 0, "agree": 0}
        for arm, ratio in tqdm(cells, desc="generating", mininterval=10):
            cell = self.record["hits"][arm.name][str(ratio)]
            i = source.randrange(cell["n"])
            question = self.eval_set.questions[i]
            encoding = self.eval_set.encodings[question.scene]
            seed = random_mask_seed(self.eval_set.seeds[question.scene], 0)
            config = PruneConfig(seed=seed, **arm.config_fields)
            prepared = explainer.ask(encoding, question.question.text, config)
            kept = explainer.select(encoding, prepared, config).kept(ratio)
            kept_here = next(self.ranker.select_kept(arm, (ratio,), range(i, i + 1)))[ratio][0]
            answer = explainer.answer(
                encoding, prepared, kept, positions=config.positions, max_new_tokens=LONGEST_ANSWER
            )
            is_correct = answer.text == question.question.answer
            was_correct = bool(unpack_bits(cell["hits"][0], cell["n"])[i])
            counts["same_tokens"] += int(torch.equal(kept, kept_here))
            counts["agree"] += int(is_correct == was_correct)
        self.record["rechecked"] = counts
        self.save(self.record)


def _describe_questions(split: EvalSplit, eval_set: EvalSet) -> dict:
    """Return a record without results: the scene and the kind of every question, one digit each."""
    per_scene = np.bincount([question.scene for question in eval_set.questions])
    kinds = [split.kinds.index(question.question.kind) for question in eval_set.questions]
    return {
        "first_seed": split.first_seed,
        "questions": len(eval_set.questions),
        "questions_of_some": len(split.subset),
        "questions_per_scene": "".join(map(str, per_scene)),
        "kinds": list(split.kinds),
        "kind_of_question": "".join(map(str, kinds)),
        "frames": eval_set.n_frames,
        "visual_tokens": eval_set.n_visual,
        "hits": {},
    }
