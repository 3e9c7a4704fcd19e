"""Write the Python program that repeats the run on the page, with the library alone."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from rediprune import PruneConfig
from rediprune.explainer.explainer import DEFAULT_MODEL
from rediprune.explainer.protocol import ExplainerLike

from ..state.app_state import PageRun
from ..state.sources import CLIP_SECONDS

SLIDERS = ("keep_ratio", "alpha")
BY_RULE = "explainer.select(look, asked, config).kept()"


def build_snippet(explainer: ExplainerLike, run: PageRun, config: PruneConfig, clip: bool) -> dict:
    """Return the program in three parts; export.js puts the keep ratio and the weight between them.

    After the last part it puts how the tokens are chosen, and then `tail`.

    Args:
        explainer: the model that answered, or the opened run.
        clip: whether the input is a clip.

    Returns:
        "parts", "by_rule" and "tail", and "note": what a reader has to know or to fill in.
    """
    imports, media, note = _media(run, clip)
    dials = [f for f in fields(PruneConfig) if f.name not in SLIDERS]
    other = [(f.name, getattr(config, f.name)) for f in dials if getattr(config, f.name) != f.default]
    settings = "".join(f"    {name}={value!r},\n" for name, value in other)
    loaded, more = _model(explainer)
    parts = [
        f"import rediprune\n{imports}\nexplainer = {loaded}\n{media}"
        "config = rediprune.PruneConfig(\n    keep_ratio=",
        ",\n    alpha=rediprune.alpha_from_weight(",
        f"),\n{settings})\nlook = explainer.look(media)\n"
        f"asked = explainer.ask(look, {run.question.strip()!r}, config)\nkept = ",
    ]
    tail = (
        "\nprint(kept.tolist())\n"
        "print(explainer.answer(look, asked).text)\n"
        "print(explainer.answer(look, asked, kept).text)\n"
    )
    return {"parts": parts, "by_rule": BY_RULE, "tail": tail, "note": " ".join(x for x in (note, more) if x)}


def _media(run: PageRun, clip: bool) -> tuple[str, str, str]:
    """Return the imports, the lines that make `media`, and a note."""
    source = run.source
    if source.is_scene and source.clip:
        return (
            "from rediprune.explainer.encode import MediaInput\nfrom world import make_clip\n",
            f"frames = make_clip({source.seed}).images\n"
            f"seconds = tuple({CLIP_SECONDS} * t for t in range(len(frames)))\n"
            "media = MediaInput(tuple(frames), True, seconds)\n",
            "It runs in a clone of the repository, which can render the clip.",
        )
    if source.is_scene:
        return (
            "from world import make_scene\n",
            f"media = make_scene({source.seed}).image\n",
            "It runs in a clone of the repository, which can render the scene.",
        )
    path = f"PATH/TO/{Path(source.path).name}"
    note = "Replace PATH/TO by the folder of your own file."
    if source.trace:
        return (
            "from rediprune.explainer.encode import MediaInput\n",
            f"trace = rediprune.load_trace({path!r})\n"
            "media = MediaInput(trace.frames, trace.clip, trace.seconds)\n",
            note,
        )
    if clip:
        return (
            "from rediprune.media.load import load_media\n",
            f"media = load_media({path!r}, {source.n_frames})\n",
            note,
        )
    return "", f"media = rediprune.load_image({path!r}).image\n", note


def _model(explainer: ExplainerLike) -> tuple[str, str]:
    """Return how the model is opened, and a note."""
    name = explainer.name
    if name == DEFAULT_MODEL.name:
        return "rediprune.Explainer.from_pretrained()", ""
    note = "" if "/" in name else "Replace PATH/TO by the folder of the model."
    how = [repr(name if "/" in name else f"PATH/TO/{name}")]
    how += [f"{name}={value!r}" for name, value in explainer.load_arguments.items()]
    return f"rediprune.Explainer.from_pretrained({', '.join(how)})", note
