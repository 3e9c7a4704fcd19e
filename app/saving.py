"""The overlay as a file, made when it is asked for, at the sliders of that moment."""

from __future__ import annotations

from pathlib import Path

from rediprune import draw
from rediprune.clip import save_clip

from .controls import settings
from .desk import Desk, Run
from .own import own_tokens
from .sources import shown

SIDES = {"mp4": 640, "gif": 480, "png": 448}  # longer side in pixels; a larger still picture stays as it is


def overlay_file(
    desk: Desk, run: Run, knobs: dict, kind: object, at: object, folder: Path, own: object = None
) -> tuple[Path, str]:
    """Write what the page shows, kept tokens outlined and the rest dimmed.

    Args:
        desk: whose model looked at it; nothing is encoded again while that is remembered.
        run: what is shown.
        knobs: {"keep": ratio in (0, 1], "weight": in [0, 1]} of this moment.
        kind: one of SIDES: "png" is the frame or part `at`, the others are all frames at their own pace.
        folder: where to.
        own: tokens that the visitor chose, in place of those at the sliders; not yet checked.

    Returns:
        The file and a sentence about it.

    Raises:
        ValueError: another kind, no such frame, the picture of another model, or what `answer` refuses.
        ModelError: no model is open at this moment.
    """
    if kind not in SIDES:
        raise ValueError(f"A file of kind {kind!r} is not offered: choose one of {', '.join(SIDES)}.")
    media, _ = shown(run.source)
    with desk.models.using() as explainer:
        if run.model != desk.models.number:
            raise ValueError("the picture is an earlier model's; answer again with this one, then save.")
        config = settings(explainer, knobs, run.method, run.query, run.budget)
        look = explainer.look(media)
        if own is None:
            kept = explainer.select(look, explainer.ask(look, run.question, config), config).kept()
        else:
            kept = own_tokens(own, look.vision)
    t = look.vision.shape[0]
    if isinstance(at, bool) or not isinstance(at, int) or not 0 <= at < t:
        raise ValueError(f"There is no frame {at!r} of {t}.")
    name = f"kept-{round(100 * config.keep_ratio)}-percent" if own is None else f"kept-{len(kept)}-by-hand"
    file = folder / f"{name}.{kind}"
    side = max(SIDES[kind], *media.size) if kind == "png" else SIDES[kind]
    pictures = draw.film(media.frames, look.vision, kept, side)
    size = "{} x {} pixels".format(*pictures[0].size)
    if kind == "png":
        pictures[at].save(file)
        return file, f"Saved {file.name}: {size}."
    fps = draw.film_fps(media.seconds)
    save_clip(pictures, file, fps)
    return file, f"Saved {file.name}: {len(pictures)} frames of {size}, {fps:.3g} a second."
