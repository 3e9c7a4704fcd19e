"""Figures of the measured shares, in assets/figures: accuracy by keep ratio, by alpha, and the ablations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("agg")  # files alone, no window

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rediprune.draw import palette
from rediprune.files.atomic_write import replace_file

from ..arms import (
    HARD,
    HEADLINE,
    KEEP_RATIOS,
    NEGATED,
    OURS,
    PUBLISHED,
    RANDOM,
    TOWER,
    UNPRUNED,
    Arm,
    alpha_arms,
)
from ..results import Results
from . import __main__ as report

FOLDER = Path(__file__).parents[3] / "assets" / "figures"
ABOUT = 8.0  # points: how far around unpruned the close view reaches
CURVES = (
    OURS[PUBLISHED], OURS[TOWER], Arm("relevance", TOWER), Arm("cdpruner", TOWER), Arm("diversity"),
    Arm("divprune"), Arm("cls-attention"), Arm("grid"), RANDOM,
)  # fmt: skip
# Told apart by dashes and marks too, not by colour alone.
STYLES = {
    "rediprune": ("-", "o"), "relevance": ("--", "s"), "cdpruner": ("-.", "D"), "diversity": ("-", "^"),
    "divprune": ("--", "v"), "cls-attention": (":", "P"), "grid": (":", "x"), "random": ("--", "."),
}  # fmt: skip


def draw(found: dict, folder: Path = FOLDER) -> list[Path]:
    """Write every figure as SVG; the same numbers give the same bytes."""
    stills, clips = Results(found["stills"]), Results(found["clips"])
    folder.mkdir(parents=True, exist_ok=True)
    style = {
        "svg.hashsalt": "rediprune", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False,
        "axes.spines.right": False, "figure.facecolor": palette.PAPER, "savefig.facecolor": palette.PAPER,
        "text.color": palette.INK, "axes.edgecolor": palette.INK, "axes.labelcolor": palette.INK,
    }  # fmt: skip
    made = []
    with plt.rc_context(style):
        for name, figure in (
            ("accuracy-by-ratio", _ratios(stills, clips)),
            ("accuracy-by-alpha", _alphas(stills)),
            ("ablations", _ablations(stills, clips)),
        ):
            made.append(folder / f"{name}.svg")
            with replace_file(made[-1]) as part:
                figure.savefig(part, metadata={"Date": None}, bbox_inches="tight")
            plt.close(figure)
    return made


def _ratios(stills: Results, clips: Results) -> Figure:
    """Above everything; below once more what is near unpruned, where most arms lie."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), sharex=True)
    for results, what, (whole, near) in zip((stills, clips), ("stills", "clips"), axes.T, strict=True):
        for axis in (whole, near):
            _curves(axis, results)
            _unpruned(axis, results)
        full = 100 * results.share(UNPRUNED, 1.0).mean
        near.set_ylim(full - ABOUT, min(100.5, full + ABOUT))
        whole.set_title(f"{what} (n = {results.said['questions']:,})", fontsize=10)
        near.set_xscale("log")
        near.set_xticks(KEEP_RATIOS, [f"{ratio:.0%}" for ratio in KEEP_RATIOS])
        near.minorticks_off()
        near.set_xlabel("visual tokens kept")
    axes[0, 0].set_ylabel("answers exactly right, %")
    axes[1, 0].set_ylabel("the same, near unpruned")
    _legend(figure, axes[0, 0], columns=5)
    return figure


def _curves(axis: Axes, results: Results) -> None:
    for i, arm in enumerate(arm for arm in CURVES if results.has(arm, HEADLINE)):
        ratios = [ratio for ratio in KEEP_RATIOS if results.has(arm, ratio)]
        shares = [results.share(arm, ratio) for ratio in ratios]
        line, mark = STYLES[arm.method]
        if arm == OURS[PUBLISHED]:  # the same rule asked otherwise: its colour, another dash
            line, mark = (0, (1, 1)), "o"
        axis.errorbar(
            # A little apart, so that intervals do not hide each other.
            [ratio * (1 + 0.012 * (i - 4)) for ratio in ratios],
            [100 * share.mean for share in shares],
            yerr=_bars(shares),
            label=arm.name, color=palette.METHODS[arm.method].light, linestyle=line, marker=mark,
            markersize=4, linewidth=1.4, elinewidth=0.8,
        )  # fmt: skip


def _alphas(stills: Results) -> Figure:
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=False)
    for axis, ratio in zip(axes, (HEADLINE, HARD), strict=True):
        for query, mark, line in ((PUBLISHED, "o", (0, (1, 1))), (TOWER, "s", "-")):
            arms = alpha_arms(query)
            shares = [stills.share(arm, ratio) for arm in arms]
            axis.errorbar(
                range(len(arms)), [100 * share.mean for share in shares], yerr=_bars(shares), label=query,
                color=palette.KEPT.light if query == TOWER else palette.NEXT_PICK.light, marker=mark,
                linestyle=line, markersize=4, linewidth=1.4, elinewidth=0.8,
            )  # fmt: skip
        axis.set_xticks(range(len(arms)), [*(f"{arm.alpha:g}" for arm in arms[:-1]), "∞"])
        axis.set_xlabel("alpha (0.5 is published; ∞ is relevance alone)")
        _unpruned(axis, stills)
        random = stills.share(RANDOM, ratio).mean
        axis.axhline(100 * random, color=palette.RANDOM.light, linestyle=":", linewidth=1)
        _label(axis, "random", 100 * random, palette.RANDOM.light)
        axis.set_title(f"stills, {ratio:.0%} kept (n = {stills.n(RANDOM, ratio):,})", fontsize=10)
    axes[0].set_ylabel("answers exactly right, %")
    _legend(figure, axes[0])
    return figure


def _ablations(stills: Results, clips: Results) -> Figure:
    """What changes little, on one scale: not against random, and not the wrong sign of an aligned query."""
    rows = [
        row
        for name in ("query", "projector", "positions")
        for row in report.ABLATIONS[name]
        if row[1] not in (None, RANDOM) and row[0] != OURS[NEGATED]
    ][::-1]
    figure, axes = plt.subplots(1, 2, figsize=(10, 0.3 * len(rows) + 1.4), sharey=True)
    for axis, ratio in zip(axes, (HEADLINE, HARD), strict=True):
        for results, what, colour, shift, mark in (
            (stills, "stills", palette.KEPT.light, 0.12, "o"),
            (clips, "clips", palette.NEXT_PICK.light, -0.12, "s"),
        ):
            there = [(y, *row) for y, row in enumerate(rows) if all(results.has(arm, ratio) for arm in row)]
            found = [results.minus(arm, ratio, other) for _, arm, other in there]
            low = [100 * (d.mean - d.interval[0]) for d in found]
            high = [100 * (d.interval[1] - d.mean) for d in found]
            axis.errorbar(
                [100 * d.mean for d in found], [y + shift for y, *_ in there], xerr=[low, high], fmt=mark,
                color=colour, markersize=4, elinewidth=1, label=what,
            )  # fmt: skip
        axis.axvline(0, color=palette.DROPPED.light, linewidth=0.8)
        axis.set_title(f"{ratio:.0%} kept", fontsize=10)
        axis.set_xlabel("points against what it is held against")
        axis.grid(axis="y", color="#e5e7eb", linewidth=0.6)
    axes[0].set_yticks(
        range(len(rows)), [f"{arm.name}  −  {other.name}" for arm, other in rows], fontsize=7.5
    )
    _legend(figure, axes[1])
    return figure


def _legend(figure: Figure, axis: Axes, columns: int = 2) -> None:
    """Below both charts, where it hides nothing."""
    lines, names = axis.get_legend_handles_labels()
    figure.legend(
        lines, names, frameon=False, fontsize=8, ncols=columns, loc="upper center", bbox_to_anchor=(0.5, 0)
    )


def _label(axis: Axes, text: str, height: float, colour: str) -> None:
    """On a line across the chart, at its left end."""
    place = {"xycoords": axis.get_yaxis_transform(), "va": "bottom", "fontsize": 8}
    axis.annotate(text, (0.01, height), color=colour, **place)


def _bars(shares: Sequence) -> list[list[float]]:
    """How far down and up the intervals reach, in points."""
    return [
        [100 * (share.mean - share.interval[0]) for share in shares],
        [100 * (share.interval[1] - share.mean) for share in shares],
    ]


def _unpruned(axis: Axes, results: Results) -> None:
    """A band: what all tokens reach."""
    share = results.share(UNPRUNED, 1.0)
    low, high = share.interval
    axis.axhspan(100 * low, 100 * high, color=palette.UNPRUNED.light, alpha=0.18, linewidth=0)
    axis.axhline(100 * share.mean, color=palette.UNPRUNED.light, linewidth=1)
    _label(axis, "unpruned", 100 * share.mean, palette.UNPRUNED.light)
