"""The Python that makes the run on the page again, by the library alone."""

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


def snippet(explainer: ExplainerLike, run: PageRun, config: PruneConfig, clip: bool) -> dict:
    """The program in three parts: between them go the keep ratio and the weight of the moment.

    Whose choice the tokens are goes behind the last part, and `tail` behind that (see `filled`).

    Args:
        explainer: the model that answered, or the opened run.
        clip: whether what is shown is a clip.

    Returns:
        "parts", "by_rule" and "tail", and "note": what a reader has to know or to put in.
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


def filled(made: dict, keep: float, weight: float, own: str = "") -> str:
    """The program at these sliders, or with the visitor's own tokens ("3,17"); along.js does the same."""
    a, b, c = made["parts"]
    tokens = own.replace(",", ", ")
    kept = f"torch.tensor([{tokens}])" if own else made["by_rule"]
    return ("import torch\n\n" if own else "") + f"{a}{keep}{b}{weight}{c}{kept}" + made["tail"]


def _media(run: PageRun, clip: bool) -> tuple[str, str, str]:
    """(imports, the lines that make `media`, a note)."""
    source = run.source
    if source.is_scene and source.clip:
        return (
            "from rediprune.explainer.encode import MediaInput\nfrom world import make_clip\n",
            f"frames = make_clip({source.seed}).images\n"
            f"seconds = tuple({CLIP_SECONDS} * t for t in range(len(frames)))\n"
            "media = MediaInput(tuple(frames), True, seconds)\n",
            "It runs in a clone of the repository, which holds the world that the clip is of.",
        )
    if source.is_scene:
        return (
            "from world import make_scene\n",
            f"media = make_scene({source.seed}).image\n",
            "It runs in a clone of the repository, which holds the world that the scene is of.",
        )
    path = f"PATH/TO/{Path(source.path).name}"
    note = "Put the path of your own file in the place of PATH/TO."
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
    """How the model is opened, and a note."""
    name = explainer.name
    if name == DEFAULT_MODEL.name:
        return "rediprune.Explainer.from_pretrained()", ""
    note = "" if "/" in name else "Put the folder of the model in the place of PATH/TO."
    how = [repr(name if "/" in name else f"PATH/TO/{name}")]
    how += [f"{name}={value!r}" for name, value in explainer.load_arguments.items()]
    return f"rediprune.Explainer.from_pretrained({', '.join(how)})", note
