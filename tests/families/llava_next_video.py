"""LLaVA-NeXT-Video: images as LLaVA-NeXT; of every frame 6 x 6 patches, pooled to 3 x 3 tokens."""

from __future__ import annotations

from functools import cache

import torch
from transformers import (
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
    LlavaNextVideoProcessor,
    LlavaNextVideoVideoProcessor,
)

from tests.support import tiny

from . import Family
from .building import built, patched
from .llava_next import CHAT_TEMPLATE, PATCH, PINPOINTS, SIDE, image_processor, with_newline

POOL = 2


@cache
def words():
    return tiny.words(image_token="<image>", video_token="<video>")


@cache
def processor() -> LlavaNextVideoProcessor:
    return LlavaNextVideoProcessor(
        video_processor=LlavaNextVideoVideoProcessor(
            size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
        ),
        image_processor=image_processor(),
        tokenizer=words(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def config(**changes) -> LlavaNextVideoConfig:
    """`changes` replace top-level fields."""
    plain, tok = tiny.config(), words()
    plain.text_config.vocab_size = len(tok)
    fields = dict(
        vision_config=plain.vision_config,
        text_config=plain.text_config,
        image_grid_pinpoints=PINPOINTS,
        image_token_index=tok.image_token_id,
        video_token_index=tok.video_token_id,
        spatial_pool_stride=POOL,
    )
    return LlavaNextVideoConfig(**fields | changes)


def model(dtype: torch.dtype = torch.float32, **changes) -> LlavaNextVideoForConditionalGeneration:
    return built(
        lambda: with_newline(LlavaNextVideoForConditionalGeneration(config(**changes))), words(), dtype
    )


def patches(inputs: dict, kind: str) -> torch.Tensor:
    if kind == "image":
        (tiles,) = inputs["pixel_values"]
        return patched(tiles, PATCH)
    (frames,) = inputs["pixel_values_videos"]
    return patched(frames, PATCH * POOL)


FAMILY = Family(
    name="LLaVA-NeXT-Video",
    kinds=("image", "video"),
    model=model,
    processor=processor,
    patches=patches,
    size=(150, 61),
    sizes=((84, 84), (200, 90), (61, 150), (90, 301), (401, 120), (333, 331)),
)
