"""Answer /overlay: the picture with its kept patches, or the film of a clip, as a file."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from gradio.utils import get_upload_folder

from ..export.download import copy_into_cache, explain_storage_errors
from ..export.overlay import write_overlay
from ..state.app_state import AppState, PageRun
from ..state.sources import file_source, load_frames
from .arguments import checked_settings, settings_dict


def draw_overlay(
    state: AppState,
    media: object,
    question: str,
    keep_ratio: float,
    weight: float,
    method: str,
    query: str,
    budget: str,
    n_frames: int,
    frame: int | None = None,
) -> str:
    """Draw which patches of a picture or a clip a question keeps: they stay bright, all else is dimmed.

    Quick, as nothing is answered.

    Returns:
        A PNG of a picture or of one frame, or an MP4 of all frames of a clip at their own pace.
    """
    source = file_source(media, n_frames)
    kind = "mp4" if frame is None and load_frames(source)[0].clip else "png"
    with explain_storage_errors(), state.borrow_model() as explainer, TemporaryDirectory() as folder:
        config = checked_settings(explainer, keep_ratio, weight, method, query, budget)
        run = PageRun(
            source, question, method, settings_dict(config)["query"], budget, model=state.models.generation
        )
        sliders = {"keep": keep_ratio, "weight": weight}
        file, _ = write_overlay(state, run, sliders, kind, 0 if frame is None else frame, Path(folder))
        return copy_into_cache(file, get_upload_folder())
