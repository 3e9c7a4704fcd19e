"""LLaVA-NeXT: an overview and two to four tiles of 6 x 6 tokens each, a newline after every row."""

from __future__ import annotations

from functools import cache

import torch
from transformers import (
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessor,
    LlavaNextProcessor,
)

from tests.support import tiny

from . import Family
from .building import built, patched

SIDE, PATCH, GRID = tiny.IMAGE_SIZE, tiny.PATCH, tiny.GRID
# As the public checkpoints have them, in units of the encoder's side, (height, width).
PINPOINTS = [[h * SIDE, w * SIDE] for h, w in ((1, 2), (2, 1), (2, 2), (3, 1), (1, 3))]

# The chat of the Vicuna checkpoints: images, then clips, then the question.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() }}: "
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'video' %}<video>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }} {% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def image_processor(**changes) -> LlavaNextImageProcessor:
    square = {"height": SIDE, "width": SIDE}
    fields = dict(size={"shortest_edge": SIDE}, crop_size=square, image_grid_pinpoints=PINPOINTS)
    return LlavaNextImageProcessor(**fields | changes)


@cache
def words():
    return tiny.words(image_token="<image>")


@cache
def processor() -> LlavaNextProcessor:
    return LlavaNextProcessor(
        image_processor=image_processor(),
        tokenizer=words(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def config(**changes) -> LlavaNextConfig:
    """`changes` replace top-level fields."""
    plain, tok = tiny.config(), words()
    plain.text_config.vocab_size = len(tok)
    fields = dict(
        vision_config=plain.vision_config,
        text_config=plain.text_config,
        image_grid_pinpoints=PINPOINTS,
        image_token_index=tok.image_token_id,
    )
    return LlavaNextConfig(**fields | changes)


def model(dtype: torch.dtype = torch.float32, **changes) -> LlavaNextForConditionalGeneration:
    return built(lambda: with_newline(LlavaNextForConditionalGeneration(config(**changes))), words(), dtype)


def with_newline(made: torch.nn.Module) -> torch.nn.Module:
    """A newline as loud as a word, so that one too many shows."""
    with torch.no_grad():
        made.model.image_newline.normal_(0, 1)
    return made


def patches(inputs: dict, kind: str) -> torch.Tensor:
    (tiles,) = inputs["pixel_values"]
    return patched(tiles, PATCH)


FAMILY = Family(
    name="LLaVA-NeXT",
    kinds=("image",),
    model=model,
    processor=processor,
    patches=patches,
    size=(150, 61),
    sizes=((84, 84), (200, 90), (61, 150), (90, 301), (401, 120), (333, 331)),
)
