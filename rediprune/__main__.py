"""python -m rediprune COMMAND.

    answer IMAGE "QUESTION"   one question, with all visual tokens and with the kept ones
    sweep IMAGE "QUESTION"    the same over methods and keep ratios: from where on does the answer hold?
    check [MODEL]             does pruning do what it says with this model on this machine?

Exit codes: 0 done, 1 a check failed, 2 bad input (one sentence on stderr), 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from .config import BUDGETS, METHODS, POINTINGS, POSITIONS, QUERIES, PruneConfig, alpha_from_weight

if TYPE_CHECKING:
    from .explainer import Explainer
    from .trace import Timing, Trace

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
CLIPS = (".mp4", ".gif")
CLIP_SIDE = 640  # longer side of the clip that is written, in pixels


class BadInput(ValueError):
    """The command line cannot be carried out; the message is one sentence."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message} (see `{self.prog} --help`)")


def main(argv: list[str] | None = None) -> int:
    """Run one sub-command; returns the exit code."""
    try:
        args = _parser().parse_args(argv)
        return args.run(args)
    except (ValueError, OSError) as error:
        return _refuse(error)
    except RuntimeError as error:
        from .models import ModelError  # here: a mistyped path need not wait for transformers to load

        if not isinstance(error, ModelError):
            raise
        return _refuse(error)
    except KeyboardInterrupt:
        return 130


def _refuse(error: Exception) -> int:
    print(f"rediprune: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m rediprune", description="Keep the visual tokens that matter to the question."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_answer(commands)
    _add_sweep(commands)
    _add_check(commands)
    return parser


def _add_answer(commands: argparse._SubParsersAction) -> None:
    answer = commands.add_parser(
        "answer",
        help="answer one question with and without pruning",
        description="One question about a picture or clip, with all visual tokens and with the kept ones.",
    )
    answer.set_defaults(run=run_answer)
    _add_input(answer)
    answer.add_argument(
        "--keep-ratio", type=float, metavar="R", help="share of the tokens to keep, in (0, 1]"
    )
    trade = answer.add_mutually_exclusive_group()
    trade.add_argument("--weight", type=float, metavar="W", help="of relevance against distance, in [0, 1]")
    trade.add_argument(
        "--alpha", type=float, metavar="A", help="the same as the paper writes it: W / (1 - W)"
    )
    answer.add_argument("--tau", type=float, help="the published candidate filter; 0 is off")
    answer.add_argument("--method", choices=METHODS)
    answer.add_argument(
        "--repeats", type=int, default=3, metavar="N", help="timed runs; 0 times nothing (default 3)"
    )
    _add_where(answer)
    answer.add_argument(
        "--out", type=Path, default=Path("overlay.png"), metavar="FILE", help="default overlay.png"
    )
    answer.add_argument(
        "--clip",
        type=Path,
        metavar="FILE",
        help="also write the frames, kept tokens outlined, as .mp4 or .gif",
    )
    answer.add_argument("--json", type=Path, metavar="FILE", help="write the whole run as JSON")


def _add_input(command: argparse.ArgumentParser) -> None:
    """What is asked about what, and of which model, and the settings that hold for every method."""
    command.add_argument("file", help="a picture, a video or an animated picture")
    command.add_argument("question")
    command.add_argument(
        "--model", help="a folder or a Hub name, e.g. llava-hf/llava-1.5-7b-hf (default: built in)"
    )
    command.add_argument("--query", choices=QUERIES)
    command.add_argument("--pointing", choices=POINTINGS, help="how tokens meet the text-tower query")
    command.add_argument("--frames", type=int, default=8, metavar="T", help="taken of a clip (default 8)")
    command.add_argument("--budget", choices=BUDGETS, help="each frame keeps its share, or one for all")
    command.add_argument("--positions", choices=POSITIONS, help="of the kept tokens in the prompt")
    command.add_argument("--seed", type=int, help="of the random method")
    command.add_argument("--max-new-tokens", type=int, default=48, metavar="M")


def _add_sweep(commands: argparse._SubParsersAction) -> None:
    sweep = commands.add_parser(
        "sweep",
        help="every method at every keep ratio, for one question",
        description="How likely the unpruned answer stays at each keep ratio, and what is saved.",
    )
    sweep.set_defaults(run=run_sweep)
    _add_input(sweep)
    _add_where(sweep)
    sweep.add_argument(
        "--methods",
        metavar="A,B",
        help=f"of {', '.join(METHODS)} (default: all that the model can; random is always added)",
    )
    sweep.add_argument(
        "--ratios", default="0.05,0.1,0.15,0.25,0.5,0.75", metavar="R,R", help="default %(default)s"
    )
    sweep.add_argument("--weights", metavar="W,W", help="of rediprune, in [0, 1] (default: the model's)")
    sweep.add_argument(
        "--seeds", type=int, default=5, metavar="S", help="masks that random is the mean of (default 5)"
    )
    sweep.add_argument("--csv", type=Path, metavar="FILE", help="also write the table as CSV")


def _add_check(commands: argparse._SubParsersAction) -> None:
    check = commands.add_parser(
        "check",
        help="does pruning do what it says with this model on this machine?",
        description="Run every check that needs real weights, and print what was measured.",
    )
    check.set_defaults(run=run_check)
    check.add_argument("model", nargs="?", help="a folder or a Hub name (default: the built-in model)")
    check.add_argument("--repeats", type=int, default=3, metavar="N", help="timed runs (default 3)")
    _add_where(check)


def _add_where(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps, auto (default cpu)")
    command.add_argument("--dtype", default="auto", help="auto, float32, bfloat16, float16 (default auto)")
    command.add_argument(
        "--quantise",
        choices=("int8", "int4"),
        help="the LLM in 8 or 4 bits; needs bitsandbytes and accelerate",
    )


def _load(args: argparse.Namespace) -> Explainer:
    """The model that the command line names, where and in the numbers that it says."""
    from .explainer import DEFAULT_MODEL, Explainer

    where = {"device": args.device, "dtype": args.dtype, "quantise": args.quantise}
    return Explainer.from_pretrained(args.model or DEFAULT_MODEL, **where)


def run_check(args: argparse.Namespace) -> int:
    """Load the model, run the checks, print a line for each as it is done; 0 where none failed, else 1."""
    if args.repeats < 1:
        raise BadInput(f"--repeats {args.repeats} is out of range: it must be at least 1")
    from .check import check, read_known

    known = read_known()
    explainer = _load(args)
    model = explainer.model
    print(f"{explainer.name}: {type(model).__name__}, {model.dtype}, on {model.device}".replace("torch.", ""))
    verdicts = []
    for made in check(explainer, known, args.repeats):
        verdicts.append(made)
        word = {True: "pass", False: "FAIL", None: " -  "}[made.passed]
        print(f"{word}  {made.name:<30} {made.seconds:6.1f} s  {made.detail}", flush=True)
    failed = [made.name for made in verdicts if made.passed is False]
    passed = sum(made.passed is True for made in verdicts)
    print(f"{passed} passed, {len(failed)} failed" + (f": {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def run_answer(args: argparse.Namespace) -> int:
    """The `answer` command. What can be refused without the model is refused before it is loaded."""
    changes = _config_changes(args)
    PruneConfig(**changes)
    _check_outputs(args)
    from .look import shown_media
    from .media.either import load_media

    loaded = load_media(args.file, args.frames)
    shown = shown_media(getattr(loaded, "image", loaded))
    if args.clip and not shown.clip:
        raise BadInput(f"--clip={args.clip} needs a clip, but {args.file} is a still picture: leave it out")

    from . import draw

    explainer = _load(args)
    config = replace(explainer.defaults, **changes)
    trace = explainer.run(shown, args.question, config, max_new_tokens=args.max_new_tokens)
    trace = replace(trace, notes=(*loaded.notes, *trace.notes))
    timings = {}
    if args.repeats:
        look = explainer.look(shown)
        asked = explainer.ask(look, args.question, config)
        for name, kept, where in (("full", None, "compacted"), ("pruned", trace.kept, config.positions)):
            timings[name] = explainer.time(look, asked, kept, where, repeats=args.repeats, warmup=1)

    print(report(trace, timings, explainer.knows))
    draw.overlay(trace, shown.frames).save(args.out)
    print(f"Wrote {args.out}")
    if args.clip:
        from .clip import save_clip

        film = draw.film(shown.frames, trace.vision, trace.kept, CLIP_SIDE)
        save_clip(film, args.clip, draw.film_fps(shown.seconds))
        print(f"Wrote {args.clip}")
    if args.json:
        from .export import as_dict

        args.json.write_text(json.dumps(as_dict(trace, timings), indent=1, allow_nan=False), encoding="utf-8")
        print(f"Wrote {args.json}")
    return 0


def run_sweep(args: argparse.Namespace) -> int:
    """The `sweep` command: a line for each point as it is done, then what can be read off them."""
    changes = _config_changes(args)
    PruneConfig(**changes)
    methods = args.methods and [name.strip() for name in args.methods.split(",")]
    ratios, weights = _numbers(args, "ratios"), _numbers(args, "weights")
    for name in methods or ():
        PruneConfig(method=name)
    for ratio in ratios:
        PruneConfig(keep_ratio=ratio)
    for weight in weights or ():
        alpha_from_weight(weight)
    _check_folders(args.csv)
    from .look import shown_media
    from .media.either import load_media

    loaded = load_media(args.file, args.frames)
    shown = shown_media(getattr(loaded, "image", loaded))
    from . import sweep_report as table
    from .sweep import sweep

    explainer = _load(args)
    look, points = explainer.look(shown), []
    config = replace(explainer.defaults, **changes)
    chosen, length = methods or explainer.methods, args.max_new_tokens
    for point in sweep(
        explainer, look, args.question, chosen, ratios, weights, config, args.seeds, max_new_tokens=length
    ):
        if not points:
            print(table.opening(args.question, look.n_visual, point))
        points.append(point)
        print(table.row(point), flush=True)
    print(f"\n{table.summary(points)}")
    if args.csv:
        args.csv.write_text(table.as_csv(points), encoding="utf-8")
        print(f"Wrote {args.csv}")
    return 0


def _numbers(args: argparse.Namespace, name: str) -> list[float] | None:
    """A list of numbers of the command line, None where it was not given."""
    given = getattr(args, name)
    try:
        return given and [float(part) for part in given.split(",")]
    except ValueError:
        raise BadInput(f"--{name}={given} must be numbers with commas between them, as 0.1,0.25") from None


def report(trace: Trace, timings: dict[str, Timing], knows: str = "") -> str:
    """The run as text: answers, what was kept, estimates and measurements apart, agreement, notes."""
    s, a = trace.savings, trace.agreement
    on_full, on_pruned = (a.full_on_full, a.pruned_on_full), (a.full_on_pruned, a.pruned_on_pruned)
    n, k = s.n_visual_full, s.n_visual_pruned
    mib = 2**20
    lines = [
        f"Question        {trace.question}",
        f"All {n:<11} {trace.full.text or '(no words)'}",
        f"Kept {k:<10} {trace.pruned.text or '(no words)'}",
        "",
        f"Kept {k} of {n} tokens{_of_each(trace)}: {trace.config.rule}",
        "",
        "Estimated from the model's shapes (1 multiply-add = 2 FLOPs), full / pruned:",
        f"  visual tokens only, as the papers count   {s.visual_only:6.2f}x",
        f"  LLM prefill with its text                 {s.prefill:6.2f}x",
        f"  end to end, encoder and decoding too      {s.end_to_end:6.2f}x   "
        f"{_si(s.full.total)}FLOP -> {_si(s.pruned.total)}FLOP",
        f"  KV cache after prefill                    {s.kv_bytes_full / s.kv_bytes_pruned:6.2f}x   "
        f"{s.kv_bytes_full / mib:.2f} MiB -> {s.kv_bytes_pruned / mib:.2f} MiB",
    ]
    if timings:
        full, pruned = timings["full"], timings["pruned"]
        parts = (("prefill", "prefill"), ("per token", "per_token"))
        runs = f"median of {full.repeats} after {full.warmup} warm-up, (fastest..slowest)"
        lines += [
            "",
            f"Measured on {full.device}, {runs}:",
            *(f"  {name:<11} {_spread(full, part)} -> {_spread(pruned, part)}" for name, part in parts),
        ]
    lines += [
        "",
        "Agreement, log-probability in nats (0 is certain) full model   pruned model",
        f"  of the full model's answer                      {on_full[0]:11.3f} {on_full[1]:14.3f}",
        f"  of the pruned model's answer                    {on_pruned[0]:11.3f} {on_pruned[1]:14.3f}",
        f"  KL divergence of the first answer token         {a.kl_first:11.3f}",
        f"  {'Both answers read the same.' if a.same_text else 'The answers differ.'}",
    ]
    notes = [*trace.notes, *([f"What this model knows: {knows}"] if knows else [])]
    return "\n".join([*lines, *([""] if notes else []), *(f"Note: {note}" for note in notes)])


def _of_each(trace: Trace) -> str:
    """How many were kept of every frame or tile, where there are several."""
    counts = [len(mine) for mine in trace.vision.per_frame(trace.kept)]
    return f" ({' + '.join(map(str, counts))})" if len(counts) > 1 else ""


def _config_changes(args: argparse.Namespace) -> dict:
    names = ("keep_ratio", "alpha", "tau", "method", "query", "pointing", "seed", "budget", "positions")
    changes = {name: value for name in names if (value := getattr(args, name, None)) is not None}
    if getattr(args, "weight", None) is not None:
        changes["alpha"] = alpha_from_weight(args.weight)
    for name, least in (("max_new_tokens", 1), ("repeats", 0), ("seeds", 1)):
        if getattr(args, name, least) < least:
            raise BadInput(
                f"--{name.replace('_', '-')}={getattr(args, name)} is out of range: it must be >= {least}"
            )
    return changes


def _check_outputs(args: argparse.Namespace) -> None:
    if args.out.suffix.lower() not in PICTURES:
        raise BadInput(f"--out={args.out} has no known picture ending: use one of {', '.join(PICTURES)}")
    if args.clip and args.clip.suffix.lower() not in CLIPS:
        raise BadInput(f"--clip={args.clip} has no known ending of a clip: use one of {', '.join(CLIPS)}")
    _check_folders(args.out, args.json, args.clip)


def _check_folders(*files: Path | None) -> None:
    for path in filter(None, files):
        if not path.parent.is_dir():
            raise BadInput(f"there is no folder {path.parent} to write {path.name} into")


def _spread(timing: Timing, part: str) -> str:
    low, high = getattr(timing, f"{part}_spread")
    return f"{getattr(timing, part) * 1e3:.1f} ms ({low * 1e3:.1f}..{high * 1e3:.1f})"


def _si(flops: float) -> str:
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if flops >= size:
            return f"{flops / size:.3g} {unit}"
    return f"{flops:.0f} "


if __name__ == "__main__":
    sys.exit(main())
