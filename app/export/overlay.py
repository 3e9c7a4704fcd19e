"""Make the pictures and films that a visitor saves, at the sliders of that moment."""

from __future__ import annotations

from pathlib import Path

from rediprune import draw
from rediprune.explainer.encode import MediaInput
from rediprune.explainer.prepare import prepare_run
from rediprune.files.atomic_write import replace_file
from rediprune.media.save_clip import save_clip
from rediprune.tokens import VisionTokens
from rediprune.trace import Selection

from ..state.app_state import AppState, PageRun
from ..state.options import to_prune_config
from ..state.sources import load_frames
from ..state.user_tokens import parse_user_tokens

SIDES = {"mp4": 640, "gif": 480, "png": 448}  # longer side in pixels; a larger still picture stays as it is
# Longer side of the film of the picking, for one frame and for several; "png": of each moment on the sheet.
PICKING = {"mp4": (640, 960), "gif": (480, 720), "png": (320, 640)}
KINDS = (*SIDES, *(f"picking.{ending}" for ending in PICKING))


def write_overlay(
    state: AppState,
    run: PageRun,
    sliders: dict,
    kind: object,
    frame: object,
    folder: Path,
    user_tokens: object = None,
) -> tuple[Path, str]:
    """Write what the page shows, kept tokens outlined and the rest dimmed, or how they were picked.

    Args:
        state: whose model encoded the picture; nothing is encoded again while that is remembered.
        run: what is shown.
        sliders: {"keep": ratio in (0, 1], "weight": in [0, 1]} of this moment.
        kind: one of KINDS: "png" is the frame or part `frame`, "mp4" and "gif" are all frames at their own
            pace; "picking.mp4" and "picking.gif" are films of the picking, "picking.png" is a sheet
            of moments of it.
        frame: number of the frame or part, from 0.
        folder: where to.
        user_tokens: flat indices that the visitor chose, in place of the selection; not yet checked.

    Returns:
        The file and a sentence about it.

    Raises:
        ValueError: another kind, no such frame, the picture of another model, the picking of tokens that the
            visitor chose, or settings that cannot be used.
        ModelError: no model is open at this moment.
    """
    if kind not in KINDS:
        raise ValueError(f"A file of kind {kind!r} is not offered: choose one of {', '.join(KINDS)}.")
    if user_tokens is not None and kind.startswith("picking."):
        raise ValueError("tokens of your own choice have no order of picking; reset them first.")
    media, _ = load_frames(run.source)
    with state.borrow_explainer_of(run) as explainer:
        config = to_prune_config(explainer, sliders, run.method, run.query, run.budget)
        if user_tokens is None:
            prepared = prepare_run(explainer, media, run.question, config)
            vision, selection = prepared.encoding.vision, prepared.selection
            kept = selection.kept()
            notes = "".join(f" {note}" for note in selection.notes)
        else:
            vision = explainer.look(media).vision
            kept = parse_user_tokens(user_tokens, vision)
            notes = ""
    percent = f"{round(100 * config.keep_ratio)}-percent"
    if kind.startswith("picking."):
        file, message = _write_picking(
            media, vision, selection, folder / f"picking-{percent}{Path(kind).suffix}"
        )
        return file, message + notes
    t = vision.shape[0]
    if isinstance(frame, bool) or not isinstance(frame, int) or not 0 <= frame < t:
        raise ValueError(f"There is no frame {frame!r} of {t}.")
    name = percent if user_tokens is None else f"{len(kept)}-by-hand"
    file = folder / f"kept-{name}.{kind}"
    side = max(SIDES[kind], *media.size) if kind == "png" else SIDES[kind]
    pictures = draw.film(media.frames, vision, kept, side)
    size = "{} x {} pixels".format(*pictures[0].size)
    if kind == "png":
        with replace_file(file) as part:
            pictures[frame].save(part)
        return file, f"Saved {file.name}: {size}.{notes}"
    fps = draw.film_fps(media.seconds)
    save_clip(pictures, file, fps)
    return file, f"Saved {file.name}: {len(pictures)} frames of {size}, {fps:.3g} a second.{notes}"


def _write_picking(
    media: MediaInput, vision: VisionTokens, selection: Selection, file: Path
) -> tuple[Path, str]:
    """Write the picking as a film or a sheet, by the file's ending."""
    ending = file.suffix[1:]
    side = PICKING[ending][vision.shape[0] > 1]
    if ending == "png":
        sheet = draw.picking_sheet(media.frames, vision, selection, side=side)
        with replace_file(file) as part:
            sheet.save(part)
        return file, f"Saved {file.name}: {sheet.width} x {sheet.height} pixels."
    pictures = draw.picking(media.frames, vision, selection, side=side)
    save_clip(pictures, file, draw.PICKING_FPS, one_palette=True)
    seconds = len(pictures) / draw.PICKING_FPS
    return (
        file,
        f"Saved {file.name}: {seconds:g} seconds of {pictures[0].width} x {pictures[0].height} pixels.",
    )
