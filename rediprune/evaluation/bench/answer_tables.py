"""What the figures of part 2 say: prompts read at every keep ratio, and whole answers of some lengths."""

from __future__ import annotations

from .record import Case, Figure, Run, shown

RATIOS = (1.0, 0.2, 0.15, 0.1)
ANSWERS = (1, 32, 128)  # tokens of an answer

_READ = ("model, shown", "kept", "prompt", "prefill", "times quicker", "FLOPs say", "FLOP/s", "decode step")
_READ += ("its attention", "KV cache", "memory of the prefill")
_WHOLE = ("model, shown", "kept", "encoder", "selection", "of the saved prefill", "prefill", "decode step")
_WHOLE += ("encoder's share",)
_WHOLE += tuple(f"{n} new token{'s' * (n > 1)}: times quicker (FLOPs say)" for n in ANSWERS)


def tables(run: Run, part: str) -> dict[str, str]:
    """What is read at every ratio, and what whole answers cost, for the places of that part on the page."""
    cases = [figure.case for figure in run.measured if figure.what == "prefill"]
    read = [_line(*_READ), _line(*["---"] * len(_READ)), *(_reading(run, case) for case in cases)]
    whole = [_line(*_WHOLE), _line(*["---"] * len(_WHOLE)), *(_answer(run, case) for case in cases)]
    return {f"{part}-table": "\n".join([*read, *_numbers(run)]), f"{part}-answers-table": "\n".join(whole)}


def answer_parts(run: Run, case: Case) -> tuple[float, float, float, float]:
    """Median seconds of encoder, selection (none where all is kept), prefill and one decode step."""
    media = _of(case)
    selection = run.figure("selection", **media).median if case["keep"] < 1 else 0.0
    prefill, step = (run.figure(what, **case).median for what in ("prefill", "decode step"))
    return run.figure("encoder", **media).median, selection, prefill, step


def answer_seconds(run: Run, case: Case, n_new: int) -> float:
    """Of a whole answer: the sum of the medians of its parts; its first token comes out of the prefill."""
    encoder, selection, prefill, step = answer_parts(run, case)
    return encoder + selection + prefill + (n_new - 1) * step


def _reading(run: Run, case: Case) -> str:
    prefill, step = (run.figure(what, **case) for what in ("prefill", "decode step"))
    rate = run.estimate("prefill, counted", **case).value / prefill.median
    return _line(
        *_name(case),
        f"{case['L']:,} tokens",
        _time(prefill),
        f"{_unpruned(run, case).median / prefill.median:.2f}",
        f"{run.estimate('prefill ratio', **case).value:.2f}",
        f"{shown(rate, 'FLOP')}/s",
        _time(step),
        shown(run.figure("attention of a step", **case).median, "s"),
        *(shown(run.figure(what, **case).median, "bytes") for what in ("KV cache", "memory of the prefill")),
    )


def _answer(run: Run, case: Case) -> str:
    whole, parts = _unpruned(run, case).case, answer_parts(run, case)
    return _line(
        *_name(case),
        *(shown(part, "s") for part in parts[:2]),
        f"{parts[1] / (_unpruned(run, case).median - parts[2]):.3%}" if case["keep"] < 1 else "",
        *(shown(part, "s") for part in parts[2:]),
        f"{parts[0] / answer_seconds(run, case, 1):.0%}",
        *(
            f"{answer_seconds(run, whole, n) / answer_seconds(run, case, n):.2f} "
            f"({run.estimate('answer ratio', **case, new=n).value:.2f})"
            for n in ANSWERS
        ),
    )


def _numbers(run: Run) -> list[str]:
    """Which numbers a CPU computed in, and why; of a GPU nothing, which was not asked."""
    tried = [f"{shown(one.median, 's')} in {one.dtype}" for one in run.measured if one.what == "one product"]
    return (
        ["", f"One product of a feed-forward layer: {', '.join(tried)}. The quicker was taken."]
        if tried
        else []
    )


def _unpruned(run: Run, case: Case) -> Figure:
    return run.figure("prefill", **_of(case) | {"keep": RATIOS[0]})


def _of(case: Case) -> Case:
    """What was shown to which model, whatever was kept of it."""
    return {name: case[name] for name in ("model", "shown", "views", "tokens")}


def _name(case: Case) -> tuple[str, str]:
    kept = f"{case['K']:,} of {case['tokens']:,} ({case['keep']:.0%})"
    return f"{case['model']}, {case['shown']}", kept


def _time(figure: Figure) -> str:
    return f"{shown(figure.median, 's')} ({shown(figure.low, 's')}..{shown(figure.high, 's')})"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
