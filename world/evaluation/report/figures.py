"""Draw the figures in assets/figures: accuracy by keep ratio, accuracy by alpha, and the ablations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("agg")  # writes files, opens no window

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rediprune.draw import palette
from rediprune.files.atomic_write import replace_file

from ..arms import (
    HARD_RATIO,
    HEADLINE_RATIO,
    KEEP_RATIOS,
    NEGATED_QUERY,
    PUBLISHED_QUERY,
    RANDOM,
    REDIPRUNE,
    TOWER_QUERY,
    UNPRUNED,
    Arm,
    alpha_arms,
)
from ..results import Accuracy, Difference, Results
from . import __main__ as report

FOLDER = Path(__file__).parents[3] / "assets" / "figures"
CLOSE_VIEW_POINTS = 8.0  # how far above and below unpruned the close view reaches
CURVES = (
    REDIPRUNE[PUBLISHED_QUERY],
    REDIPRUNE[TOWER_QUERY],
    Arm("relevance", TOWER_QUERY),
    Arm("cdpruner", TOWER_QUERY),
    Arm("diversity"),
    Arm("divprune"),
    Arm("cls-attention"),
    Arm("grid"),
    RANDOM,
)
# Line style and marker of each method, so that the curves differ by more than their colour.
STYLES = {
    "rediprune": ("-", "o"),
    "relevance": ("--", "s"),
    "cdpruner": ("-.", "D"),
    "diversity": ("-", "^"),
    "divprune": ("--", "v"),
    "cls-attention": (":", "P"),
    "grid": (":", "x"),
    "random": ("--", "."),
}


def draw_figures(evaluation: dict, folder: Path = FOLDER) -> list[Path]:
    """Write every figure as SVG and return the paths; equal numbers give equal bytes.

    Args:
        evaluation: the content of evaluation.json.
        folder: created if it does not exist.
    """
    stills = Results(evaluation["stills"])
    clips = Results(evaluation["clips"])
    folder.mkdir(parents=True, exist_ok=True)
    style = {
        "svg.hashsalt": "rediprune", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False,
        "axes.spines.right": False, "figure.facecolor": palette.PAPER, "savefig.facecolor": palette.PAPER,
        "text.color": palette.INK, "axes.edgecolor": palette.INK, "axes.labelcolor": palette.INK,
    }  # fmt: skip
    paths = []
    with plt.rc_context(style):
        for name, figure in (
            ("accuracy-by-ratio", _draw_by_ratio(stills, clips)),
            ("accuracy-by-alpha", _draw_by_alpha(stills)),
            ("ablations", _draw_ablations(stills, clips)),
        ):
            path = folder / f"{name}.svg"
            with replace_file(path) as part:
                figure.savefig(part, metadata={"Date": None}, bbox_inches="tight")
            plt.close(figure)
            paths.append(path)
    return paths


def _draw_by_ratio(stills: Results, clips: Results) -> Figure:
    """Draw accuracy by keep ratio: the full range above, a close view around unpruned below."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), sharex=True)
    for results, noun, (full_view, close_view) in zip(
        (stills, clips), ("stills", "clips"), axes.T, strict=True
    ):
        for axis in (full_view, close_view):
            _draw_curves(axis, results)
            _draw_unpruned(axis, results)
        unpruned = 100 * results.compute_accuracy(UNPRUNED, 1.0).mean
        close_view.set_ylim(unpruned - CLOSE_VIEW_POINTS, min(100.5, unpruned + CLOSE_VIEW_POINTS))
        full_view.set_title(f"{noun} (n = {results.record['questions']:,})", fontsize=10)
        close_view.set_xscale("log")
        close_view.set_xticks(KEEP_RATIOS, [f"{ratio:.0%}" for ratio in KEEP_RATIOS])
        close_view.minorticks_off()
        close_view.set_xlabel("visual tokens kept")
    axes[0, 0].set_ylabel("answers exactly right, %")
    axes[1, 0].set_ylabel("the same, near unpruned")
    _draw_legend(figure, axes[0, 0], columns=5)
    return figure


def _draw_curves(axis: Axes, results: Results) -> None:
    """Draw a curve with intervals for every measured arm."""
    measured = results.filter_measured(CURVES, HEADLINE_RATIO)
    for i, arm in enumerate(measured):
        ratios = [ratio for ratio in KEEP_RATIOS if results.is_measured(arm, ratio)]
        accuracies = [results.compute_accuracy(arm, ratio) for ratio in ratios]
        line, marker = STYLES[arm.method]
        if arm == REDIPRUNE[PUBLISHED_QUERY]:  # ReDiPrune with another query: equal colour, other line style
            line = (0, (1, 1))
            marker = "o"
        # Curves are moved sideways a little, so that their intervals do not hide each other.
        axis.errorbar(
            [ratio * (1 + 0.012 * (i - 4)) for ratio in ratios],
            [100 * accuracy.mean for accuracy in accuracies],
            yerr=_measure_bars(accuracies),
            label=arm.name, color=palette.METHODS[arm.method].light, linestyle=line, marker=marker,
            markersize=4, linewidth=1.4, elinewidth=0.8,
        )  # fmt: skip


def _draw_by_alpha(stills: Results) -> Figure:
    """Draw the accuracy of ReDiPrune by the weight of relevance, at two keep ratios."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=False)
    for axis, ratio in zip(axes, (HEADLINE_RATIO, HARD_RATIO), strict=True):
        for query, marker, line in ((PUBLISHED_QUERY, "o", (0, (1, 1))), (TOWER_QUERY, "s", "-")):
            arms = alpha_arms(query)
            accuracies = [stills.compute_accuracy(arm, ratio) for arm in arms]
            axis.errorbar(
                range(len(arms)), [100 * accuracy.mean for accuracy in accuracies],
                yerr=_measure_bars(accuracies), label=query,
                color=palette.KEPT.light if query == TOWER_QUERY else palette.NEXT_PICK.light, marker=marker,
                linestyle=line, markersize=4, linewidth=1.4, elinewidth=0.8,
            )  # fmt: skip
        axis.set_xticks(range(len(arms)), [*(f"{arm.alpha:g}" for arm in arms[:-1]), "∞"])
        axis.set_xlabel("alpha (0.5 is published; ∞ is relevance alone)")
        _draw_unpruned(axis, stills)
        random = 100 * stills.compute_accuracy(RANDOM, ratio).mean
        axis.axhline(random, color=palette.RANDOM.light, linestyle=":", linewidth=1)
        _label_line(axis, "random", random, palette.RANDOM.light)
        n_questions = stills.count_questions(RANDOM, ratio)
        axis.set_title(f"stills, {ratio:.0%} kept (n = {n_questions:,})", fontsize=10)
    axes[0].set_ylabel("answers exactly right, %")
    _draw_legend(figure, axes[0])
    return figure


def _draw_ablations(stills: Results, clips: Results) -> Figure:
    """Draw the differences of the ablations whose effect is small enough for one scale.

    Comparisons with random and the negated query of the text tower would need a scale of their own.
    """
    comparisons = [
        comparison
        for name in ("query", "projector", "positions")
        for comparison in report.ABLATIONS[name]
        if comparison[1] not in (None, RANDOM) and comparison[0] != REDIPRUNE[NEGATED_QUERY]
    ][::-1]
    figure, axes = plt.subplots(1, 2, figsize=(10, 0.3 * len(comparisons) + 1.4), sharey=True)
    for axis, ratio in zip(axes, (HEADLINE_RATIO, HARD_RATIO), strict=True):
        for results, noun, colour, shift, marker in (
            (stills, "stills", palette.KEPT.light, 0.12, "o"),
            (clips, "clips", palette.NEXT_PICK.light, -0.12, "s"),
        ):
            heights = []
            differences = []
            for height, (arm, other) in enumerate(comparisons):
                if results.is_measured(arm, ratio) and results.is_measured(other, ratio):
                    heights.append(height + shift)
                    differences.append(results.compute_difference(arm, ratio, other))
            axis.errorbar(
                [100 * difference.mean for difference in differences], heights,
                xerr=_measure_bars(differences), fmt=marker, color=colour, markersize=4, elinewidth=1,
                label=noun,
            )  # fmt: skip
        axis.axvline(0, color=palette.DROPPED.light, linewidth=0.8)
        axis.set_title(f"{ratio:.0%} kept", fontsize=10)
        axis.set_xlabel("points against what it is held against")
        axis.grid(axis="y", color="#e5e7eb", linewidth=0.6)
    labels = [f"{arm.name}  −  {other.name}" for arm, other in comparisons]
    axes[0].set_yticks(range(len(comparisons)), labels, fontsize=7.5)
    _draw_legend(figure, axes[1])
    return figure


def _draw_legend(figure: Figure, axis: Axes, columns: int = 2) -> None:
    """Draw the legend below the charts, where it hides nothing."""
    lines, names = axis.get_legend_handles_labels()
    figure.legend(
        lines, names, frameon=False, fontsize=8, ncols=columns, loc="upper center", bbox_to_anchor=(0.5, 0)
    )


def _label_line(axis: Axes, text: str, height: float, colour: str) -> None:
    """Write a label at the left end of a horizontal line."""
    place = {"xycoords": axis.get_yaxis_transform(), "va": "bottom", "fontsize": 8}
    axis.annotate(text, (0.01, height), color=colour, **place)


def _measure_bars(estimates: Sequence[Accuracy | Difference]) -> list[list[float]]:
    """Return how far each interval reaches below and above its mean, in points, [2, n]."""
    return [
        [100 * (estimate.mean - estimate.interval[0]) for estimate in estimates],
        [100 * (estimate.interval[1] - estimate.mean) for estimate in estimates],
    ]


def _draw_unpruned(axis: Axes, results: Results) -> None:
    """Draw the accuracy with all tokens as a line and its interval as a band."""
    accuracy = results.compute_accuracy(UNPRUNED, 1.0)
    low, high = accuracy.interval
    axis.axhspan(100 * low, 100 * high, color=palette.UNPRUNED.light, alpha=0.18, linewidth=0)
    axis.axhline(100 * accuracy.mean, color=palette.UNPRUNED.light, linewidth=1)
    _label_line(axis, "unpruned", 100 * accuracy.mean, palette.UNPRUNED.light)
