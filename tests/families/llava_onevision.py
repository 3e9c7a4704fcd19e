"""LLaVA-OneVision: 5 x 5 tokens a view and 6 pixels that no patch reads; an overview, and tiles as one view.

Of an image no more than 4 views' worth of tokens are left, of a clip's frame 3 x 3.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    Qwen2Config,
    SiglipVisionConfig,
)

from tests.support import tiny

from . import Family
from .building import built, patched

SIDE, PATCH, GRID, VIEWS = 76, 14, 5, 4
C, D = tiny.C, tiny.D
PINPOINTS = [[h * SIDE, w * SIDE] for h in (1, 2, 3) for w in (1, 2, 3)]

# The chat of the public checkpoints, with their <|im_start|> and <|im_end|> left out.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ' ' }}"
    "{% for part in message['content'] if part['type'] == 'image' %}<image>{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'video' %}<video>{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ '\n' + part['text'] }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ ' assistant' }}{% endif %}"
)


@cache
def words():
    return tiny.words(image_token="<image>", video_token="<video>")


@cache
def processor() -> LlavaOnevisionProcessor:
    size = {"height": SIDE, "width": SIDE}
    return LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=PINPOINTS),
        video_processor=LlavaOnevisionVideoProcessor(size=size),
        tokenizer=words(),
        num_image_tokens=GRID**2,
        vision_feature_select_strategy="full",
        vision_aspect_ratio=f"anyres_max_{VIEWS}",
        chat_template=CHAT_TEMPLATE,
    )


def config(**changes) -> LlavaOnevisionConfig:
    """`changes` replace top-level fields."""
    tok = words()
    fields = dict(
        vision_config=SiglipVisionConfig(
            hidden_size=C,
            intermediate_size=2 * C,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=SIDE,
            patch_size=PATCH,
            vision_use_head=False,
        ),
        text_config=Qwen2Config(
            vocab_size=len(tok),
            hidden_size=D,
            intermediate_size=2 * D,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=1024,
            bos_token_id=tok.bos_token_id,
            eos_token_id=tok.eos_token_id,
            pad_token_id=tok.pad_token_id,
        ),
        image_token_index=tok.image_token_id,
        video_token_index=tok.video_token_id,
        image_grid_pinpoints=PINPOINTS,
        vision_aspect_ratio=f"anyres_max_{VIEWS}",
    )
    return LlavaOnevisionConfig(**(fields | changes))


def model(dtype: torch.dtype = torch.float32, **changes) -> LlavaOnevisionForConditionalGeneration:
    return built(lambda: _with_newline(config(**changes)), words(), dtype)


def _with_newline(plan: LlavaOnevisionConfig) -> LlavaOnevisionForConditionalGeneration:
    """A newline as loud as a word, so that one too many shows."""
    made = LlavaOnevisionForConditionalGeneration(plan)
    with torch.no_grad():
        made.model.image_newline.normal_(0, 1)
    return made


def patches(inputs: dict, kind: str) -> torch.Tensor:
    """Mixed pixels where tokens are mixed: by hand, from the sizes alone."""
    if kind == "video":
        (frames,) = inputs["pixel_values_videos"]
        grid = patched(frames, PATCH).unflatten(1, (GRID, GRID)).movedim(-1, 1)
        half = F.interpolate(grid, size=(math.ceil(GRID / 2),) * 2, mode="bilinear")
        return half.flatten(2).mT
    overview = patched(inputs["pixel_values"][0, :1], PATCH)[0]
    height, width = inputs["image_sizes"][0].tolist()
    view = _view(patched(inputs["pixel_values"][0, 1:], PATCH), height, width)
    n = max(len(overview), len(view))
    return torch.stack([F.pad(frame, (0, 0, 0, n - len(frame))) for frame in (overview, view)])


def _view(tiles: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Patches of the tiles [T, n, P] laid together, without padding, shrunk: [n', P]."""
    fits = {}
    for h, w in PINPOINTS:
        scale = min(h / height, w / width)
        used = min(int(width * scale) * int(height * scale), width * height)
        fits.setdefault((used, used - h * w), (h // SIDE, w // SIDE))
    down, across = fits[max(fits)]
    grid = tiles[: down * across].view(down, across, GRID, GRID, -1)
    grid = grid.permute(4, 0, 2, 1, 3).reshape(tiles.shape[-1], down * GRID, across * GRID)
    if width / height > across / down:
        off = (down * GRID - int(round(height * across * GRID / width, 7))) // 2
        grid = grid[:, off : down * GRID - off]
    else:
        off = (across * GRID - int(round(width * down * GRID / height, 7))) // 2
        grid = grid[:, :, off : across * GRID - off]
    ratio = math.sqrt(grid[0].numel() / (VIEWS * GRID**2))
    if ratio > 1.1:
        shape = [int(side // ratio) for side in grid.shape[1:]]
        grid = F.interpolate(grid[None], size=shape, mode="bilinear")[0]
    return grid.flatten(1).mT


FAMILY = Family(
    name="LLaVA-OneVision",
    kinds=("image", "video"),
    model=model,
    processor=processor,
    patches=patches,
    size=(230, 140),  # six tiles, unpadded and shrunk
    sizes=((76, 76), (230, 140), (61, 150), (9, 7), (228, 228), (700, 120), (55, 410)),
)
