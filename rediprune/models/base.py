"""What a model family must say about itself so that its visual tokens can be pruned before the projector.

A family is: a vision encoder whose tokens are read at one point (`look`), a projector (`project`), and an LLM
that takes its prompt as embeddings (`splice`). Everything else here is common to all families.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..trace import VisionTokens

if TYPE_CHECKING:  # numbers only; the accounting is no station of the data path
    from ..savings import ModelShapes


class ModelError(RuntimeError):
    """A model, processor or input that cannot be used; the message is one sentence for a user."""


class Adapter(ABC):
    """One loaded model, seen as encoder -> tokens -> projector -> LLM. Nothing in the model is changed.

    Attributes:
        model: the transformers model, as it came.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model

    # What each family says -------------------------------------------------------------------------------

    @abstractmethod
    def look(
        self,
        pixel_values: Tensor,
        image_sizes: Sequence[tuple[int, int]] | None = None,
        processor: object | None = None,
    ) -> VisionTokens:
        """Run the vision encoder and read the tokens that the projector would receive; never builds a graph.

        Args:
            pixel_values: [T, 3, H, W] from the family's processor.
            image_sizes: (width, height) of the T original images. Without them the geometry is in
                preprocessed pixels.
            processor: the processor that made `pixel_values`; needed with `image_sizes`.

        Raises:
            ModelError: pixel values of another shape than the encoder takes.
        """

    @abstractmethod
    def project(self, features: Tensor) -> Tensor:
        """[..., C] to [..., D]: the model's own projector, token by token."""

    @abstractmethod
    def placeholders(self, input_ids: Tensor, n_images: int) -> list[tuple[int, Tensor]]:
        """For each of the `n_images` images, in the order of pixel_values: (prompt b, positions [N] in it).

        Raises:
            ModelError: prompt and images do not belong together.
        """

    @abstractmethod
    def shapes(self) -> ModelShapes:
        """The numbers that the FLOPs depend on, all from the model's config."""

    @property
    @abstractmethod
    def image_token_id(self) -> int:
        """Token id of the placeholders that stand for visual tokens in a prompt."""

    @property
    @abstractmethod
    def value_path(self) -> Callable[[Tensor], Tensor] | None:
        """The visual tokens through LN -> v_proj -> out_proj of the encoder's last block, [T, N, C] -> same.

        This is the block without its attention mixing, residual and MLP (MaskCLIP, arXiv 2112.01071). None
        where the tokens are not read right before that block, or the block is built differently.
        """

    @property
    @abstractmethod
    def text_tower_name(self) -> str | None:
        """open_clip's "model/tag" of the CLIP whose vision tower this has the shape of, or None.

        Deduced from the config, which cannot tell whether the tower was fine-tuned since.
        """

    # What all families share -----------------------------------------------------------------------------

    def prompt_tail_embeddings(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        """The text behind the last image placeholder of one prompt, as the LLM embeds it.

        Args:
            input_ids: [L], padding already taken off.

        Returns:
            (embeddings [L', D], token ids [L']); L' = 0 where the prompt ends with its image.

        Raises:
            ModelError: no image placeholder in the prompt.
        """
        where = (input_ids == self.image_token_id).nonzero()
        if len(where) == 0:
            raise ModelError("the prompt holds no image placeholder, so no text comes behind one")
        ids = input_ids[int(where[-1]) + 1 :]
        return self.model.get_input_embeddings()(ids), ids

    def splice(
        self, input_ids: Tensor, attention_mask: Tensor | None, features: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Embed prompts with the kept visual tokens in place of their placeholders; the rest are taken out.

        Args:
            input_ids: [B, L] with N placeholders per image, as the processor made them.
            attention_mask: [B, L], or None where nothing is padded.
            features: per image, in the order of pixel_values, the kept tokens [K_i, C] before the projector,
                1 <= K_i <= N.

        Returns:
            (inputs_embeds [B, L', D], attention_mask [B, L']). Where prompts end up with different lengths
            they are padded on the left anew. With all tokens kept, L' = L and nothing is moved.

        Raises:
            ModelError: prompt and images do not belong together, or more tokens than placeholders.
        """
        slots = self.placeholders(input_ids, len(features))
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        embeds = self.model.get_input_embeddings()(input_ids)
        stays = torch.ones_like(input_ids, dtype=torch.bool)
        for (row, positions), tokens in zip(slots, self._project_each(features), strict=True):
            k = len(tokens)
            if not 1 <= k <= len(positions):
                raise ModelError(
                    f"{k} visual tokens for an image whose prompt has room for 1 to {len(positions)}"
                )
            embeds[row, positions[:k]] = tokens.to(embeds.device, embeds.dtype)
            stays[row, positions[k:]] = False
        if stays.all():
            return embeds, mask
        # Padding that made room for tokens which are gone now would be paid for in every layer.
        stays &= mask.bool()

        lengths = stays.sum(1)
        length = int(lengths.max())
        new_embeds = embeds.new_zeros(len(embeds), length, embeds.shape[-1])
        new_mask = mask.new_zeros(len(mask), length)
        for row, n in enumerate(lengths.tolist()):
            new_embeds[row, length - n :] = embeds[row, stays[row]]
            new_mask[row, length - n :] = mask[row, stays[row]]
        return new_embeds, new_mask

    def _project_each(self, features: Sequence[Tensor]) -> list[Tensor]:
        # One call for images of the same count, in the very shape that the unpruned model would use: at 100%
        # the same matrix product runs, so the result is equal to the last bit.
        if len({len(f) for f in features}) == 1:
            return list(self.project(torch.stack(list(features))))
        return [self.project(f[None])[0] for f in features]
