"""From which questions were answered right to shares, differences and intervals: all are made here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from rediprune.files.strict_json import JsonError, read_object

from .arms import Arm
from .intervals import by_scene, wilson


def read_evaluation(path: Path) -> dict:
    """Return what an evaluation.json holds.

    Raises:
        ValueError: there is no such file, or it is damaged; one sentence.
    """
    try:
        return read_object(path)
    except (JsonError, OSError) as error:
        reason = str(error) if isinstance(error, JsonError) else error.strerror
        raise ValueError(f"{path} cannot be read ({reason}): remove it and measure again") from None


def packed(right: np.ndarray) -> str:
    """[Q] bool as hexadecimal digits, eight questions to two of them."""
    return np.packbits(right).tobytes().hex()


def unpacked(digits: str, n: int) -> np.ndarray:
    """The way back: [n] bool.

    Raises:
        ValueError: digits for another number of questions.
    """
    if len(digits) != 2 * -(-n // 8):  # NumPy would fill what is missing with wrong answers
        raise ValueError(f"{len(digits)} digits were found for {n} questions: measure again")
    return np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8), count=n).astype(bool)


@dataclass(frozen=True)
class Share:
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

    said: dict = field(repr=False)

    @cached_property
    def scene(self) -> np.ndarray:
        """[Q], the scene of each question."""
        sizes = [int(digit) for digit in self.said["questions_per_scene"]]
        return np.repeat(np.arange(len(sizes)), sizes)

    @cached_property
    def kind(self) -> np.ndarray:
        """[Q], the kind of each question."""
        return np.array(self.said["kinds"])[[int(digit) for digit in self.said["kind_of_question"]]]

    @property
    def clips(self) -> bool:
        return self.said["frames"] > 1

    @property
    def scenes(self) -> int:
        return len(self.said["questions_per_scene"])

    def has(self, arm: Arm, ratio: float) -> bool:
        return str(ratio) in self.said["hits"].get(arm.name, {})

    def k(self, arm: Arm, ratio: float) -> int:
        """How many tokens were kept of all frames together."""
        return self._row(arm, ratio)["k"]

    def n(self, arm: Arm, ratio: float) -> int:
        """How many questions, the first ones."""
        return self._row(arm, ratio)["n"]

    def right(self, arm: Arm, ratio: float) -> np.ndarray:
        """[n], 1 where a question was answered right; of several masks the share that was."""
        row = self._row(arm, ratio)
        return np.mean([unpacked(digits, row["n"]) for digits in row["hits"]], axis=0)

    def share(self, arm: Arm, ratio: float, kind: str | None = None) -> Share:
        """Accuracy of an arm, over all kinds or over one; Wilson's interval."""
        mine = self.right(arm, ratio)
        mine = mine if kind is None else mine[self.kind[: len(mine)] == kind]
        return Share(len(mine), float(mine.mean()), wilson(float(mine.sum()), len(mine)))

    def minus(
        self, arm: Arm, ratio: float, other: Arm, other_ratio: float | None = None, kind: str | None = None
    ) -> Difference:
        """An arm's accuracy minus another's, on the questions that both were asked."""
        mine, its = self.right(arm, ratio), self.right(other, ratio if other_ratio is None else other_ratio)
        n = min(len(mine), len(its))
        difference, scene = mine[:n] - its[:n], self.scene[:n]
        if kind is not None:
            of_kind = self.kind[:n] == kind
            difference, scene = difference[of_kind], scene[of_kind]
        made = by_scene(difference, scene)
        return Difference(len(difference), made["mean"], made["interval"])

    def measured(self, arms: Sequence[Arm], ratio: float) -> list[Arm]:
        """Of these arms, those measured at that ratio."""
        return [arm for arm in arms if self.has(arm, ratio)]

    def _row(self, arm: Arm, ratio: float) -> dict:
        try:
            return self.said["hits"][arm.name][str(ratio)]
        except KeyError:
            raise KeyError(f"{arm.name} was not measured at {ratio:.0%}") from None
