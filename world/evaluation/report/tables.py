"""Tables of the measured shares, as Markdown: each says on how many questions, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence

from ..arms import HARD_RATIO, HEADLINE_RATIO, KEEP_RATIOS, RANDOM, REDIPRUNE, TOWER_QUERY, UNPRUNED, Arm
from ..results import Accuracy, Difference, Results

Row = tuple[Arm, Arm | None]  # an arm, and what it is held against


def build_accuracy_table(results: Results, arms: Sequence[Arm], ratios: Sequence[float] = KEEP_RATIOS) -> str:
    """A row an arm, a column a keep ratio; arms that were not measured at any of them are left out."""
    arms = [arm for arm in arms if any(results.is_measured(arm, ratio) for ratio in ratios)]
    every = results.record["questions"]

    def cell(arm: Arm, ratio: float) -> str:
        if not results.is_measured(arm, ratio):
            return ""
        share = results.compute_accuracy(arm, ratio)
        return format_accuracy(share) + (f" ({share.n:,})" if share.n < every else "")

    head = ["method (query)", *(f"{r:.0%} (K = {_k(results, arms, r)})" for r in ratios)]
    lines = [[arm.name, *(cell(arm, ratio) for ratio in ratios)] for arm in arms]
    return f"{_about(results)}\n\n{_table(head, lines)}"


def build_difference_table(results: Results, arms: Sequence[Arm], ratio: float = HEADLINE_RATIO) -> str:
    """Points lost against unpruned and won over random, on the same questions."""
    arms = results.filter_measured(arms, ratio)
    lines = [
        [
            arm.name,
            f"{results.count_questions(arm, ratio):,}",
            format_difference(results.compute_difference(arm, ratio, UNPRUNED, 1.0)),
            "" if arm == RANDOM else format_difference(results.compute_difference(arm, ratio, RANDOM)),
        ]
        for arm in arms
    ]
    head = ["method (query)", "n", "against unpruned", "against random"]
    return (
        f"At {ratio:.0%} keep, paired differences in points on the same questions (95% bootstrap that "
        f"redraws whole {_things(results)}):\n\n{_table(head, lines)}"
    )


def build_kind_table(results: Results, arms: Sequence[Arm], ratio: float = HEADLINE_RATIO) -> str:
    """Accuracy by kind of question, unpruned and at one keep ratio."""
    names, arms = results.record["kinds"], results.filter_measured(arms, ratio)
    lines = [["*n*", *(f"*{results.compute_accuracy(UNPRUNED, 1.0, kind).n}*" for kind in names)]]
    for arm in (UNPRUNED, *arms):
        shares = [results.compute_accuracy(arm, 1.0 if arm == UNPRUNED else ratio, kind) for kind in names]
        few = shares and sum(share.n for share in shares) < results.record["questions"]
        lines.append([_name(arm) + _few(results, few), *(f"{100 * share.mean:.1f}" for share in shares)])
    intro = f"Accuracy in % by kind of question{' about clips' if results.is_clips else ''}"
    return f"{intro}:\n\n{_table([f'at {ratio:.0%} keep', *names], lines)}"


def build_kind_difference_table(
    results: Results, arms: Sequence[Arm], other: Arm, ratio: float = HEADLINE_RATIO
) -> str:
    """Paired differences to another arm by kind of question, with their intervals."""
    names, arms = results.record["kinds"], [a for a in results.filter_measured(arms, ratio) if a != other]
    its = 1.0 if other == UNPRUNED else ratio
    lines = [
        [
            arm.name + _few(results, results.count_questions(arm, ratio) < results.record["questions"]),
            *(format_difference(results.compute_difference(arm, ratio, other, its, kind)) for kind in names),
        ]
        for arm in arms
    ]
    return (
        f"Points against {_name(other)}, by kind of question (95% bootstrap over {_things(results)}, not "
        f"corrected for the number of comparisons):\n\n{_table([f'at {ratio:.0%} keep', *names], lines)}"
    )


def build_ablation_table(
    results: Results, rows: Sequence[Row], ratios: Sequence[float] = (HEADLINE_RATIO, HARD_RATIO)
) -> str:
    """Ablations: accuracy at each ratio, and the paired difference to the arm that it is held against."""
    rows = [row for row in rows if any(results.is_measured(row[0], ratio) for ratio in ratios)]
    head = ["arm", "held against", "n"]
    head += [text for r in ratios for text in (f"{r:.0%} keep", f"points at {r:.0%}")]
    lines = []
    for arm, other in rows:
        n = max(results.count_questions(arm, ratio) for ratio in ratios if results.is_measured(arm, ratio))
        cells = []
        for ratio in ratios:
            there = results.is_measured(arm, ratio)
            cells.append(format_accuracy(results.compute_accuracy(arm, ratio)) if there else "")
            both = there and other is not None and results.is_measured(other, ratio)
            cells.append(format_difference(results.compute_difference(arm, ratio, other)) if both else "")
        lines.append([arm.name, "" if other is None else other.name, f"{n:,}", *cells])
    return _table(head, lines)


def build_alpha_table(
    results: Results, arms: Sequence[Arm], ratios: Sequence[float] = (HEADLINE_RATIO, HARD_RATIO)
) -> str:
    """One query, a row a weight of relevance; the last arm is relevance alone."""
    reference = next(arm for arm in arms if arm.alpha == Arm.alpha)
    lines = []
    for arm in arms:
        label = "∞ (relevance alone)" if arm.method == "relevance" else f"{arm.alpha:g}"
        label += " (published)" if arm == reference else ""
        cells = [
            text
            for r in ratios
            for text in (
                format_accuracy(results.compute_accuracy(arm, r)),
                "" if arm == reference else format_difference(results.compute_difference(arm, r, reference)),
            )
        ]
        lines.append([label, *cells])
    head = ["alpha", *(text for r in ratios for text in (f"{r:.0%} keep", f"against 0.5 at {r:.0%}"))]
    n = results.count_questions(reference, ratios[0])
    return f"Query {arms[0].query}, n = {n:,}:\n\n{_table(head, lines)}"


def build_pointing_table(found: dict, results: Results) -> str:
    """Share of chosen tokens that lie on the patches holding the answer."""
    p = found["pointing"]
    lines = [
        [_query_name(row), _mean(row["top_relevance"]), _mean(row["kept"]), f"{100 * row['kept']['any']:.1f}"]
        for row in p["rows"]
    ]
    lines.append(["random tokens", _mean(p["random"]), "", f"{100 * p['random']['any']:.1f}"])
    head = ["query", f"top {p['k']} by relevance", f"{p['k']} kept by ReDiPrune", "some kept token on it"]
    intro = (
        f"Pointing{' in clips' if results.is_clips else ''}: the share in % of chosen tokens that lie on the "
        f"patches holding the answer, over {p['n']:,} questions whose answer lies somewhere (95% bootstrap "
        f"over {_things(results)} in brackets). Chance is {100 * p['chance']:.1f}; no choice of {p['k']} "
        f"tokens can exceed {100 * p['ceiling']:.1f}, because answers are small."
    )
    if results.is_clips:
        intro += " What is kept is spent frame by frame; the most relevant are those of the whole clip."
    else:
        intro += (
            " The built-in model's default query is the one that points best on "
            f"{found['choosing']['n']:,} other held-out questions."
        )
    return f"{intro}\n\n{_table(head, lines)}"


def build_overlap_table(found: dict, results: Results, arms: Sequence[Arm]) -> str:
    """Which tokens arms keep in common with the published one, and how their queries tell tokens apart."""
    o, reference = found["overlap"], arms[0]
    lines = []
    for arm in arms:
        spread = o["spread"].get(arm.query)
        low, high = spread["interval"] if spread else (0, 0)
        cosine = f"{spread['mean']:.3f} [{low:.3f}, {high:.3f}]" if spread else ""
        common = _mean(o["in_common"][arm.name])
        share = (
            results.compute_accuracy(arm, HEADLINE_RATIO)
            if results.is_measured(arm, HEADLINE_RATIO)
            else None
        )
        lines.append(
            [arm.name, "" if arm == reference else common, cosine, format_accuracy(share) if share else ""]
        )
    head = ["arm", "kept in common, %", "spread of relevance", f"accuracy at {HEADLINE_RATIO:.0%}, %"]
    return (
        f"The share of the tokens kept by {reference.name} at {HEADLINE_RATIO:.0%} that other arms keep too "
        f"(first {o['n']:,} questions; 95% bootstrap over {_things(results)}), and the standard deviation of "
        f"relevance over the tokens of one {_things(results)[:-1]}, in cosine:\n\n{_table(head, lines)}"
    )


def format_accuracy(share: Accuracy) -> str:
    """In percent, with its interval."""
    low, high = share.interval
    return f"{100 * share.mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def format_difference(d: Difference) -> str:
    """In points, signed, with its interval."""
    low, high = d.interval
    return f"{100 * d.mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _about(results: Results) -> str:
    said_, full = results.record, results.compute_accuracy(UNPRUNED, 1.0)
    text = (
        f"Accuracy in % on {said_['questions']:,} held-out questions about {results.n_scenes} "
        f"{_things(results)} (95% Wilson interval in brackets), alpha = 0.5; where fewer were asked, the "
        f"first ones, their number stands behind. random is the mean of {RANDOM.n_masks} random choices for "
        f"every {_things(results)[:-1]}. Unpruned, all {said_['visual_tokens']:,} visual tokens: "
        f"**{format_accuracy(full)}**."
    )
    if results.is_clips:
        text += (
            f" Every clip has {said_['frames']} frames; K counts the tokens of all of them, spent frame by "
            f"frame; a shared budget is rounded once ({_shared_k(results)})."
        )
    return text


def _shared_k(results: Results) -> str:
    arm = REDIPRUNE[TOWER_QUERY].with_shared_budget
    return ", ".join(
        f"{results.count_kept(arm, r)} at {r:.0%}" for r in KEEP_RATIOS if results.is_measured(arm, r)
    )


def _k(results: Results, arms: Sequence[Arm], ratio: float) -> int:
    return next(results.count_kept(arm, ratio) for arm in arms if results.is_measured(arm, ratio))


def _things(results: Results) -> str:
    return "clips" if results.is_clips else "scenes"


def _name(arm: Arm) -> str:
    return "unpruned" if arm == UNPRUNED else arm.name


def _few(results: Results, few: bool) -> str:
    return f" (first {results.record['questions_of_some']})" if few else ""


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(
        "|" + "|".join(row) + "|" if row[0] == "---" else "| " + " | ".join(row) + " |" for row in rows
    )


def _mean(d: dict) -> str:
    low, high = d["interval"]
    return f"{100 * d['mean']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _query_name(row: dict) -> str:
    return row["query"] if row["query"] != "text-tower" else f"text-tower ({row['pointing']})"
