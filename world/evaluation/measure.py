"""One part of the evaluation, stills or clips, on its way: what was found, and what is measured next."""

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
    """What is asked of stills, or of clips.

    Attributes:
        make: from a seed what is asked about.
        kinds: of questions.
        plan: who is asked how much, round by round.
        n_questions, n_subset, n_validation, n_recheck: how many questions for most arms, for those that are
            `subset_only`, for choosing the default query; how many answers are generated once more.
        pointing_queries: the queries that are compared by where they point.
        first_seed, validation_seed: from where questions are drawn, and those for choosing.
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


class EvalRun:
    """One part on its way: what it `found` so far, and what is still to be measured.

    Args:
        query_builder: makes the queries of the model.
        found: what an earlier run found of these weights.
        save: is handed everything found so far after every arm.
    """

    def __init__(
        self, query_builder: QueryBuilder, part: EvalSplit, found: dict, save: Callable[[dict], None]
    ) -> None:
        self.query_builder, self.split, self.save = query_builder, part, save
        self.eval_set = build_eval_set(query_builder.explainer, part.make, part.first_seed, part.n_questions)
        self.ranker = TokenRanker(query_builder, self.eval_set)
        self.found = _about(part, self.eval_set) | found

    def measure_accuracy(self, trials: Sequence[ArmAtRatios]) -> None:
        """Whether questions are answered right, arm by arm."""
        bar = tqdm(total=sum(map(self.estimate_cost, trials)), unit="token", unit_scale=True, mininterval=10)
        for trial in trials:
            bar.set_description(trial.arm.name)
            measured = self.found["hits"].setdefault(trial.arm.name, {})
            if missing := tuple(ratio for ratio in trial.ratios if str(ratio) not in measured):
                measured |= self._measure_arm(trial.arm, missing, self.questions_of(trial))
                self.save(self.found)
            bar.update(self.estimate_cost(trial))
        bar.close()

    def questions_of(self, trial: ArmAtRatios) -> range:
        """The questions of a trial."""
        return range(
            min(self.split.n_subset, self.split.n_questions) if trial.subset_only else self.split.n_questions
        )

    def estimate_cost(self, trial: ArmAtRatios) -> int:
        """About how many tokens the LLM reads for a trial."""
        n, asked, masks = len(self.questions_of(trial)), self.eval_set, trial.arm.n_masks
        prefixes = n if trial.arm.query else masks * (asked.questions[n - 1].scene + 1)
        before, text = (
            len(asked.prompt_head) - asked.n_visual,
            len(asked.questions[0].tail + asked.questions[0].answer),
        )
        return sum(round(prefixes * (r * asked.n_visual + before) + n * masks * text) for r in trial.ratios)

    def _measure_arm(self, arm: Arm, ratios: tuple[float, ...], which: range) -> dict[str, dict]:
        """By keep ratio: how many tokens were kept, of how many questions, and which were answered right."""
        explainer, in_place, rows = self.query_builder.explainer, arm.positions == "original", {}
        for kept in self.ranker.select_kept(arm, ratios, which):
            for ratio, mine in kept.items():
                row = rows.setdefault(str(ratio), {"k": len(mine[0]), "n": len(which), "hits": []})
                row["hits"].append(pack_bits(exact_match(explainer, self.eval_set, mine, in_place)))
        return rows

    def measure_pointing(self) -> None:
        """Where the queries point, on these questions and on those that the default is chosen by."""
        if "pointing" in self.found:
            return
        self.found["pointing"] = self._measure_pointing_of(self.ranker)
        if self.split.n_validation:
            other = build_eval_set(
                self.query_builder.explainer,
                self.split.make,
                self.split.validation_seed,
                self.split.n_validation,
            )
            chosen_by = self._measure_pointing_of(TokenRanker(self.query_builder, other))
            self.found["choosing"] = {"first_seed": self.split.validation_seed, **chosen_by}
        self.save(self.found)

    def _measure_pointing_of(self, ranker: TokenRanker) -> dict:
        every = range(len(ranker.found.questions))

        def kept(arm: Arm) -> list[Tensor]:
            return next(ranker.select_kept(arm, (HEADLINE_RATIO,), every))[HEADLINE_RATIO]

        return measure_pointing(
            ranker.found.questions,
            ranker.found.n_visual,
            {query: ranker.compute_relevance(query, every) for query in self.split.pointing_queries},
            {query: kept(REDIPRUNE[query]) for query in self.split.pointing_queries},
            kept(RANDOM),
        )

    def measure_overlap(self) -> None:
        """Which tokens arms have in common with the published one, and how far queries tell them apart."""
        if "overlap" in self.found:
            return
        some = range(min(self.split.n_subset, self.split.n_questions))
        scenes = [self.eval_set.questions[i].scene for i in some]
        queries = (PUBLISHED_QUERY, TOWER_QUERY, *ABLATION_QUERIES)
        arms = [*(Arm("rediprune", query) for query in queries), *QUERY_FREE, RANDOM]
        kept = {
            arm.name: next(self.ranker.select_kept(arm, (HEADLINE_RATIO,), some))[HEADLINE_RATIO]
            for arm in arms
        }
        self.found["overlap"] = {
            "n": len(some),
            "in_common": shared_tokens(kept, REDIPRUNE[PUBLISHED_QUERY].name, scenes),
            "spread": {
                query: relevance_spread(self.ranker.compute_relevance(query, some), scenes)
                for query in queries
            },
        }
        self.save(self.found)

    def recheck(self) -> None:
        """Random cells once more, as a user would: the picks of Explainer.select, an answer token by token.

        Finds how many `cells` were looked at, in how many of them both ways keep the `same_tokens`, and in
        how many they `agree` whether the answer is right.
        """
        if "rechecked" in self.found:
            return
        source, explainer = random.Random(0), self.query_builder.explainer
        trials = [trial for trials in self.split.plan for trial in trials if trial.arm.in_library]
        cells = source.choices(
            [(trial.arm, r) for trial in trials for r in trial.ratios], k=self.split.n_recheck
        )
        said = {"cells": len(cells), "same_tokens": 0, "agree": 0}
        for arm, ratio in tqdm(cells, desc="generating", mininterval=10):
            row = self.found["hits"][arm.name][str(ratio)]
            i = source.randrange(row["n"])
            case = self.eval_set.questions[i]
            look, seed = self.eval_set.looks[case.scene], self.eval_set.seeds[case.scene]
            config = PruneConfig(seed=random_mask_seed(seed, 0), **arm.config_fields)
            put = explainer.ask(look, case.question.text, config)
            kept = explainer.select(look, put, config).kept(ratio)
            mine = next(self.ranker.select_kept(arm, (ratio,), range(i, i + 1)))[ratio][0]
            answer = explainer.answer(
                look, put, kept, positions=config.positions, max_new_tokens=LONGEST_ANSWER
            )
            said["same_tokens"] += int(torch.equal(kept, mine))
            right = bool(unpack_bits(row["hits"][0], row["n"])[i])
            said["agree"] += int((answer.text == case.question.answer) == right)
        self.found["rechecked"] = said
        self.save(self.found)


def _about(part: EvalSplit, asked: EvalSet) -> dict:
    """What the hits are about: question by question its scene and its kind."""
    per_scene = np.bincount([case.scene for case in asked.questions])
    return {
        "first_seed": part.first_seed,
        "questions": len(asked.questions),
        "questions_of_some": min(part.n_subset, part.n_questions),
        "questions_per_scene": "".join(map(str, per_scene)),
        "kinds": list(part.kinds),
        "kind_of_question": "".join(str(part.kinds.index(case.question.kind)) for case in asked.questions),
        "frames": asked.n_frames,
        "visual_tokens": asked.n_visual,
        "hits": {},
    }
