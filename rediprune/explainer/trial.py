"""Try a freshly opened model on one plain picture: parts that do not belong together are found at once.

A folder may hold the processor of another model, or a config whose numbers name a layer or a token that does
not exist. Nothing of that shows while files are read; without a trial it would be an error of the first
question, or a wrong picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from PIL import Image

from ..config import PruneConfig
from ..models import ModelError
from ..models.checkpoints.error_messages import one_sentence
from .ask import prepare_question
from .encode import MediaInput, encode
from .model_card import find_not_finite
from .prompt_spec import PromptSpec

if TYPE_CHECKING:
    from .explainer import Explainer

SIDE = 96  # pixels of the picture: one view in most families
QUESTION = "What is this?"


@torch.no_grad()
def try_model(explainer: Explainer, local: bool) -> None:
    """Encode one picture and build a prompt about it, short of the language model.

    Args:
        explainer: of the model, which is not changed; nothing is remembered.
        local: whether its name is a folder's rather than one on the hub.

    Raises:
        ModelError: processor and model do not fit together; the encoder's numbers are not finite; the model's
            generation_config turns on what cannot be combined with pruning. One sentence.
    """
    from ..models.generate_call import refuse_unsupported

    adapter, processor, name = explainer.adapter, explainer.processor, explainer.name
    if weight := find_not_finite(adapter.model):
        raise ModelError(
            f"the weights of {name} hold numbers that are not finite, such as {weight}: they are damaged, or "
            f"too large for {adapter.model.dtype}; fetch the model again, or try bfloat16 or float32"
        )
    media = MediaInput((Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB"),))
    with one_sentence(name, local, "processor"):
        try:
            encoding = encode(adapter, processor, media, "trial")
            question = prepare_question(adapter, processor, encoding, QUESTION, PruneConfig(), lambda: None)
            prompt = PromptSpec(adapter, encoding, question).prompt()()
        except (ModelError, LookupError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            if isinstance(error, KeyError):
                reason = f"the processor returns no {error.args[0]}"
            raise ModelError(
                f"the processor or the config of {name} is another model's, or damaged: {reason[:300]}"
            ) from error
    if not (encoding.vision.features.isfinite().all() and prompt.embeds.isfinite().all()):
        raise ModelError(
            f"the vision encoder of {name} returns numbers that are not finite in {adapter.model.dtype}: its "
            "weights are damaged, or this number format is too small for it, so try bfloat16 or float32"
        )
    call = {"input_ids": question.inputs["input_ids"]}
    try:
        refuse_unsupported(call, adapter, adapter.model.generate)
    except ModelError as error:
        raise ModelError(f"generation_config.json of {name}: {error}") from error
