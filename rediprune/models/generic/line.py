"""Define what has to be said about a family that the generic adapter serves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """Hold what the generic adapter must know about one family.

    Attributes:
        projector: path of the projector inside the model.
        entry: path inside the projector of the first module that is given one row (or `group` consecutive
            rows) for each visual token; "" where that is the projector itself.
        group: rows of the entry that make one visual token.
        behind: paths of modules that every row goes through behind the projector, before it is in the prompt.
        joined: whether the entry takes two tensors with a row for each token, instead of one.
        channels_first: whether the entry is a convolution, given [B, C, rows, columns].
        layout: how tokens make up images and where they lie, a key of `overlays.LAYOUTS`.
        mrope: whether the LLM counts positions along three axes, by the model's own `get_rope_index`.
        first_position: 1 where the LLM counts positions from one.
        deepstack: path of further projectors, whose results are added behind the first layers of the LLM.
        causal_type: token type of generated text, where the model tells text and images apart by types.
        inputs: names of what the feature function takes, where its signature does not say them.
        video: whether clips are served too.
        shared_placeholder: whether clips have the placeholders of images.
        since: major and minor of the oldest transformers with which its tests passed; (0, 0) for every
            version that is allowed here.
    """

    projector: str
    entry: str = ""
    group: int = 1
    behind: tuple[str, ...] = ()
    joined: bool = False
    channels_first: bool = False
    layout: str = "unknown"
    mrope: bool = False
    first_position: int = 0
    deepstack: str = ""
    causal_type: int = 0
    inputs: tuple[str, ...] = ()
    video: bool = False
    shared_placeholder: bool = False
    since: tuple[int, int] = (0, 0)
