"""Define what a model family says about itself so that its tokens can be pruned before the projector.

A family is: a vision encoder whose tokens are read at one point (`look`), a projector (`project`), and an LLM
that takes its prompt as embeddings (`splice`). Everything else here is common to all families.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..config import ASKS_ATTENTION, METHODS
from ..tokens import VisionTokens, concat_tokens
from .errors import ModelError
from .outputs import EncodedItem, Prompt
from .query_text import QueryText, query_text, turn_ends
from .splice import Splicing

if TYPE_CHECKING:  # numbers only; the accounting is no station of the data path
    from ..costs.estimate import ModelShapes


class Adapter(Splicing, ABC):
    """Read one loaded model as encoder -> tokens -> projector -> LLM. Nothing in the model is changed.

    Attributes:
        model: the transformers model, as it came.
        kinds: what one placeholder can stand for, of "image" and "video". A family without "video" is shown a
            clip as several images.
        media_inputs: the arguments of `generate`, made by the processor, that `look` and `splice` read.
        vision_types: `model_type`s of the vision encoders that the family is known here with.
        n_closing: how many tokens that no config names the processor writes behind the placeholders of an
            image, to close it.
        own_space: why the vision encoder's tokens are in the space of no text tower, where that is so.
    """

    kinds: tuple[str, ...] = ("image",)
    media_inputs: tuple[str, ...] = ("pixel_values",)
    vision_types: ClassVar[frozenset[str]] = frozenset({"clip_vision_model", "siglip_vision_model"})
    n_closing: ClassVar[int] = 0
    own_space: ClassVar[str] = (
        "nothing says that its vision encoder stayed in the space of a text tower that open_clip has"
    )

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model

    @classmethod
    def serves(cls, config: Any) -> bool:
        """Tell whether this adapter serves models with such a config."""
        return config.vision_config.model_type in cls.vision_types

    # What each family says -------------------------------------------------------------------------------

    @abstractmethod
    def look(
        self,
        inputs: Mapping[str, Any],
        sizes: Sequence[tuple[int, int]] | None = None,
        processor: object | None = None,
    ) -> list[EncodedItem]:
        """Run the vision encoder and read the tokens that the projector would receive; never builds a graph.

        Args:
            inputs: what the family's processor returned; of it `media_inputs` are read.
            sizes: (width, height) of the original images, then of the clips' frames (one size for each clip).
                Without them the geometry is in preprocessed pixels.
            processor: the processor that made the inputs; needed with `sizes`.

        Returns:
            One EncodedItem for each image, then for each clip, in the order of the inputs.

        Raises:
            ModelError: inputs of another shape than the encoder takes.
        """

    @abstractmethod
    def project(self, features: Tensor) -> Tensor:
        """Project features [..., C] to [..., D] by the model's own projector, token by token."""

    @abstractmethod
    def shapes(self) -> ModelShapes:
        """Return the numbers that the FLOPs depend on, all from the model's config."""

    @property
    @abstractmethod
    def value_path(self) -> Callable[[Tensor], Tensor] | None:
        """Return LN -> v_proj -> out_proj of the encoder's last block, a function [T, N, C] -> [T, N, C].

        This is the block without its attention mixing, residual and MLP (MaskCLIP, arXiv 2112.01071). None
        where the tokens are not read right before that block, or the block is built differently.
        """

    @property
    @abstractmethod
    def text_tower_name(self) -> str | None:
        """open_clip's "model/tag" of the CLIP whose vision tower this has the shape of, or None.

        Deduced from the config, which cannot tell whether the tower was fine-tuned since.
        """

    # What a family may say otherwise -----------------------------------------------------------------------

    @property
    def why_no_text_tower(self) -> str:
        """Return in one clause why no text tower belongs to the vision tower; "" where one does."""
        return "" if self.text_tower_name else self.own_space

    @property
    def class_token(self) -> bool:
        """Tell whether `look` gives the attention of the encoder's class token (VisionTokens.attention)."""
        return False

    @property
    def methods(self) -> tuple[str, ...]:
        """Return the names in config.METHODS that can choose among this model's tokens."""
        return tuple(name for name in METHODS if self.class_token or name not in ASKS_ATTENTION)

    def project_all(self, seen: EncodedItem) -> Tensor:
        """Project every token of `seen.vision`: [T, N, D]; rows of absent tokens hold anything."""
        return self.project(seen.vision.features)

    def _llm_shapes(self) -> dict[str, int]:
        """Return the LLM's half of `shapes`, whose config reads alike in every family."""
        t = self.model.config.get_text_config(decoder=True)
        mlp = t.intermediate_size
        return dict(
            llm_layers=t.num_hidden_layers,
            llm_width=t.hidden_size,
            llm_mlp=round(fmean(mlp)) if isinstance(mlp, list | tuple) else mlp,
            n_heads=t.num_attention_heads,
            n_kv_heads=getattr(t, "num_key_value_heads", None) or t.num_attention_heads,
            head_dim=getattr(t, "head_dim", None) or t.hidden_size // t.num_attention_heads,
            vocab=t.vocab_size,
            kv_dtype_bytes=self.model.dtype.itemsize,
        )

    def shapes_for(self, vision: VisionTokens) -> ModelShapes:
        """Return `shapes` for frames like these, where the encoder's input depends on the picture's size."""
        return self.shapes()

    def token_id(self, kind: str) -> int:
        """Return the token id of the placeholders that stand for an image's or a video's tokens."""
        config = self.model.config
        return config.image_token_id if kind == "image" else config.video_token_id

    def run_processor(
        self,
        processor: Any,
        text: str,
        frames: Sequence[Image.Image],
        clip: bool = False,
        seconds: Sequence[float] = (),
    ) -> Mapping[str, Any]:
        """Call the processor for one prompt: the frames of one clip, or still images.

        Args:
            text: the prompt with one placeholder for the clip, or one for each image.
            frames: RGB, all of one size for a clip.
            seconds: when each frame of a clip is shown; not every family tells its LLM.
        """
        if not (clip and "video" in self.kinds):
            return processor(text=[text], images=list(frames), return_tensors="pt")
        pixels = np.stack([np.asarray(frame) for frame in frames])
        return processor(text=[text], videos=[pixels], do_sample_frames=False, return_tensors="pt")

    def embed_kept(self, seen: Sequence[EncodedItem], kept: Sequence[Tensor]) -> list[Tensor]:
        """Embed the kept tokens of every image and clip, with the model's separators.

        One call for all of the same kind and count, in the very shape that the unpruned model would use: at
        100% the same matrix product runs, so the result is equal to the last bit.

        Args:
            seen: every image and clip of the prompts.
            kept: of each, flat token indices, ascending, [K].

        Returns:
            Of each [S', D], as many as `EncodedItem.surviving(kept)` has True.
        """
        alike: dict[tuple[str, int], list[int]] = {}
        for i, (one, k) in enumerate(zip(seen, kept, strict=True)):
            alike.setdefault((one.kind, len(k)), []).append(i)
        found: dict[int, Tensor] = {}
        for mine in alike.values():
            tokens = torch.stack([seen[i].kept_features(kept[i]) for i in mine])
            found |= zip(mine, self.project(tokens), strict=True)
        return [found[i] for i in range(len(seen))]

    def n_projected(self, seen: EncodedItem, kept: Tensor) -> int:
        """Count the tokens that go through the projector so that flat indices [K] can be embedded."""
        return len(kept)

    @torch.no_grad()
    def projected(self, seen: Sequence[EncodedItem]) -> Tensor:
        """Project every token of all items: [T, N, D], laid out as by `concat_tokens`."""
        return concat_tokens([replace(one.vision, features=self.project_all(one)) for one in seen]).features

    def positions(self, input_ids: Tensor, mask: Tensor, inputs: Mapping[str, Any]) -> Tensor:
        """Return positions of the whole prompt, as the model would count them: [B, L], or [axes, B, L]."""
        return (mask.long().cumsum(-1) - 1).clamp(min=0)

    def compact_positions(self, positions: Tensor, stays: Tensor, visual: Tensor) -> Tensor | None:
        """Close the gaps that dropped tokens leave in the positions; None means 0, 1, 2, ...

        `stays` and `visual` are [B, L] bool: what is left (padding is not), and which are placeholders.
        """
        return None

    def finalize_prompt(
        self,
        prompt: Prompt,
        input_ids: Tensor,
        slots: Sequence[tuple[int, Tensor]],
        seen: Sequence[EncodedItem],
        kept: Sequence[Tensor],
    ) -> Prompt:
        """Return the prompt with whatever else the family's `with_prompt_hooks` needs (Prompt.extra).

        `slots` is what `placeholders` gave for these prompts [B, L]; the others are as in `splice`.
        """
        return prompt

    def token_types(
        self, input_ids: Tensor, stays: Tensor, inputs: Mapping[str, Any]
    ) -> dict[str, tuple[Tensor, int]]:
        """Return further arguments of the forward, by name: (values [B, L'], the value for text behind)."""
        return {}

    def with_prompt_hooks(self, prompt: Prompt, following: Tensor | None = None) -> AbstractContextManager:
        """Let the model's `generate` and `forward` be given the prompt's embeddings while this is open.

        Args:
            following: ids [B, n] of text whose embeddings are given behind those of the prompt, or None.
        """
        return nullcontext()

    # What all families share -----------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Return the device that prompts are embedded on.

        Offloaded weights lie on "meta", and accelerate's hook takes them to its device for as long as a call
        lasts; there the inputs belong.
        """
        layer = self.model.get_input_embeddings()
        where = getattr(getattr(layer, "_hf_hook", None), "execution_device", None)
        return layer.weight.device if where is None else torch.device(where)

    @property
    def image_token_id(self) -> int:
        return self.token_id("image")

    def is_placeholder(self, input_ids: Tensor) -> Tensor:
        """Return a mask [..., L] bool of the prompt tokens that stand for an image or a clip."""
        ids = torch.tensor([self.token_id(kind) for kind in self.kinds], device=input_ids.device)
        return torch.isin(input_ids, ids)

    def query_text(
        self, input_ids: Tensor, holds_question: Callable[[Tensor], bool] | None = None
    ) -> QueryText:
        """Choose the tokens of one prompt [L], padding taken off, that the prompt-tail query is made of.

        That is the published text behind the last placeholder, or the text of the whole turn where the
        question stands in front of it; `holds_question` and the rule are those of models.query_text.

        Raises:
            ModelError: no placeholder in the prompt.
        """
        self._last_placeholder(input_ids)
        placeholders = self.is_placeholder(input_ids)
        ends, closing = turn_ends(self.model), {getattr(self.model.config, "vision_end_token_id", None)}
        return query_text(input_ids, placeholders, ends, closing, self.n_closing, holds_question)

    def _last_placeholder(self, input_ids: Tensor) -> int:
        where = self.is_placeholder(input_ids).nonzero()
        if len(where) == 0:
            raise ModelError("the prompt holds no image placeholder, so no text comes behind one")
        return int(where[-1])

    def prompt_tail_embeddings(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Embed the text behind the last placeholder of one prompt.

        Args:
            input_ids: [L], padding already taken off.

        Returns:
            (embeddings [L', D], token ids [L']); L' = 0 where the prompt ends with its image.

        Raises:
            ModelError: no placeholder in the prompt.
        """
        ids = input_ids[self._last_placeholder(input_ids) + 1 :]
        return self.model.get_input_embeddings()(ids), ids
