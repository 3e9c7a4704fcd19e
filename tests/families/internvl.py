"""InternVL: four tiles of 4 x 4 tokens and an overview; clips are images with words between them."""

from __future__ import annotations

from functools import cache

import torch
from tokenizers import pre_tokenizers
from transformers import (
    GotOcr2ImageProcessor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
)

from tests.support import tiny

from . import Family, building

SIDE, PATCH = 56, 7
TILE = {"height": SIDE, "width": SIDE}

# The prompt of InternVL.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<IMG_CONTEXT>\n"
    "{% elif part['type'] == 'video' %}<video>\n"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@cache
def tokenizer():
    tok = tiny.words(
        context_image_token="<IMG_CONTEXT>",
        start_image_token="<img>",
        end_image_token="</img>",
        video_token="<video>",
        start_token="<|im_start|>",
        end_token="<|im_end|>",
    )
    # "Frame1" is a word and a number, as to the tokenizers of the public checkpoints.
    apart = [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)]
    tok.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(apart)
    return tok


@cache
def processor() -> InternVLProcessor:
    return InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=TILE, crop_to_patches=True, min_patches=1, max_patches=6),
        tokenizer=tokenizer(),
        video_processor=InternVLVideoProcessor(size=TILE),
        image_seq_length=(SIDE // PATCH // 2) ** 2,
        chat_template=CHAT_TEMPLATE,
    )


def config() -> InternVLConfig:
    tok = tokenizer()
    return InternVLConfig(
        vision_config=dict(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=SIDE,
            patch_size=PATCH,
            attention_bias=True,
        ),
        text_config=dict(
            model_type="qwen2",
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
        ),
        image_token_id=tok.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=(SIDE // PATCH // 2) ** 2,
        tie_word_embeddings=False,
    )


def patches(inputs: dict, kind: str) -> torch.Tensor:
    return building.patched(inputs["pixel_values"], 2 * PATCH)


FAMILY = Family(
    name="InternVL",
    kinds=("image", "video"),
    model=lambda dtype: building.built(
        lambda: InternVLForConditionalGeneration(config()), tokenizer(), dtype
    ),
    processor=processor,
    patches=patches,
)
