"""Video-LLaVA: 6 x 6 tokens of an image, 6 x 6 and the class token of every frame of a clip."""

from __future__ import annotations

from functools import cache

import torch
from transformers import (
    VideoLlavaConfig,
    VideoLlavaForConditionalGeneration,
    VideoLlavaImageProcessor,
    VideoLlavaProcessor,
    VideoLlavaVideoProcessor,
)

from tests.support import tiny

from . import Family
from .building import built, patched

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() }}: "
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'video' %}<video>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }} {% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


@cache
def words():
    return tiny.words(image_token="<image>", video_token="<video>")


@cache
def processor() -> VideoLlavaProcessor:
    square = dict(
        size={"shortest_edge": tiny.IMAGE_SIZE},
        crop_size={"height": tiny.IMAGE_SIZE, "width": tiny.IMAGE_SIZE},
    )
    return VideoLlavaProcessor(
        image_processor=VideoLlavaImageProcessor(**square),
        video_processor=VideoLlavaVideoProcessor(**square),
        tokenizer=words(),
        patch_size=tiny.PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def config(**changes) -> VideoLlavaConfig:
    """`changes` replace top-level fields."""
    plain, tok = tiny.config(), words()
    plain.text_config.vocab_size = len(tok)
    fields = dict(
        vision_config=plain.vision_config,
        text_config=plain.text_config,
        image_token_index=tok.image_token_id,
        video_token_index=tok.video_token_id,
    )
    return VideoLlavaConfig(**fields | changes)


def model(dtype: torch.dtype = torch.float32, **changes) -> VideoLlavaForConditionalGeneration:
    return built(lambda: VideoLlavaForConditionalGeneration(config(**changes)), words(), dtype)


def patches(inputs: dict, kind: str) -> torch.Tensor:
    """The class token, behind the patches, sees all of them: here as their mean."""
    if kind == "image":
        return patched(inputs["pixel_values_images"], tiny.PATCH)
    (frames,) = inputs["pixel_values_videos"]
    places = patched(frames, tiny.PATCH)
    return torch.cat([places, places.mean(1, keepdim=True)], dim=1)


FAMILY = Family(
    name="Video-LLaVA",
    kinds=("image", "video"),
    model=model,
    processor=processor,
    patches=patches,
    sizes=((84, 84), (200, 90), (61, 150), (85, 400)),
)
