"""What a visitor saves, made when it is asked for, at the sliders of that moment."""

from __future__ import annotations

from pathlib import Path

from rediprune import draw
from rediprune.explainer.encode import MediaInput
from rediprune.files.atomic_write import replace_file
from rediprune.media.save_clip import save_clip
from rediprune.tokens import VisionTokens
from rediprune.trace import Selection

from ..state.app_state import AppState, PageRun
from ..state.options import to_prune_config
from ..state.sources import load_frames
from ..state.user_tokens import parse_user_tokens

SIDES = {"mp4": 640, "gif": 480, "png": 448}  # longer side in pixels; a larger still picture stays as it is
# The same of the picking, where several frames share it; for "png" that of each moment on the sheet.
PICKING = {"mp4": (640, 960), "gif": (480, 720), "png": (320, 640)}
KINDS = (*SIDES, *(f"picking.{ending}" for ending in PICKING))


def write_overlay(
    state: AppState, run: PageRun, sliders: dict, kind: object, at: object, folder: Path, own: object = None
) -> tuple[Path, str]:
    """Write what the page shows, kept tokens outlined and the rest dimmed, or how it was picked.

    Args:
        desk: whose model looked at it; nothing is encoded again while that is remembered.
        run: what is shown.
        knobs: {"keep": ratio in (0, 1], "weight": in [0, 1]} of this moment.
        kind: one of KINDS: "png" is the frame or part `at`, "mp4" and "gif" are all frames at their own pace;
            "picking.mp4" and "picking.gif" the picking as a film, "picking.png" moments of it on a sheet.
        folder: where to.
        own: tokens that the visitor chose, in place of those at the sliders; not yet checked.

    Returns:
        The file and a sentence about it.

    Raises:
        ValueError: another kind, no such frame, the picture of another model, the picking of tokens that the
            visitor chose, or what `answer` refuses.
        ModelError: no model is open at this moment.
    """
    if kind not in KINDS:
        raise ValueError(f"A file of kind {kind!r} is not offered: choose one of {', '.join(KINDS)}.")
    if own is not None and kind.startswith("picking."):
        raise ValueError("tokens of your own choice have no order of picking; reset them first.")
    media, _ = load_frames(run.source)
    with state.borrow_explainer_of(run) as explainer:
        config = to_prune_config(explainer, sliders, run.method, run.query, run.budget)
        look = explainer.look(media)
        if own is None:
            selection = explainer.select(look, explainer.ask(look, run.question, config), config)
            kept, more = selection.kept(), "".join(f" {note}" for note in selection.notes)
        else:
            kept, more = parse_user_tokens(own, look.vision), ""
    percent = f"{round(100 * config.keep_ratio)}-percent"
    if kind.startswith("picking."):
        file, told = _picking(media, look.vision, selection, folder / f"picking-{percent}{Path(kind).suffix}")
        return file, told + more
    t = look.vision.shape[0]
    if isinstance(at, bool) or not isinstance(at, int) or not 0 <= at < t:
        raise ValueError(f"There is no frame {at!r} of {t}.")
    file = folder / f"kept-{percent if own is None else f'{len(kept)}-by-hand'}.{kind}"
    side = max(SIDES[kind], *media.size) if kind == "png" else SIDES[kind]
    pictures = draw.film(media.frames, look.vision, kept, side)
    size = "{} x {} pixels".format(*pictures[0].size)
    if kind == "png":
        with replace_file(file) as part:
            pictures[at].save(part)
        return file, f"Saved {file.name}: {size}.{more}"
    fps = draw.film_fps(media.seconds)
    save_clip(pictures, file, fps)
    return file, f"Saved {file.name}: {len(pictures)} frames of {size}, {fps:.3g} a second.{more}"


def _picking(media: MediaInput, vision: VisionTokens, selection: Selection, file: Path) -> tuple[Path, str]:
    """Write the picking as the file's ending says."""
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
