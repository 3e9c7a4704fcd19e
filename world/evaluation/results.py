"""From which questions were answered right to shares, differences and intervals: all are made here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from rediprune.evaluation.bootstrap import cluster_bootstrap

from .arms import Arm
from .intervals import wilson_interval


def pack_bits(right: np.ndarray) -> str:
    """[Q] bool as hexadecimal digits, eight questions to two of them."""
    return np.packbits(right).tobytes().hex()


def unpack_bits(digits: str, n: int) -> np.ndarray:
    """The way back: [n] bool."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8), count=n).astype(bool)


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of one cell, 0..1, with its 95% interval and the number of questions."""

    n: int
    mean: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences, -1..1, with its 95% interval by redrawing scenes."""

    n: int
    mean: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Results:
    """One part of evaluation.json: `said` as it stands there."""

    record: dict = field(repr=False)

    @cached_property
    def scene_of_question(self) -> np.ndarray:
        """[Q], the scene of each question."""
        sizes = [int(digit) for digit in self.record["questions_per_scene"]]
        return np.repeat(np.arange(len(sizes)), sizes)

    @cached_property
    def kind_of_question(self) -> np.ndarray:
        """[Q], the kind of each question."""
        return np.array(self.record["kinds"])[[int(digit) for digit in self.record["kind_of_question"]]]

    @property
    def is_clips(self) -> bool:
        return self.record["frames"] > 1

    @property
    def n_scenes(self) -> int:
        return len(self.record["questions_per_scene"])

    def is_measured(self, arm: Arm, ratio: float) -> bool:
        return str(ratio) in self.record["hits"].get(arm.name, {})

    def count_kept(self, arm: Arm, ratio: float) -> int:
        """How many tokens were kept of all frames together."""
        return self._row(arm, ratio)["k"]

    def count_questions(self, arm: Arm, ratio: float) -> int:
        """How many questions, the first ones."""
        return self._row(arm, ratio)["n"]

    def get_correct(self, arm: Arm, ratio: float) -> np.ndarray:
        """[n], 1 where a question was answered right; of several masks the share that was."""
        row = self._row(arm, ratio)
        return np.mean([unpack_bits(digits, row["n"]) for digits in row["hits"]], axis=0)

    def compute_accuracy(self, arm: Arm, ratio: float, kind: str | None = None) -> Accuracy:
        """Accuracy of an arm, over all kinds or over one; Wilson's interval."""
        mine = self.get_correct(arm, ratio)
        mine = mine if kind is None else mine[self.kind_of_question[: len(mine)] == kind]
        return Accuracy(len(mine), float(mine.mean()), wilson_interval(float(mine.sum()), len(mine)))

    def compute_difference(
        self, arm: Arm, ratio: float, other: Arm, other_ratio: float | None = None, kind: str | None = None
    ) -> Difference:
        """An arm's accuracy minus another's, on the questions that both were asked."""
        mine, its = (
            self.get_correct(arm, ratio),
            self.get_correct(other, ratio if other_ratio is None else other_ratio),
        )
        n = min(len(mine), len(its))
        difference, scene = mine[:n] - its[:n], self.scene_of_question[:n]
        if kind is not None:
            of_kind = self.kind_of_question[:n] == kind
            difference, scene = difference[of_kind], scene[of_kind]
        made = cluster_bootstrap(difference, scene)
        return Difference(len(difference), made.mean, made.interval)

    def filter_measured(self, arms: Sequence[Arm], ratio: float) -> list[Arm]:
        """Of these arms, those measured at that ratio."""
        return [arm for arm in arms if self.is_measured(arm, ratio)]

    def _row(self, arm: Arm, ratio: float) -> dict:
        try:
            return self.record["hits"][arm.name][str(ratio)]
        except KeyError:
            raise KeyError(f"{arm.name} was not measured at {ratio:.0%}") from None
