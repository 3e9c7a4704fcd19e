"""What the figures of part 2 say: reading at every keep ratio, and whole answers of some lengths."""

from __future__ import annotations

from .record import Case, Figure, Run, shown

RATIOS = (1.0, 0.2, 0.15, 0.1)
ANSWERS = (1, 32, 128)  # tokens of an answer


def tables(run: Run) -> dict[str, str]:
    """What is read at every ratio, and what whole answers cost."""
    read = [
        "| model, shown | kept | prompt | prefill | times quicker | FLOPs say | FLOP/s | decode step "
        "| KV cache | memory of the prefill |",
        "|---" * 10 + "|",
    ]
    whole = [
        "| model, shown | kept | encoder | selection | prefill | each further token | "
        + " | ".join(f"{n} new token{'s' * (n > 1)}: times quicker (FLOPs say)" for n in ANSWERS)
        + " |",
        "|---" * (6 + len(ANSWERS)) + "|",
    ]
    for prefilled in (figure for figure in run.measured if figure.what == "prefill"):
        case = prefilled.case
        name = f"{case['model']}, {case['shown']} | {case['K']:,} of {case['tokens']:,} ({case['keep']:.0%})"
        full = run.figure("prefill", **_of(case) | {"keep": RATIOS[0]})
        step, rate = (
            run.figure("decode step", **case),
            run.estimate("prefill, counted", **case).value / prefilled.median,
        )
        memory, cache = (run.figure(what, **case).median for what in ("memory of the prefill", "KV cache"))
        cells = (
            f"{case['L']:,} tokens",
            _time(prefilled),
            f"{full.median / prefilled.median:.2f}",
            f"{run.estimate('prefill ratio', **case).value:.2f}",
            f"{shown(rate, 'FLOP')}/s",
            _time(step),
            shown(cache, "bytes"),
            shown(memory, "bytes"),
        )
        read.append(f"| {name} | {' | '.join(cells)} |")
        parts = answer_parts(run, case)
        ratios = (
            f"{answer_seconds(run, full.case, n) / answer_seconds(run, case, n):.2f} "
            f"({run.estimate('answer ratio', **case, new=n).value:.2f})"
            for n in ANSWERS
        )
        whole.append(f"| {name} | {' | '.join([*(shown(x, 's') for x in parts), *ratios])} |")
    return {"models-table": "\n".join(read), "answers-table": "\n".join(whole)}


def answer_parts(run: Run, case: Case) -> tuple[float, float, float, float]:
    """Median seconds of encoder, selection (none where all is kept), prefill and one decode step."""
    media = _of(case)
    selection = run.figure("selection", **media).median if case["keep"] < 1 else 0.0
    reading = (run.figure(what, **case).median for what in ("prefill", "decode step"))
    return run.figure("encoder", **media).median, selection, *reading


def answer_seconds(run: Run, case: Case, n_new: int) -> float:
    """Of a whole answer: the sum of the medians of its parts; its first token comes out of the prefill."""
    encoder, selection, prefilled, step = answer_parts(run, case)
    return encoder + selection + prefilled + (n_new - 1) * step


def figures(run: Run) -> dict[str, str]:
    """None: the tables say it."""
    return {}


def _of(case: Case) -> Case:
    """What was shown to which model, whatever was kept of it."""
    return {name: case[name] for name in ("model", "shown", "views", "tokens")}


def _time(figure: Figure) -> str:
    return f"{shown(figure.median, 's')} ({shown(figure.low, 's')}..{shown(figure.high, 's')})"
