"""Write the soak's figures into docs/reliability.md between two marks; the rest is written by hand."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rediprune.evaluation.marked_tables import write_marked_tables

from .watch import Held

NAME = "soak-table"  # of the marks


@dataclass
class Figures:
    """Hold what a soak measured.

    Attributes:
        about: what was run and on which machine, as rows of name and value.
        seconds: by kind of request, those of every one that was answered.
        wrong: answers that belonged to another visitor, as sentences.
        refusals: how many, by their words.
        bare: replies that were no sentence.
        held: (seconds since the start, what the server held) at each look.
        crowd: seconds of each visitor of the crowd that asked at one moment.
        crowd_refused: visitors of the crowd who were refused.
        restarts: signals sent, and the exit status that followed each.
        tracebacks: tracebacks in the server's log.
    """

    about: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    bare: list[str] = field(default_factory=list)
    held: list[tuple[float, Held]] = field(default_factory=list)
    crowd: list[float] = field(default_factory=list)
    crowd_refused: int = 0
    restarts: list[tuple[str, int]] = field(default_factory=list)
    tracebacks: int = 0

    def add(self, kind: str, seconds: float) -> None:
        """Note an answered request."""
        self.seconds.setdefault(kind, []).append(seconds)

    @property
    def passed(self) -> bool:
        """Return whether nothing forbidden was seen: wrong answers, bare replies, tracebacks."""
        return not (self.wrong or self.bare or self.tracebacks)


def table(figures: Figures) -> str:
    """Return the figures as Markdown."""
    lines = [
        "| run | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in figures.about.items()),
        "",
    ]
    lines += ["| request | answered | median | 95% | longest |", "|---|---|---|---|---|"]
    for kind, seconds in sorted(figures.seconds.items()):
        lines.append(f"| {kind} | {len(seconds)} | {_spread(seconds)} |")
    if figures.crowd:
        count = len(figures.crowd)
        lines.append(
            f"| crowd at one moment, {figures.crowd_refused} refused | {count} | {_spread(figures.crowd)} |"
        )
    total = sum(len(seconds) for kind, seconds in figures.seconds.items() if not kind.startswith("hostile"))
    lines += [
        "",
        f"Answers that were another visitor's: {len(figures.wrong)} of {total}. "
        f"Replies that were no sentence: {len(figures.bare)}. Tracebacks in the log: {figures.tracebacks}.",
        "",
    ]
    if figures.held:
        lines += [
            "| second | memory (MB) | descriptors | threads | files | MB of files |",
            "|---|---|---|---|---|---|",
        ]
        every = max(1, len(figures.held) // 12)
        for second, held in [*figures.held[::every], figures.held[-1]]:
            lines.append(
                f"| {second:.0f} | {held.memory_mb:.0f} | {held.descriptors} | {held.threads} "
                f"| {held.files} | {held.files_mb} |"
            )
        lines.append("")
    if figures.refusals:
        lines += ["| refusal | times |", "|---|---|"]
        lines += [f"| {words} | {count} |" for words, count in figures.refusals.most_common(15)]
        lines.append("")
    if figures.restarts:
        said = "; ".join(f"{name}: exit {status}" for name, status in figures.restarts)
        lines += [f"Ends and restarts: {said}.", ""]
    return "\n".join(lines)


def write(figures: Figures, file: Path) -> None:
    """Write the figures between the marks of `file`.

    Raises:
        ValueError: the file has no marks.
    """
    page = write_marked_tables(file.read_text(encoding="utf-8"), {NAME: table(figures).rstrip("\n")})
    file.write_text(page, encoding="utf-8")


def _spread(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    late = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"{statistics.median(ordered):.2f} s | {late:.2f} s | {ordered[-1]:.2f} s"
