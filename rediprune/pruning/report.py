"""Record what happened inside a prune block, call by call and image by image, or why nothing was pruned."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from ..config import PruneConfig
from ..costs.estimate import Costs, Savings, estimate_over_prompts
from ..tokens import Geometry
from ..trace import Query, Selection, to_html


class PruneError(RuntimeError):
    """Say in one sentence why nothing was or would be pruned."""


@dataclass(frozen=True)
class PrunedImage:
    """Hold what was done to one image or clip of one prompt.

    Attributes:
        call, prompt, image: which generate call, prompt of its batch and image of that prompt; from 0. A clip
            counts as one image.
        kind: "image" or "video".
        n_tokens: the visual tokens it had, over all of its frames or tiles.
        kept: [K] flat indices (t * N + n) of the kept tokens, ascending, on the CPU.
        selection: the picks in order, with their evidence. It ends at the K of config.keep_ratio, so it is of
            no use at a larger ratio (Selection.cut_from). Its frames are the frames of all images of the
            prompt, one image after the other. For the random method its config holds the seed of the draw
            (see `prune`). None at keep_ratio 1, where nothing is selected.
        query: what relevance was measured against, None if the method needs no query. It has no `keys`, which
            are as large as the features, and the prompt-tail query has no `tokens`: prune has no tokenizer.
        geometry: where its tokens lie, frame by frame, in pixels of the image that the encoder read.
        width: N, so that a flat index is t * N + n.
        first_frame: index of its first frame in the selection.
    """

    call: int
    prompt: int
    image: int
    kind: str
    n_tokens: int
    kept: Tensor
    selection: Selection | None
    query: Query | None
    geometry: tuple[Geometry, ...] = ()
    width: int = 0
    first_frame: int = 0


@dataclass(repr=False)
class PruneReport:
    """Hold what happened inside a prune block; it grows with every call that returns.

    Its str() is one sentence.

    Attributes:
        config: the settings of the block.
        model_name: the class of the model.
        images: one record for each image and clip, in the order of the calls.
        calls: how many generate calls have returned.
        notes: sentences for the reader, each once: the question came before the image, or the ratio kept
            every token. Each is a Python warning too.
        costs: what the estimate of each prompt is made of, in the order of the calls.
    """

    config: PruneConfig
    model_name: str
    images: list[PrunedImage] = field(default_factory=list)
    calls: int = 0
    notes: list[str] = field(default_factory=list)
    costs: list[Costs] = field(default_factory=list)

    @property
    def n_visual(self) -> int:
        """Return the number of visual tokens before pruning, summed over all images."""
        return sum(image.n_tokens for image in self.images)

    @property
    def n_kept(self) -> int:
        """Return the number of visual tokens that went through the projector, summed over all images."""
        return sum(len(image.kept) for image in self.images)

    def savings(self, n_new: int = 1) -> Savings:
        """Return the closed-form ESTIMATE of what pruning saved, over all prompts of all calls together.

        Args:
            n_new: tokens generated for each prompt, the end token included, >= 1; the report does not know.

        Raises:
            PruneError: no call has returned yet.
            ValueError: n_new below 1.
        """
        if not self.costs:
            raise PruneError("nothing was pruned yet, so nothing was saved: call savings() after generate")
        return estimate_over_prompts(self.costs, n_new)

    def __repr__(self) -> str:
        """Return the sentence of str() in angle brackets."""
        return f"<PruneReport: {self}>"

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows, None if nothing can be drawn."""
        return to_html(self)

    def __str__(self) -> str:
        """Say in one sentence how many tokens were kept."""
        if not self.images:
            return f"Nothing pruned yet: no image has gone through {self.model_name}.generate."
        share = f"{self.n_kept} of {self.n_visual} visual tokens ({self.n_kept / self.n_visual:.0%})"
        return (
            f"Kept {share} of {len(self.images)} image(s) in {self.calls} generate call(s) of "
            f"{self.model_name}: {self.config.rule}."
        )
