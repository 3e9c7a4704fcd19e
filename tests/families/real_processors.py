"""Real processors of families that one line describes, small enough for their tiny models.

Each makes prompts for the tiny model of its family, whose ids are set to those of its words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

import torch
import transformers as hf
from PIL import Image

from tests.support import tiny

from . import QUESTIONS, building, tiny_models

SIDE, PATCH = 56, 7
SQUARE = {"height": SIDE, "width": SIDE}
SIZES = ((84, 84), (200, 90), (61, 150))


@dataclass(frozen=True)
class Real:
    """A processor and the model that it belongs to.

    Attributes:
        make: the processor, of a tokenizer.
        words: special tokens by the attribute of the tokenizer that names them.
        ids: of the config, the name of each id -> the special token it is.
        patches: processor output -> [T, N, P], the pixels that each visual token sees.
        shown: what stands for an image in a text before the processor has seen it.
        changes: of the tiny model's config.
        sizes: (width, height) of pictures whose overlay is checked.
        call: what else the processor is called with.
        nested: whether the processor takes a list of images for each prompt.
    """

    make: Callable[[Any], Any]
    words: dict[str, str]
    ids: dict[str, str]
    patches: Callable[[dict], torch.Tensor]
    shown: str
    changes: dict[str, Any] = field(default_factory=dict)
    sizes: tuple[tuple[int, int], ...] = SIZES
    nested: bool = True
    call: dict[str, Any] = field(default_factory=dict)

    @property
    def tokenizer(self):
        return tiny.words(**self.words)

    def processor(self):
        return self.make(self.tokenizer)

    def model(self, kind: str) -> torch.nn.Module:
        """The family's tiny model, its ids those of the tokenizer."""
        tok, of = self.tokenizer, tiny_models.models()[kind]
        ids = {name: tok.convert_tokens_to_ids(token) for name, token in self.ids.items()}
        return tiny_models.build(kind, replace(of, config=of.config | ids | self.changes))

    def processed(self, images: Sequence[Image.Image], processor=None) -> dict:
        """The processor's output for one prompt with these pictures."""
        text = " ".join([self.shown] * len(images)) + " " + QUESTIONS[0]
        given = [list(images)] if self.nested else list(images)
        made = (processor or self.processor())(text=[text], images=given, return_tensors="pt", **self.call)
        return dict(made)


def tiles(side: int) -> Callable[[dict], torch.Tensor]:
    """Patches of views, of which a token sees `side` x `side` pixels."""
    return lambda made: building.patched(made["pixel_values"].flatten(0, -4), side)


def merged(made: dict) -> torch.Tensor:
    """Patches in the order of the tokens, four to a token."""
    ((t, h, w),) = made["image_grid_thw"].tolist()
    return made["pixel_values"].reshape(t, h * w // 4, -1)


def regrouped(made: dict) -> torch.Tensor:
    """Patches in raster order, of which 2 x 2 make a token."""
    ((t, h, w),) = made["image_grid_thw"].tolist()
    patches = made["pixel_values"].reshape(t, h // 2, 2, w // 2, 2, -1)
    return patches.transpose(2, 3).reshape(t, h * w // 4, -1)


def natural(made: dict) -> torch.Tensor:
    """Patches of views of several sizes, in raster order, 2 x 2 to a token; shorter views are padded."""
    found = []
    for pixels, (h, w) in zip(made["pixel_values"], made["spatial_shapes"].tolist(), strict=True):
        grid = pixels[: h * w].reshape(h // 2, 2, w // 2, 2, -1).transpose(1, 2)
        found.append(grid.reshape(h * w // 4, -1))
    most = max(map(len, found))
    return torch.stack([torch.nn.functional.pad(one, (0, 0, 0, most - len(one))) for one in found])


def resized(per: int) -> Callable[[dict], torch.Tensor]:
    def patches(made: dict) -> torch.Tensor:
        ((h, w),) = made["image_sizes"].tolist()
        return building.patched(made["pixel_values"][..., :h, :w], per)

    return patches


def placed(made: dict) -> torch.Tensor:
    """Patches with their places, 3 x 3 or 2 x 2 to a token (Gemma 4)."""
    where = made["image_position_ids"][0]
    there = where.min(-1).values >= 0
    across, down = (where[there].max(0).values + 1).tolist()
    pool = 2
    grid = made["pixel_values"][0][there].reshape(down // pool, pool, across // pool, pool, -1)
    return grid.transpose(1, 2).reshape(1, down * across // pool**2, -1)


def _smolvlm(tok):
    # It asks for a package that writes numbers as words, in the prompts of clips.
    with mock.patch("transformers.models.smolvlm.processing_smolvlm.num2words", str):
        return hf.SmolVLMProcessor(
            image_processor=hf.SmolVLMImageProcessor(**SPLITS),
            tokenizer=tok,
            video_processor=hf.SmolVLMVideoProcessor(),
            image_seq_len=16,
        )


def _gemma3(tok):
    return hf.Gemma3Processor(
        image_processor=hf.Gemma3ImageProcessor(size=SQUARE), tokenizer=tok, image_seq_length=16
    )


def _qwen(kind: str):
    cut = {"patch_size": PATCH, "merge_size": 2, "temporal_patch_size": 2}
    size = {"shortest_edge": 56 * 56, "longest_edge": 112 * 112}

    def make(tok):
        videos = hf.Qwen2VLVideoProcessor if kind == "Qwen2VL" else hf.Qwen3VLVideoProcessor
        return getattr(hf, f"{kind}Processor")(
            image_processor=hf.Qwen2VLImageProcessor(size=dict(size), **cut),
            tokenizer=tok,
            video_processor=videos(size=dict(size), **cut),
        )

    return make


QWEN = {
    "words": {
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "vision_start_token": "<|vision_start|>",
        "vision_end_token": "<|vision_end|>",
        "vision_bos_token": "<|vision_start|>",
        "vision_eos_token": "<|vision_end|>",
    },
    "ids": {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    },
    "patches": merged,
    "shown": "<|vision_start|><|image_pad|><|vision_end|>",
}
SMOL = {
    "words": {
        "image_token": "<image>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>",
        "video_token": "<video>",
        **{f"tile_{r}_{c}_token": f"<row_{r}_col_{c}>" for r in range(1, 5) for c in range(1, 5)},
    },
    "ids": {"image_token_id": "<image>"},
    "patches": tiles(2 * PATCH),
    "shown": "<image>",
}
SPLITS = {"size": {"longest_edge": 4 * SIDE}, "max_image_size": {"longest_edge": SIDE}}
PIXTRAL = {
    "words": {"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"},
    "patches": resized(2 * PATCH),
    "shown": "[IMG]",
}


def _pixtral(tok):
    return hf.PixtralProcessor(
        image_processor=hf.PixtralImageProcessor(
            size={"longest_edge": 112}, patch_size={"height": 2 * PATCH, "width": 2 * PATCH}
        ),
        tokenizer=tok,
        patch_size=PATCH,
        spatial_merge_size=2,
    )


REAL: dict[str, Real] = {
    "qwen2_vl": Real(_qwen("Qwen2VL"), **QWEN),
    "qwen3_5": Real(_qwen("Qwen3VL"), **QWEN),
    "qwen3_5_moe": Real(_qwen("Qwen3VL"), **QWEN),
    "qwen3_vl_moe": Real(_qwen("Qwen3VL"), **QWEN),
    "idefics3": Real(
        lambda tok: hf.Idefics3Processor(
            image_processor=hf.Idefics3ImageProcessor(**SPLITS), tokenizer=tok, image_seq_len=16
        ),
        **SMOL,
    ),
    "smolvlm": Real(
        _smolvlm,
        **SMOL,
    ),
    "paligemma": Real(
        lambda tok: hf.PaliGemmaProcessor(
            image_processor=hf.SiglipImageProcessor(size=SQUARE, image_seq_length=64), tokenizer=tok
        ),
        {"image_token": "<image>"},
        {"image_token_index": "<image>"},
        tiles(PATCH),
        "<image>",
    ),
    "gemma3": Real(
        _gemma3,
        {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"},
        {"image_token_index": "<image_soft_token>"},
        tiles(2 * PATCH),
        "<start_of_image>",
    ),
    "aya_vision": Real(
        lambda tok: hf.AyaVisionProcessor(
            image_processor=hf.GotOcr2ImageProcessor(size=SQUARE, crop_to_patches=True, max_patches=6),
            tokenizer=tok,
            patch_size=PATCH,
            img_size=SIDE,
            downsample_factor=2,
        ),
        {
            "image_token": "<image>",
            "img_patch_token": "<|IMG_PATCH|>",
            "start_token": "<|START_OF_IMG|>",
            "end_token": "<|END_OF_IMG|>",
            "tile_global_token": "TILE_GLOBAL",
        },
        {"image_token_index": "<|IMG_PATCH|>"},
        tiles(2 * PATCH),
        "<image>",
    ),
    "cohere2_vision": Real(
        lambda tok: hf.Cohere2VisionProcessor(
            image_processor=hf.Cohere2VisionImageProcessor(
                size=SQUARE, crop_to_patches=True, max_patches=6, patch_size=4
            ),
            tokenizer=tok,
        ),
        {
            "image_token": "<|IMG_PATCH|>",
            "boi_token": "<|START_OF_IMG|>",
            "eoi_token": "<|END_OF_IMG|>",
            "img_line_break_token": "<|IMG_LINE_BREAK|>",
        },
        {"image_token_id": "<|IMG_PATCH|>"},
        tiles(2 * PATCH),
        "<|IMG_PATCH|>",
    ),
    "janus": Real(
        lambda tok: hf.JanusProcessor(
            image_processor=hf.JanusImageProcessor(size=SQUARE, min_size=7),
            tokenizer=tok,
            num_image_tokens=64,
        ),
        {
            "image_token": "<image_placeholder>",
            "boi_token": "<begin_of_image>",
            "eoi_token": "<end_of_image>",
        },
        {"image_token_id": "<image_placeholder>"},
        tiles(PATCH),
        "<image_placeholder>",
    ),
    "deepseek_vl": Real(
        lambda tok: hf.DeepseekVLProcessor(
            image_processor=hf.DeepseekVLImageProcessor(size=SQUARE, min_size=7),
            tokenizer=tok,
            num_image_tokens=64,
        ),
        {"image_token": "<image_placeholder>"},
        {"image_token_id": "<image_placeholder>"},
        tiles(PATCH),
        "<image_placeholder>",
    ),
    "ovis2": Real(
        lambda tok: hf.Ovis2Processor(
            image_processor=hf.Ovis2ImageProcessor(size=SQUARE, crop_to_patches=True, max_patches=6),
            tokenizer=tok,
            image_seq_length=16,
        ),
        {
            "image_token": "<image>",
            "atom_token": "<IMG_ATOM>",
            "start_token": "<IMG_START>",
            "grid_token": "<IMG_GRID>",
            "col_token": "<IMG_COL>",
            "row_token": "<IMG_ROW>",
            "end_token": "<IMG_END>",
        },
        {"image_token_id": "<IMG_ATOM>"},
        tiles(2 * PATCH),
        "<image>",
    ),
    "lfm2_vl": Real(
        lambda tok: hf.Lfm2VlProcessor(
            image_processor=hf.Lfm2VlImageProcessor(
                encoder_patch_size=PATCH,
                tile_size=SIDE,
                min_image_tokens=4,
                max_image_tokens=16,
                max_tiles=6,
                max_pixels_tolerance=1.2,
            ),
            tokenizer=tok,
        ),
        {
            "image_token": "<image>",
            "image_start_token": "<|image_start|>",
            "image_end_token": "<|image_end|>",
            "image_thumbnail_token": "<|img_thumbnail|>",
            **{f"tile_{r}_{c}_token": f"<|img_row_{r}_col_{c}|>" for r in range(1, 7) for c in range(1, 7)},
        },
        {"image_token_id": "<image>"},
        natural,
        "<image>",
    ),
    "mistral3": Real(_pixtral, ids={"image_token_index": "[IMG]"}, **PIXTRAL),
    "mistral_large4": Real(_pixtral, ids={"image_token_index": "[IMG]"}, **PIXTRAL),
    "lighton_ocr": Real(
        lambda tok: hf.LightOnOcrProcessor(
            image_processor=hf.PixtralImageProcessor(
                size={"longest_edge": 112}, patch_size={"height": 2 * PATCH, "width": 2 * PATCH}
            ),
            tokenizer=tok,
            patch_size=PATCH,
            spatial_merge_size=2,
        ),
        ids={"image_token_id": "[IMG]"},
        **PIXTRAL,
    ),
    "fast_vlm": Real(
        lambda tok: hf.LlavaProcessor(
            image_processor=hf.CLIPImageProcessor(
                size={"shortest_edge": 128}, crop_size={"height": 128, "width": 128}
            ),
            tokenizer=tok,
            patch_size=32,
            vision_feature_select_strategy="full",
        ),
        {"image_token": "<image>"},
        {"image_token_index": "<image>"},
        tiles(32),
        "<image>",
    ),
    "paddleocr_vl": Real(
        lambda tok: hf.PaddleOCRVLProcessor(
            image_processor=hf.PaddleOCRVLImageProcessor(
                patch_size=PATCH, merge_size=2, size={"shortest_edge": 56 * 56, "longest_edge": 112 * 112}
            ),
            tokenizer=tok,
        ),
        {
            "image_token": "<|IMAGE_PLACEHOLDER|>",
            "start_token": "<|IMAGE_START|>",
            "end_token": "<|IMAGE_END|>",
        },
        {
            "image_token_id": "<|IMAGE_PLACEHOLDER|>",
            "vision_start_token_id": "<|IMAGE_START|>",
            "vision_end_token_id": "<|IMAGE_END|>",
        },
        regrouped,
        "<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>",
    ),
    "glm4v": Real(
        lambda tok: hf.Glm4vProcessor(
            image_processor=hf.Glm4vImageProcessor(
                patch_size=PATCH, merge_size=2, size={"shortest_edge": 56 * 56, "longest_edge": 112 * 112}
            ),
            tokenizer=tok,
            video_processor=hf.Glm4vVideoProcessor(patch_size=PATCH),
        ),
        {
            "image_token": "<|image|>",
            "video_token": "<|video|>",
            "image_start_token": "<|begin_of_image|>",
            "image_end_token": "<|end_of_image|>",
            "video_start_token": "<|begin_of_video|>",
            "video_end_token": "<|end_of_video|>",
        },
        {
            "image_token_id": "<|image|>",
            "video_token_id": "<|video|>",
            "image_start_token_id": "<|begin_of_image|>",
            "image_end_token_id": "<|end_of_image|>",
            "video_start_token_id": "<|begin_of_video|>",
            "video_end_token_id": "<|end_of_video|>",
        },
        merged,
        "<|begin_of_image|><|image|><|end_of_image|>",
    ),
    "gemma4": Real(
        lambda tok: hf.Gemma4Processor(
            feature_extractor=hf.Gemma4AudioFeatureExtractor(),
            image_processor=hf.Gemma4ImageProcessor(patch_size=4, pooling_kernel_size=2, max_soft_tokens=70),
            tokenizer=tok,
            video_processor=hf.Gemma4VideoProcessor(),
            image_seq_length=70,
        ),
        {
            "image_token": "<|image|>",
            "boi_token": "<|image>",
            "eoi_token": "<image|>",
            "video_token": "<|video|>",
            "audio_token": "<|audio|>",
            "boa_token": "<|audio>",
            "eoa_token": "<audio|>",
        },
        {"image_token_id": "<|image|>", "video_token_id": "<|video|>", "audio_token_id": "<|audio|>"},
        placed,
        "<|image|>",
    ),
    "gemma3n": Real(
        lambda tok: hf.Gemma3nProcessor(
            feature_extractor=hf.Gemma3nAudioFeatureExtractor(),
            image_processor=hf.SiglipImageProcessor(size={"height": 128, "width": 128}),
            tokenizer=tok,
            image_seq_length=16,
        ),
        {
            "image_token": "<image_soft_token>",
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
            "audio_token": "<audio_soft_token>",
            "boa_token": "<start_of_audio>",
            "eoa_token": "<end_of_audio>",
        },
        {"image_token_id": "<image_soft_token>", "audio_token_id": "<audio_soft_token>"},
        tiles(32),
        "<image_soft_token>",
    ),
    "video_llama_3": Real(
        lambda tok: hf.VideoLlama3Processor(
            image_processor=hf.VideoLlama3ImageProcessor(
                patch_size=PATCH, merge_size=2, size={"shortest_edge": 56 * 56, "longest_edge": 112 * 112}
            ),
            tokenizer=tok,
            video_processor=hf.VideoLlama3VideoProcessor(patch_size=PATCH),
        ),
        {"image_token": "<image>", "video_token": "<video>"},
        {"image_token_id": "<image>", "video_token_id": "<video>"},
        merged,
        "<image>",
    ),
    "got_ocr2": Real(
        lambda tok: hf.GotOcr2Processor(
            image_processor=hf.GotOcr2ImageProcessor(size={"height": 112, "width": 112}), tokenizer=tok
        ),
        {"image_token": "<imgpad>", "start_token": "<img>", "end_token": "</img>"},
        {"image_token_id": "<imgpad>"},
        tiles(28),
        "<img><imgpad></img>",
        nested=False,
        call={"num_image_tokens": 16},
    ),
}
