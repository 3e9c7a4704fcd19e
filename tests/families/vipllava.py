"""VipLLaVA: one square view of 6 x 6 tokens, each of them five layers of the encoder side by side."""

from __future__ import annotations

from functools import cache

import torch
from transformers import LlavaProcessor, VipLlavaConfig, VipLlavaForConditionalGeneration

from tests.support import tiny

from . import Family
from .building import built, patched

LAYERS = (-2, -3, -4, -5, 1)  # five, one of them counted from the front, as in the public checkpoints

CHAT_TEMPLATE = (
    "{% for message in messages %}###{{ 'Human' if message['role'] == 'user' else 'Assistant' }}: "
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}###Assistant:{% endif %}"
)


@cache
def processor() -> LlavaProcessor:
    plain = tiny.processor()
    return LlavaProcessor(
        image_processor=plain.image_processor,
        tokenizer=plain.tokenizer,
        patch_size=tiny.PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def config(**changes) -> VipLlavaConfig:
    """`changes` replace top-level fields."""
    plain = tiny.config()
    plain.vision_config.num_hidden_layers = 6
    fields = dict(
        vision_config=plain.vision_config,
        text_config=plain.text_config,
        vision_feature_layer=LAYERS,
        image_token_index=plain.image_token_id,
    )
    return VipLlavaConfig(**fields | changes)


def model(dtype: torch.dtype = torch.float32, **changes) -> VipLlavaForConditionalGeneration:
    return built(lambda: VipLlavaForConditionalGeneration(config(**changes)), tiny.tokenizer(), dtype)


def patches(inputs: dict, kind: str) -> torch.Tensor:
    return patched(inputs["pixel_values"], tiny.PATCH)


FAMILY = Family(
    name="VipLLaVA",
    kinds=("image",),
    model=model,
    processor=processor,
    patches=patches,
    sizes=((84, 84), (200, 90), (61, 150), (85, 400)),
)
