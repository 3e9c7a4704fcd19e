"""Compute shares, differences and intervals from the hits of evaluation.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from rediprune.evaluation.bootstrap import cluster_bootstrap
from rediprune.files.strict_json import JsonError, read_object

from .arms import Arm
from .intervals import wilson_interval


def read_evaluation(path: Path) -> dict:
    """Read an evaluation.json and return its content.

    Raises:
        ValueError: there is no such file, or it is damaged; the message is one sentence.
    """
    try:
        return read_object(path)
    except (JsonError, OSError) as error:
        reason = str(error) if isinstance(error, JsonError) else error.strerror
        raise ValueError(f"{path} cannot be read ({reason}): remove it and measure again") from None


def pack_bits(values: np.ndarray) -> str:
    """Write bool [Q] as hexadecimal digits, two for every eight values."""
    return np.packbits(values).tobytes().hex()


def unpack_bits(digits: str, n: int) -> np.ndarray:
    """Read bool [n] from the hexadecimal digits of pack_bits.

    Raises:
        ValueError: the digits are of another number of questions.
    """
    if len(digits) != 2 * -(-n // 8):  # NumPy would fill what is missing with wrong answers
        raise ValueError(f"{len(digits)} digits were found for {n} questions: measure again")
    return np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8), count=n).astype(bool)


@dataclass(frozen=True)
class Accuracy:
    """Share of questions that an arm answers correctly.

    Attributes:
        n: questions.
        mean: the share, [0, 1].
        interval: 95%, Wilson's.
    """

    n: int
    mean: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """Mean of the paired differences of two arms on equal questions.

    Attributes:
        n: questions that both arms were asked.
        mean: first minus second, [-1, 1].
        interval: 95%, a bootstrap that resamples whole scenes.
    """

    n: int
    mean: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Results:
    """Results of one split.

    Attributes:
        record: the part of evaluation.json under "stills" or "clips".
    """

    record: dict = field(repr=False)

    @cached_property
    def scene_of_question(self) -> np.ndarray:
        """Return the index of each question's scene, int [Q]."""
        sizes = [int(digit) for digit in self.record["questions_per_scene"]]
        return np.repeat(np.arange(len(sizes)), sizes)

    @cached_property
    def kind_of_question(self) -> np.ndarray:
        """Return the kind of each question, str [Q]."""
        return np.array(self.record["kinds"])[[int(digit) for digit in self.record["kind_of_question"]]]

    @property
    def is_clips(self) -> bool:
        """Return whether the questions are about clips and not about stills."""
        return self.record["frames"] > 1

    @property
    def n_scenes(self) -> int:
        """Return the number of scenes or clips."""
        return len(self.record["questions_per_scene"])

    def is_measured(self, arm: Arm, ratio: float) -> bool:
        """Return whether the arm was measured at the keep ratio."""
        return str(ratio) in self.record["hits"].get(arm.name, {})

    def count_kept(self, arm: Arm, ratio: float) -> int:
        """Return how many tokens of all frames together the arm keeps."""
        return self._get_cell(arm, ratio)["k"]

    def count_questions(self, arm: Arm, ratio: float) -> int:
        """Return how many questions the arm was asked: the first ones."""
        return self._get_cell(arm, ratio)["n"]

    def get_correct(self, arm: Arm, ratio: float) -> np.ndarray:
        """Return for each question 1 if it was answered correctly and 0 if not, averaged over masks, [n]."""
        cell = self._get_cell(arm, ratio)
        return np.mean([unpack_bits(digits, cell["n"]) for digits in cell["hits"]], axis=0)

    def compute_accuracy(self, arm: Arm, ratio: float, kind: str | None = None) -> Accuracy:
        """Compute the accuracy of an arm over all questions, or over those of one kind."""
        correct = self.get_correct(arm, ratio)
        if kind is not None:
            correct = correct[self.kind_of_question[: len(correct)] == kind]
        interval = wilson_interval(float(correct.sum()), len(correct))
        return Accuracy(len(correct), float(correct.mean()), interval)

    def compute_difference(
        self, arm: Arm, ratio: float, other: Arm, other_ratio: float | None = None, kind: str | None = None
    ) -> Difference:
        """Compute the accuracy of an arm minus that of another on the questions that both were asked.

        Args:
            arm: the first arm.
            ratio: its keep ratio.
            other: the arm to subtract.
            other_ratio: its keep ratio; by default `ratio`.
            kind: only questions of this kind; by default all.
        """
        correct = self.get_correct(arm, ratio)
        other_correct = self.get_correct(other, ratio if other_ratio is None else other_ratio)
        n = min(len(correct), len(other_correct))
        difference = correct[:n] - other_correct[:n]
        scene = self.scene_of_question[:n]
        if kind is not None:
            has_kind = self.kind_of_question[:n] == kind
            difference = difference[has_kind]
            scene = scene[has_kind]
        estimate = cluster_bootstrap(difference, scene)
        return Difference(len(difference), estimate.mean, estimate.interval)

    def filter_measured(self, arms: Sequence[Arm], ratio: float) -> list[Arm]:
        """Return the arms that were measured at the keep ratio, in their order."""
        return [arm for arm in arms if self.is_measured(arm, ratio)]

    def _get_cell(self, arm: Arm, ratio: float) -> dict:
        try:
            return self.record["hits"][arm.name][str(ratio)]
        except KeyError:
            raise KeyError(f"{arm.name} was not measured at {ratio:.0%}") from None
