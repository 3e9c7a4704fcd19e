"""Qwen3-VL: features of two middle layers are added in the LLM; clips with times between their frames."""

from __future__ import annotations

from functools import cache

from transformers import (
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from . import Family, building
from .qwen2_5_vl import FRAMES, MERGE, PATCH, ids, patches, text, tokenizer

# The prompt of Qwen3-VL: its processor writes the start and end of every frame of a clip by itself.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@cache
def processor() -> Qwen3VLProcessor:
    cut = dict(patch_size=PATCH, merge_size=MERGE, temporal_patch_size=FRAMES)
    size = {"shortest_edge": 56 * 56, "longest_edge": 112 * 112}
    clip_size = {name: pixels * 4 for name, pixels in size.items()}  # of all frames together
    return Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size, **cut),
        tokenizer=tokenizer(),
        video_processor=Qwen3VLVideoProcessor(size=clip_size, cap_pixels_per_frame=False, **cut),
        chat_template=CHAT_TEMPLATE,
    )


def config() -> Qwen3VLConfig:
    return Qwen3VLConfig(
        vision_config=dict(
            depth=4,
            hidden_size=32,
            intermediate_size=48,
            num_heads=4,
            out_hidden_size=64,
            patch_size=PATCH,
            spatial_merge_size=MERGE,
            temporal_patch_size=FRAMES,
            num_position_embeddings=64,
            deepstack_visual_indexes=[0, 2],
        ),
        text_config=text(head_dim=16) | dict(num_hidden_layers=3),
        **ids("image_token", "video_token", "vision_start_token", "vision_end_token"),
    )


FAMILY = Family(
    name="Qwen3-VL",
    kinds=("image", "video"),
    model=lambda dtype: building.built(lambda: Qwen3VLForConditionalGeneration(config()), tokenizer(), dtype),
    processor=processor,
    patches=patches,
)
