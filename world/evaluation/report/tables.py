"""Format the measured results as Markdown tables that state the number of questions and the intervals."""

from __future__ import annotations

from collections.abc import Sequence

from ..arms import HARD_RATIO, HEADLINE_RATIO, KEEP_RATIOS, RANDOM, REDIPRUNE, TOWER_QUERY, UNPRUNED, Arm
from ..results import Accuracy, Difference, Results

Comparison = tuple[Arm, Arm | None]  # an arm, and the arm that it is compared with


def build_accuracy_table(results: Results, arms: Sequence[Arm], ratios: Sequence[float] = KEEP_RATIOS) -> str:
    """Build a table with a row per arm and a column per keep ratio; unmeasured arms are left out."""
    arms = [arm for arm in arms if any(results.is_measured(arm, ratio) for ratio in ratios)]
    n_questions = results.record["questions"]

    def format_cell(arm: Arm, ratio: float) -> str:
        if not results.is_measured(arm, ratio):
            return ""
        accuracy = results.compute_accuracy(arm, ratio)
        text = format_accuracy(accuracy)
        if accuracy.n < n_questions:
            text += f" ({accuracy.n:,})"
        return text

    head = ["method (query)", *(f"{ratio:.0%} (K = {_count_kept(results, arms, ratio)})" for ratio in ratios)]
    rows = [[arm.name, *(format_cell(arm, ratio) for ratio in ratios)] for arm in arms]
    return f"{_introduce(results)}\n\n{_format_table(head, rows)}"


def build_difference_table(results: Results, arms: Sequence[Arm], ratio: float = HEADLINE_RATIO) -> str:
    """Build a table of the points lost against unpruned and won over random, on equal questions."""
    rows = []
    for arm in results.filter_measured(arms, ratio):
        against_unpruned = format_difference(results.compute_difference(arm, ratio, UNPRUNED, 1.0))
        against_random = ""
        if arm != RANDOM:
            against_random = format_difference(results.compute_difference(arm, ratio, RANDOM))
        rows.append([arm.name, f"{results.count_questions(arm, ratio):,}", against_unpruned, against_random])
    head = ["method (query)", "n", "against unpruned", "against random"]
    return (
        f"At {ratio:.0%} keep, paired differences in points on the same questions (95% bootstrap that "
        f"redraws whole {_plural_noun(results)}):\n\n{_format_table(head, rows)}"
    )


def build_kind_table(results: Results, arms: Sequence[Arm], ratio: float = HEADLINE_RATIO) -> str:
    """Build a table of the accuracy by kind of question, unpruned and at one keep ratio."""
    kinds = results.record["kinds"]
    rows = [["*n*", *(f"*{results.compute_accuracy(UNPRUNED, 1.0, kind).n}*" for kind in kinds)]]
    for arm in (UNPRUNED, *results.filter_measured(arms, ratio)):
        arm_ratio = 1.0 if arm == UNPRUNED else ratio
        accuracies = [results.compute_accuracy(arm, arm_ratio, kind) for kind in kinds]
        is_subset = sum(accuracy.n for accuracy in accuracies) < results.record["questions"]
        label = _name_arm(arm) + _note_subset(results, is_subset)
        rows.append([label, *(f"{100 * accuracy.mean:.1f}" for accuracy in accuracies)])
    intro = f"Accuracy in % by kind of question{' about clips' if results.is_clips else ''}"
    return f"{intro}:\n\n{_format_table([f'at {ratio:.0%} keep', *kinds], rows)}"


def build_kind_difference_table(
    results: Results, arms: Sequence[Arm], other: Arm, ratio: float = HEADLINE_RATIO
) -> str:
    """Build a table of the paired differences to another arm by kind of question, with intervals."""
    kinds = results.record["kinds"]
    other_ratio = 1.0 if other == UNPRUNED else ratio
    rows = []
    for arm in results.filter_measured(arms, ratio):
        if arm == other:
            continue
        is_subset = results.count_questions(arm, ratio) < results.record["questions"]
        differences = [results.compute_difference(arm, ratio, other, other_ratio, kind) for kind in kinds]
        rows.append([arm.name + _note_subset(results, is_subset), *map(format_difference, differences)])
    noun = _plural_noun(results)
    return (
        f"Points against {_name_arm(other)}, by kind of question (95% bootstrap over {noun}, "
        "not corrected for the number of comparisons):\n\n"
        f"{_format_table([f'at {ratio:.0%} keep', *kinds], rows)}"
    )


def build_ablation_table(
    results: Results,
    comparisons: Sequence[Comparison],
    ratios: Sequence[float] = (HEADLINE_RATIO, HARD_RATIO),
) -> str:
    """Build a table of accuracies at each ratio with the paired difference to the arm compared with."""
    head = ["arm", "held against", "n"]
    for ratio in ratios:
        head += [f"{ratio:.0%} keep", f"points at {ratio:.0%}"]
    rows = []
    for arm, other in comparisons:
        measured_ratios = [ratio for ratio in ratios if results.is_measured(arm, ratio)]
        if not measured_ratios:
            continue
        n = max(results.count_questions(arm, ratio) for ratio in measured_ratios)
        cells = []
        for ratio in ratios:
            accuracy = ""
            difference = ""
            if ratio in measured_ratios:
                accuracy = format_accuracy(results.compute_accuracy(arm, ratio))
                if other is not None and results.is_measured(other, ratio):
                    difference = format_difference(results.compute_difference(arm, ratio, other))
            cells += [accuracy, difference]
        rows.append([arm.name, "" if other is None else other.name, f"{n:,}", *cells])
    return _format_table(head, rows)


def build_alpha_table(
    results: Results, arms: Sequence[Arm], ratios: Sequence[float] = (HEADLINE_RATIO, HARD_RATIO)
) -> str:
    """Build a table for one query with a row per weight of relevance; the last arm is relevance alone."""
    published = next(arm for arm in arms if arm.alpha == Arm.alpha)
    rows = []
    for arm in arms:
        label = "∞ (relevance alone)" if arm.method == "relevance" else f"{arm.alpha:g}"
        if arm == published:
            label += " (published)"
        cells = []
        for ratio in ratios:
            cells.append(format_accuracy(results.compute_accuracy(arm, ratio)))
            difference = ""
            if arm != published:
                difference = format_difference(results.compute_difference(arm, ratio, published))
            cells.append(difference)
        rows.append([label, *cells])
    head = ["alpha"]
    for ratio in ratios:
        head += [f"{ratio:.0%} keep", f"against 0.5 at {ratio:.0%}"]
    n = results.count_questions(published, ratios[0])
    return f"Query {arms[0].query}, n = {n:,}:\n\n{_format_table(head, rows)}"


def build_pointing_table(record: dict, results: Results) -> str:
    """Build a table of the share of chosen tokens that lie on the patches holding the answer."""
    pointing = record["pointing"]
    k = pointing["k"]
    rows = [
        [
            _name_query(row),
            _format_mean(row["top_relevance"]),
            _format_mean(row["kept"]),
            f"{100 * row['kept']['any']:.1f}",
        ]
        for row in pointing["rows"]
    ]
    random = pointing["random"]
    rows.append(["random tokens", _format_mean(random), "", f"{100 * random['any']:.1f}"])
    head = ["query", f"top {k} by relevance", f"{k} kept by ReDiPrune", "some kept token on it"]
    intro = (
        f"Pointing{' in clips' if results.is_clips else ''}: the share in % of chosen tokens that lie on the "
        f"patches holding the answer, over {pointing['n']:,} questions whose answer lies somewhere (95% "
        f"bootstrap over {_plural_noun(results)} in brackets). Chance is {100 * pointing['chance']:.1f}; no "
        f"choice of {k} tokens can exceed {100 * pointing['ceiling']:.1f}, because answers are small."
    )
    if results.is_clips:
        intro += " What is kept is spent frame by frame; the most relevant are those of the whole clip."
    else:
        intro += (
            " The built-in model's default query is the one that points best on "
            f"{record['choosing']['n']:,} other held-out questions."
        )
    return f"{intro}\n\n{_format_table(head, rows)}"


def build_overlap_table(record: dict, results: Results, arms: Sequence[Arm]) -> str:
    """Build a table of the tokens that arms share with the first one, and of the spread of relevance."""
    overlap = record["overlap"]
    reference = arms[0]
    noun = _plural_noun(results)
    rows = []
    for arm in arms:
        cosine = ""
        spread = overlap["spread"].get(arm.query)
        if spread:
            low, high = spread["interval"]
            cosine = f"{spread['mean']:.3f} [{low:.3f}, {high:.3f}]"
        common = "" if arm == reference else _format_mean(overlap["in_common"][arm.name])
        accuracy = ""
        if results.is_measured(arm, HEADLINE_RATIO):
            accuracy = format_accuracy(results.compute_accuracy(arm, HEADLINE_RATIO))
        rows.append([arm.name, common, cosine, accuracy])
    head = ["arm", "kept in common, %", "spread of relevance", f"accuracy at {HEADLINE_RATIO:.0%}, %"]
    return (
        f"The share of the tokens kept by {reference.name} at {HEADLINE_RATIO:.0%} that other arms keep too "
        f"(first {overlap['n']:,} questions; 95% bootstrap over {noun}), and the standard deviation of "
        f"relevance over the tokens of one {noun[:-1]}, in cosine:\n\n{_format_table(head, rows)}"
    )


def format_accuracy(accuracy: Accuracy) -> str:
    """Format an accuracy in percent with its interval: "87.1 [86.0, 88.2]"."""
    low, high = accuracy.interval
    return f"{100 * accuracy.mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def format_difference(difference: Difference) -> str:
    """Format a difference in points with its sign and its interval: "+1.2 [-0.3, +2.7]"."""
    low, high = difference.interval
    return f"{100 * difference.mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _introduce(results: Results) -> str:
    """Return the sentences above the accuracy table."""
    record = results.record
    noun = _plural_noun(results)
    text = (
        f"Accuracy in % on {record['questions']:,} held-out questions about {results.n_scenes} "
        f"{noun} (95% Wilson interval in brackets), alpha = 0.5; where fewer were asked, the "
        f"first ones, their number stands behind. random is the mean of {RANDOM.n_masks} random choices for "
        f"every {noun[:-1]}. Unpruned, all {record['visual_tokens']:,} visual tokens: "
        f"**{format_accuracy(results.compute_accuracy(UNPRUNED, 1.0))}**."
    )
    if results.is_clips:
        text += (
            f" Every clip has {record['frames']} frames; K counts the tokens of all of them, spent frame by "
            f"frame; a shared budget is rounded once ({_list_shared_budgets(results)})."
        )
    return text


def _list_shared_budgets(results: Results) -> str:
    arm = REDIPRUNE[TOWER_QUERY].with_shared_budget
    return ", ".join(
        f"{results.count_kept(arm, ratio)} at {ratio:.0%}"
        for ratio in KEEP_RATIOS
        if results.is_measured(arm, ratio)
    )


def _count_kept(results: Results, arms: Sequence[Arm], ratio: float) -> int:
    return next(results.count_kept(arm, ratio) for arm in arms if results.is_measured(arm, ratio))


def _plural_noun(results: Results) -> str:
    return "clips" if results.is_clips else "scenes"


def _name_arm(arm: Arm) -> str:
    return "unpruned" if arm == UNPRUNED else arm.name


def _note_subset(results: Results, is_subset: bool) -> str:
    return f" (first {results.record['questions_of_some']})" if is_subset else ""


def _format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = "|" + "|".join(["---"] * len(head)) + "|"
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], rule, *lines[1:]])


def _format_mean(estimate: dict) -> str:
    """Format a "mean" with its "interval" in percent."""
    low, high = estimate["interval"]
    return f"{100 * estimate['mean']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _name_query(row: dict) -> str:
    return row["query"] if row["query"] != "text-tower" else f"text-tower ({row['pointing']})"
