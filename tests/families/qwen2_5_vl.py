"""Qwen2.5-VL: a token for every 2 x 2 patches of the picture, windows, clips read two frames at a time."""

from __future__ import annotations

from functools import cache

import torch
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from tests.support import tiny

from . import Family, building

PATCH, MERGE, FRAMES = 7, 2, 2
IMAGE, VIDEO = "<|image_pad|>", "<|video_pad|>"

# The prompt of Qwen-VL.
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
def tokenizer():
    return tiny.words(
        image_token=IMAGE,
        video_token=VIDEO,
        vision_start_token="<|vision_start|>",
        vision_end_token="<|vision_end|>",
        start_token="<|im_start|>",
        end_token="<|im_end|>",
    )


@cache
def processor() -> Qwen2_5_VLProcessor:
    cut = dict(patch_size=PATCH, merge_size=MERGE, temporal_patch_size=FRAMES)
    size = {"shortest_edge": 56 * 56, "longest_edge": 112 * 112}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=dict(size), **cut),
        tokenizer=tokenizer(),
        video_processor=Qwen2VLVideoProcessor(size=dict(size), cap_pixels_per_frame=False, **cut),
        chat_template=CHAT_TEMPLATE,
    )


def ids(*names: str) -> dict[str, int]:
    return {f"{name}_id": tokenizer().convert_tokens_to_ids(getattr(tokenizer(), name)) for name in names}


def text(**more) -> dict:
    """A small LLM with M-RoPE; 8 rotating pairs are shared out among time, row and column."""
    tok = tokenizer()
    return dict(
        vocab_size=len(tok),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=tok.bos_token_id,
        eos_token_id=tok.eos_token_id,
        pad_token_id=tok.pad_token_id,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
        **more,
    )


def config() -> Qwen2_5_VLConfig:
    return Qwen2_5_VLConfig(
        vision_config=dict(
            depth=3,
            hidden_size=32,
            intermediate_size=48,
            num_heads=4,
            out_hidden_size=64,
            patch_size=PATCH,
            spatial_merge_size=MERGE,
            temporal_patch_size=FRAMES,
            window_size=4 * MERGE * PATCH,  # not a divisor of what is shown: some windows are cut off
            fullatt_block_indexes=[1],
        ),
        text_config=text(),
        **ids("image_token", "video_token", "vision_start_token", "vision_end_token"),
    )


def patches(inputs: dict, kind: str) -> torch.Tensor:
    pixels = inputs["pixel_values" if kind == "image" else "pixel_values_videos"]
    (t, h, w), *_ = inputs[f"{kind}_grid_thw"].tolist()
    return pixels.reshape(t, h * w // MERGE**2, -1)


FAMILY = Family(
    name="Qwen2.5-VL",
    kinds=("image", "video"),
    model=lambda dtype: building.built(
        lambda: Qwen2_5_VLForConditionalGeneration(config()), tokenizer(), dtype
    ),
    processor=processor,
    patches=patches,
)
