"""Make the tables of part 2: prompts read at every keep ratio, and whole answers of some lengths."""

from __future__ import annotations

from .record import BenchRun, Case, Figure, format_number

RATIOS = (1.0, 0.2, 0.15, 0.1)
ANSWERS = (1, 32, 128)  # tokens of an answer

_PROMPT_HEAD = (
    "model, shown", "kept", "prompt", "prefill", "times quicker", "FLOPs say", "FLOP/s", "decode step",
    "its attention", "KV cache", "memory of the prefill",
)  # fmt: skip
_ANSWER_HEAD = (
    "model, shown", "kept", "encoder", "selection", "of the saved prefill", "prefill", "decode step",
    "encoder's share",
)  # fmt: skip
_ANSWER_HEAD += tuple(f"{n} new token{'s' * (n > 1)}: times quicker (FLOPs say)" for n in ANSWERS)


def tables(run: BenchRun, part: str) -> dict[str, str]:
    """Make the tables of prompts and of whole answers, by the names of the part's marks on the page."""
    cases = [figure.case for figure in run.measured if figure.what == "prefill"]
    read = [
        _join_cells(*_PROMPT_HEAD),
        _join_cells(*["---"] * len(_PROMPT_HEAD)),
        *(_prompt_row(run, case) for case in cases),
    ]
    whole = [
        _join_cells(*_ANSWER_HEAD),
        _join_cells(*["---"] * len(_ANSWER_HEAD)),
        *(_answer_row(run, case) for case in cases),
    ]
    return {f"{part}-table": "\n".join([*read, *_dtype_note(run)]), f"{part}-answers-table": "\n".join(whole)}


def answer_parts(run: BenchRun, case: Case) -> tuple[float, float, float, float]:
    """Return the median seconds of encoder, selection (0 where all is kept), prefill and one decode step."""
    media = _medium_of(case)
    selection = run.figure("selection", **media).median if case["keep"] < 1 else 0.0
    prefill, step = (run.figure(what, **case).median for what in ("prefill", "decode step"))
    return run.figure("encoder", **media).median, selection, prefill, step


def answer_seconds(run: BenchRun, case: Case, n_new: int) -> float:
    """Sum the medians of a whole answer's parts, in seconds; its first token comes out of the prefill."""
    encoder, selection, prefill, step = answer_parts(run, case)
    return encoder + selection + prefill + (n_new - 1) * step


def _prompt_row(run: BenchRun, case: Case) -> str:
    prefill, step = (run.figure(what, **case) for what in ("prefill", "decode step"))
    rate = run.estimate("prefill, counted", **case).value / prefill.median
    return _join_cells(
        *_row_name(case),
        f"{case['L']:,} tokens",
        _format_seconds(prefill),
        f"{_unpruned(run, case).median / prefill.median:.2f}",
        f"{run.estimate('prefill ratio', **case).value:.2f}",
        f"{format_number(rate, 'FLOP')}/s",
        _format_seconds(step),
        format_number(run.figure("attention of a step", **case).median, "s"),
        *(
            format_number(run.figure(what, **case).median, "bytes")
            for what in ("KV cache", "memory of the prefill")
        ),
    )


def _answer_row(run: BenchRun, case: Case) -> str:
    unpruned = _unpruned(run, case)
    parts = answer_parts(run, case)
    return _join_cells(
        *_row_name(case),
        *(format_number(part, "s") for part in parts[:2]),
        f"{parts[1] / (unpruned.median - parts[2]):.3%}" if case["keep"] < 1 else "",
        *(format_number(part, "s") for part in parts[2:]),
        f"{parts[0] / answer_seconds(run, case, 1):.0%}",
        *(
            f"{answer_seconds(run, unpruned.case, n) / answer_seconds(run, case, n):.2f} "
            f"({run.estimate('answer ratio', **case, new=n).value:.2f})"
            for n in ANSWERS
        ),
    )


def _dtype_note(run: BenchRun) -> list[str]:
    """Say which number formats a CPU tried and why; nothing for a GPU, where none was tried."""
    tried = [
        f"{format_number(one.median, 's')} in {one.dtype}"
        for one in run.measured
        if one.what == "one product"
    ]
    if not tried:
        return []
    return ["", f"One product of a feed-forward layer: {', '.join(tried)}. The quicker was taken."]


def _unpruned(run: BenchRun, case: Case) -> Figure:
    return run.figure("prefill", **_medium_of(case) | {"keep": RATIOS[0]})


def _medium_of(case: Case) -> Case:
    """Return the part of a case that names the model and its input, without what was kept of it."""
    return {name: case[name] for name in ("model", "shown", "views", "tokens")}


def _row_name(case: Case) -> tuple[str, str]:
    kept = f"{case['K']:,} of {case['tokens']:,} ({case['keep']:.0%})"
    return f"{case['model']}, {case['shown']}", kept


def _format_seconds(figure: Figure) -> str:
    median, low, high = (format_number(x, "s") for x in (figure.median, figure.low, figure.high))
    return f"{median} ({low}..{high})"


def _join_cells(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
