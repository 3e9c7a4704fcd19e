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

from .. import AskedClip, AskedScene
from .arms import BLIND, HEADLINE, MADE_UP, OURS, PUBLISHED, RANDOM, TOWER, Arm, Trial
from .cases import Cases, cases
from .exact_match import hits
from .overlap import in_common, spread
from .pointing import pointing
from .queries import Asking
from .ranking import Ranking, mask_seed
from .results import packed, unpacked

LONGEST_ANSWER = 6  # tokens, the end token included


@dataclass(frozen=True)
class Part:
    """What is asked of stills, or of clips.

    Attributes:
        made: from a seed what is asked about.
        kinds: of questions.
        plan: who is asked how much, round by round.
        questions, of_some, choosing, recheck: how many questions for most trials, for those that are
            `of_some`, for choosing the default query; how many answers are generated once more.
        pointing: the queries that are compared by where they point.
        first_seed, choosing_seed: from where questions are drawn, and those for choosing.
    """

    made: Callable[[int], AskedScene | AskedClip]
    kinds: tuple[str, ...]
    plan: tuple[tuple[Trial, ...], ...]
    questions: int
    of_some: int
    choosing: int
    recheck: int
    pointing: tuple[str, ...]
    first_seed: int
    choosing_seed: int


class Measuring:
    """One part on its way: what it `found` so far, and what is still to be measured.

    Args:
        asking: makes the queries of the model.
        found: what an earlier run found of these weights.
        save: is handed everything found so far after every arm.
    """

    def __init__(self, asking: Asking, part: Part, found: dict, save: Callable[[dict], None]) -> None:
        self.asking, self.part, self.save = asking, part, save
        self.asked = cases(asking.explainer, part.made, part.first_seed, part.questions)
        self.ranking = Ranking(asking, self.asked)
        self.found = _about(part, self.asked) | found

    def accuracy(self, trials: Sequence[Trial]) -> None:
        """Whether questions are answered right, arm by arm."""
        bar = tqdm(total=sum(map(self.cost, trials)), unit="token", unit_scale=True, mininterval=10)
        for trial in trials:
            bar.set_description(trial.arm.name)
            measured = self.found["hits"].setdefault(trial.arm.name, {})
            if missing := tuple(ratio for ratio in trial.ratios if str(ratio) not in measured):
                measured |= self._measured(trial.arm, missing, self.questions(trial))
                self.save(self.found)
            bar.update(self.cost(trial))
        bar.close()

    def questions(self, trial: Trial) -> range:
        """The questions of a trial."""
        return range(min(self.part.of_some, self.part.questions) if trial.of_some else self.part.questions)

    def cost(self, trial: Trial) -> int:
        """About how many tokens the LLM reads for a trial."""
        n, asked, masks = len(self.questions(trial)), self.asked, trial.arm.masks
        prefixes = n if trial.arm.query else masks * (asked.cases[n - 1].scene + 1)
        before, text = len(asked.before) - asked.n_visual, len(asked.cases[0].tail + asked.cases[0].answer)
        return sum(round(prefixes * (r * asked.n_visual + before) + n * masks * text) for r in trial.ratios)

    def _measured(self, arm: Arm, ratios: tuple[float, ...], which: range) -> dict[str, dict]:
        """By keep ratio: how many tokens were kept, of how many questions, and which were answered right."""
        explainer, in_place, rows = self.asking.explainer, arm.positions == "original", {}
        for kept in self.ranking.kept(arm, ratios, which):
            for ratio, mine in kept.items():
                row = rows.setdefault(str(ratio), {"k": len(mine[0]), "n": len(which), "hits": []})
                row["hits"].append(packed(hits(explainer, self.asked, mine, in_place)))
        return rows

    def pointing(self) -> None:
        """Where the queries point, on these questions and on those that the default is chosen by."""
        if "pointing" in self.found:
            return
        self.found["pointing"] = self._pointing(self.ranking)
        if self.part.choosing:
            other = cases(self.asking.explainer, self.part.made, self.part.choosing_seed, self.part.choosing)
            chosen_by = self._pointing(Ranking(self.asking, other))
            self.found["choosing"] = {"first_seed": self.part.choosing_seed, **chosen_by}
        self.save(self.found)

    def _pointing(self, ranking: Ranking) -> dict:
        every = range(len(ranking.found.cases))

        def kept(arm: Arm) -> list[Tensor]:
            return next(ranking.kept(arm, (HEADLINE,), every))[HEADLINE]

        return pointing(
            ranking.found.cases,
            ranking.found.n_visual,
            {query: ranking.scores(query, every) for query in self.part.pointing},
            {query: kept(OURS[query]) for query in self.part.pointing},
            kept(RANDOM),
        )

    def overlap(self) -> None:
        """Which tokens arms have in common with the published one, and how far queries tell them apart."""
        if "overlap" in self.found:
            return
        some = range(min(self.part.of_some, self.part.questions))
        scenes = [self.asked.cases[i].scene for i in some]
        asking = (PUBLISHED, TOWER, *MADE_UP)
        arms = [*(Arm("rediprune", query) for query in asking), *BLIND, RANDOM]
        kept = {arm.name: next(self.ranking.kept(arm, (HEADLINE,), some))[HEADLINE] for arm in arms}
        self.found["overlap"] = {
            "n": len(some),
            "in_common": in_common(kept, OURS[PUBLISHED].name, scenes),
            "spread": {query: spread(self.ranking.scores(query, some), scenes) for query in asking},
        }
        self.save(self.found)

    def recheck(self) -> None:
        """Random cells once more, as a user would: the picks of Explainer.select, an answer token by token.

        Finds how many `cells` were looked at, in how many of them both ways keep the `same_tokens`, and in
        how many they `agree` whether the answer is right.
        """
        if "rechecked" in self.found:
            return
        source, explainer = random.Random(0), self.asking.explainer
        trials = [trial for trials in self.part.plan for trial in trials if trial.arm.offered]
        cells = source.choices(
            [(trial.arm, r) for trial in trials for r in trial.ratios], k=self.part.recheck
        )
        said = {"cells": len(cells), "same_tokens": 0, "agree": 0}
        for arm, ratio in tqdm(cells, desc="generating", mininterval=10):
            row = self.found["hits"][arm.name][str(ratio)]
            i = source.randrange(row["n"])
            case = self.asked.cases[i]
            look, seed = self.asked.looks[case.scene], self.asked.seeds[case.scene]
            config = PruneConfig(seed=mask_seed(seed, 0), **arm.settings)
            put = explainer.ask(look, case.question.text, config)
            kept = explainer.select(look, put, config).kept(ratio)
            mine = next(self.ranking.kept(arm, (ratio,), range(i, i + 1)))[ratio][0]
            answer = explainer.answer(
                look, put, kept, positions=config.positions, max_new_tokens=LONGEST_ANSWER
            )
            said["same_tokens"] += int(torch.equal(kept, mine))
            right = bool(unpacked(row["hits"][0], row["n"])[i])
            said["agree"] += int((answer.text == case.question.answer) == right)
        self.found["rechecked"] = said
        self.save(self.found)


def _about(part: Part, asked: Cases) -> dict:
    """What the hits are about: question by question its scene and its kind."""
    per_scene = np.bincount([case.scene for case in asked.cases])
    return {
        "first_seed": part.first_seed,
        "questions": len(asked.cases),
        "questions_of_some": min(part.of_some, part.questions),
        "questions_per_scene": "".join(map(str, per_scene)),
        "kinds": list(part.kinds),
        "kind_of_question": "".join(str(part.kinds.index(case.question.kind)) for case in asked.cases),
        "frames": asked.frames,
        "visual_tokens": asked.n_visual,
        "hits": {},
    }
