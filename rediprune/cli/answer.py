"""Run `answer IMAGE "QUESTION"`: one question, with all visual tokens and with the kept ones."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import METHODS, PruneConfig
from ..files.atomic_write import check_outputs, replace_file
from .answer_report import report
from .arguments import BadInput, add_device, add_input, config_changes, load

if TYPE_CHECKING:
    from ..explainer.encode import MediaInput
    from ..trace import Trace

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
CLIPS = (".mp4", ".gif")
TIMED_STEPS = 8  # decode steps of every timed run
CLIP_SIDE = 640  # longer side of the clip that is written, in pixels


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the arguments of `answer`."""
    answer = commands.add_parser(
        "answer",
        help="answer one question with and without pruning",
        description="One question about a picture or clip, with all visual tokens and with the kept ones.",
    )
    answer.set_defaults(run=run)
    add_input(answer)
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
    add_device(answer)
    answer.add_argument(
        "--out", type=Path, default=Path("overlay.png"), metavar="FILE", help="default overlay.png"
    )
    answer.add_argument(
        "--clip",
        type=Path,
        metavar="FILE",
        help="also write the frames, kept tokens outlined, as .mp4 or .gif",
    )
    answer.add_argument(
        "--picking",
        type=Path,
        metavar="FILE",
        help="also write how they were picked, as a film (.mp4, .gif) or in six stages (.png)",
    )
    answer.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write the whole run as JSON; load_trace opens it",
    )


def run(args: argparse.Namespace) -> int:
    """Answer the question both ways, print the report and write the files; return 0.

    Input that can be refused without the model is refused before the model is loaded.
    """
    changes = config_changes(args)
    PruneConfig(**changes)
    _check_outputs(args)
    from ..explainer.encode import as_media_input
    from ..media.load import load_media
    from ..query.question import checked_text

    checked_text(args.question)
    loaded = load_media(args.file, args.frames)
    media = as_media_input(loaded)
    if args.clip and not media.clip:
        raise BadInput(f"--clip={args.clip} needs a clip, but {args.file} is a still picture: leave it out")

    from .. import draw

    explainer = load(args)
    config = replace(explainer.defaults, **changes)
    trace = explainer.run(media, args.question, config, max_new_tokens=args.max_new_tokens)
    trace = replace(trace, notes=(*loaded.notes, *trace.notes))
    timings = {}
    if args.repeats:
        encoding = explainer.look(media)
        question = explainer.ask(encoding, args.question, config)
        full, pruned = explainer.time_both(
            encoding, question, trace.kept, args.repeats, steps=TIMED_STEPS, positions=config.positions
        )
        timings = {"full": full, "pruned": pruned}

    print(report(trace, timings, explainer.knows))
    with replace_file(args.out) as part:
        draw.overlay(trace, media.frames).save(part)
    print(f"Wrote {args.out}")
    if args.clip:
        from ..media.save_clip import save_clip

        film = draw.film(media.frames, trace.vision, trace.kept, CLIP_SIDE)
        save_clip(film, args.clip, draw.film_fps(media.seconds))
        print(f"Wrote {args.clip}")
    if args.picking:
        _write_picking(trace, media, args.picking)
        print(f"Wrote {args.picking}")
    if args.json:
        from ..replay.file import save_trace

        save_trace(trace, args.json, timings)
        print(f"Wrote {args.json}")
    return 0


def _write_picking(trace: Trace, media: MediaInput, file: Path) -> None:
    """Write how the tokens were picked: a sheet of stages (.png), or a film."""
    from .. import draw
    from ..media.save_clip import save_clip

    if file.suffix.lower() == ".png":
        with replace_file(file) as part:
            draw.picking_sheet(media.frames, trace.vision, trace.selection).save(part)
    else:
        film = draw.picking(media.frames, trace.vision, trace.selection, side=CLIP_SIDE)
        save_clip(film, file, draw.PICKING_FPS, one_palette=True)


def _check_outputs(args: argparse.Namespace) -> None:
    """Raise an error if a file cannot be written, or its name has an unknown ending."""
    if args.out.suffix.lower() not in PICTURES:
        raise BadInput(f"--out={args.out} has no known picture ending: use one of {', '.join(PICTURES)}")
    if args.clip and args.clip.suffix.lower() not in CLIPS:
        raise BadInput(f"--clip={args.clip} has no known ending of a clip: use one of {', '.join(CLIPS)}")
    if args.picking and args.picking.suffix.lower() not in (*CLIPS, ".png"):
        raise BadInput(f"--picking={args.picking} has no known ending: use one of {', '.join(CLIPS)}, .png")
    check_outputs(args.out, args.json, args.clip, args.picking, inputs=[args.file])
