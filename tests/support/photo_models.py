"""Save the small real models for photographs as folders: true picture sizes, random weights, real classes.

Picture sizes, patches, tiles and processors are those of the public checkpoints, so counts of tokens and the
overlay are theirs. `width` "true" keeps every dimension of the network; "narrow" makes it a few layers of a
few numbers, which is quick. The tokenizer has whole words, and the ids of the image tokens are its own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import transformers as hf
from PIL import Image

from rediprune.models.checkpoints.checkpoint import Checkpoint
from tests.families import building
from tests.support import tiny

CHAT_TEMPLATE = (
    "{%% for message in messages %%}{{ message['role'] }} "
    "{%% for part in message['content'] %%}"
    "{%% if part['type'] == 'image' %%}%s {%% else %%}{{ part['text'] }} {%% endif %%}{%% endfor %%}"
    "{%% endfor %%}{%% if add_generation_prompt %%}assistant{%% endif %%}"
)
QWEN = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
}
WORDS = {
    "idefics3": {
        "image_token": "<image>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>",
        **{f"tile_{r}_{c}_token": f"<row_{r}_col_{c}>" for r in range(1, 5) for c in range(1, 5)},
    },
    "internvl": {
        "context_image_token": "<IMG_CONTEXT>",
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "video_token": "<video>",
    },
    "llava_onevision": {"image_token": "<image>", "video_token": "<video>"},
    "qwen3_5": QWEN,
    "qwen3_vl": QWEN,
}
SHOWN = {
    "idefics3": "<image>",
    "internvl": "<IMG_CONTEXT>",
    "llava_onevision": "<image>",
    "qwen3_5": "<|vision_start|><|image_pad|><|vision_end|>",
    "qwen3_vl": "<|vision_start|><|image_pad|><|vision_end|>",
}
IDS = {
    "idefics3": {"image_token_id": "<image>"},
    "internvl": {"image_token_id": "<IMG_CONTEXT>"},
    "llava_onevision": {"image_token_id": "<image>", "video_token_id": "<video>"},
    "qwen3_5": {f"{name}_id": QWEN[name] for name in list(QWEN)[:4]},
    "qwen3_vl": {f"{name}_id": QWEN[name] for name in list(QWEN)[:4]},
}
NARROW_TEXT = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
NARROW_VISION = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_hidden_layers": 2}
NARROW = {
    "idefics3": {"text": {"num_hidden_layers": 2, "head_dim": 16}, "vision": NARROW_VISION},
    "internvl": {"text": {"num_hidden_layers": 2}, "vision": NARROW_VISION},
    "llava_onevision": {
        "text": {"num_hidden_layers": 2},
        "vision": {
            **NARROW_VISION,
            "model_type": "siglip_vision_model",
            "image_size": 384,
            "patch_size": 14,
            "vision_use_head": False,
        },
    },
    "qwen3_5": {
        "text": {
            "num_hidden_layers": 4,
            "head_dim": 64,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 2,
            "linear_key_head_dim": 16,
            "linear_value_head_dim": 16,
            "layer_types": ["linear_attention"] * 3 + ["full_attention"],
        },
        "vision": {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2},
    },
    "qwen3_vl": {
        "text": {"num_hidden_layers": 3, "head_dim": 64},
        "vision": {
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "deepstack_visual_indexes": [0, 1],
        },
    },
}


def processor(entry: Checkpoint):
    """Make the processor of a checkpoint with the settings of its public files."""
    tok = tiny.words(**WORDS[entry.family])
    template = CHAT_TEMPLATE % SHOWN[entry.family]
    if entry.family == "idefics3":
        images = hf.Idefics3ImageProcessor(size={"longest_edge": 2048}, max_image_size={"longest_edge": 512})
        return hf.Idefics3Processor(images, tok, image_seq_len=64, chat_template=template)
    if entry.family == "internvl":
        side = {"height": 448, "width": 448}
        return hf.InternVLProcessor(
            hf.GotOcr2ImageProcessor(size=side, crop_to_patches=True, min_patches=1, max_patches=12),
            tok,
            hf.InternVLVideoProcessor(size=side),
            image_seq_length=256,
            chat_template=template,
        )
    if entry.family == "llava_onevision":
        return hf.LlavaOnevisionProcessor(
            hf.LlavaOnevisionImageProcessor(),
            tok,
            hf.LlavaOnevisionVideoProcessor(),
            num_image_tokens=729,
            vision_feature_select_strategy="full",
            chat_template=template,
        )
    cut = {"patch_size": 16, "merge_size": 2, "temporal_patch_size": 2}
    size = {"shortest_edge": 65_536, "longest_edge": 16_777_216}
    return hf.Qwen3VLProcessor(
        hf.Qwen2VLImageProcessor(size=size, **cut),
        tok,
        hf.Qwen3VLVideoProcessor(size=size, **cut),
        chat_template=template,
    )


def config(entry: Checkpoint, width: str, tok) -> dict:
    """Return a checkpoint's config with the ids of `tok`, narrowed where `width` says so."""
    ids = {name: tok.convert_tokens_to_ids(token) for name, token in IDS[entry.family].items()}
    text = dict(entry.config["text_config"])
    vision = dict(entry.config.get("vision_config", {}))
    if width == "narrow":
        changes = NARROW[entry.family]
        text |= NARROW_TEXT | changes["text"] | {"vocab_size": len(tok)}
        vision |= changes["vision"]
        if "out_hidden_size" in vision:
            vision["out_hidden_size"] = text["hidden_size"]
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    text |= {name: getattr(tok, name) for name in names}
    if entry.family == "qwen3_vl" and width == "narrow":
        text["rope_parameters"] = {
            "rope_type": "default",
            "mrope_section": [12, 10, 10],
            "mrope_interleaved": True,
            "rope_theta": 10_000.0,
        }
    return {**entry.config, **ids, "text_config": text, "vision_config": vision or None}


def save(entry: Checkpoint, root: Path, width: str = "narrow", dtype: torch.dtype = torch.float32) -> Path:
    """Write model and processor into root/NAME, NAME being that of the public checkpoint."""
    folder = root / entry.name.partition("/")[2]
    made = processor(entry)
    of = hf.CONFIG_MAPPING[entry.family](
        **{k: v for k, v in config(entry, width, made.tokenizer).items() if v is not None}
    )
    if width == "narrow":
        model = building.built(
            lambda: hf.AutoModelForImageTextToText.from_config(of), made.tokenizer, torch.float32
        ).to(dtype)
    else:
        model = _random(of, dtype)
        ids = {name: getattr(made.tokenizer, name) for name in ("bos_token_id", "pad_token_id")}
        model.generation_config = hf.GenerationConfig(**ids)
    model.save_pretrained(folder)
    made.save_pretrained(folder)
    return folder


def _random(of, dtype: torch.dtype) -> torch.nn.Module:
    """Build a model with arbitrary weights; the real initialisation takes minutes on a CPU."""
    from transformers.initialization import no_init_weights

    with no_init_weights():
        model = hf.AutoModelForImageTextToText.from_config(of, dtype=dtype)
    model.tie_weights()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                bound = weight[0].numel() ** -0.5
                weight.uniform_(-bound, bound)
            else:
                weight.fill_(not name.endswith("bias"))
    return model.eval()


def photograph(size: tuple[int, int] = (640, 480), seed: int = 0) -> Image.Image:
    """Render something like a photograph: a gradient of light, soft shapes and noise, `size` as (w, h)."""
    wide, high = size
    x, y = np.meshgrid(np.linspace(0, 1, wide), np.linspace(0, 1, high))
    rng = np.random.default_rng(seed)
    light = np.stack([200 * (1 - y), 150 * (1 - y) + 60 * x, 90 + 100 * y], -1)
    for _ in range(6):
        cx, cy, radius = rng.random(3) * (1, 1, 0.3)
        near = np.exp(-(((x - cx) ** 2 + (y - cy) ** 2) / (0.02 + radius**2)))
        light += near[..., None] * rng.integers(-120, 120, 3)
    light += rng.normal(0, 8, light.shape)
    return Image.fromarray(light.clip(0, 255).astype(np.uint8))


def patches(entry: Checkpoint, inputs: dict) -> torch.Tensor:
    """Return what the processor made of a picture as [T, N, numbers], in the order of the tokens' boxes."""
    if entry.family in ("qwen3_5", "qwen3_vl"):
        ((t, h, w),) = inputs["image_grid_thw"].tolist()
        return inputs["pixel_values"].reshape(t, h * w // 4, -1)
    side = {"idefics3": 64, "internvl": 28, "llava_onevision": 14}[entry.family]
    views = building.patched(inputs["pixel_values"].flatten(0, -4), side)
    if entry.family != "llava_onevision":
        return views
    # The tokens of the tile are counted without those of the padding above and below, or beside.
    overview, tile = views
    ((height, width),) = inputs["image_sizes"].tolist()
    grid = tile.view(27, 27, -1)
    off = (27 - int(27 * min(height / width, width / height))) // 2
    inside = slice(off, 27 - off)
    kept = (grid[inside] if width > height else grid[:, inside]).flatten(0, 1)
    return torch.stack([overview, torch.nn.functional.pad(kept, (0, 0, 0, len(overview) - len(kept)))])
