"""Export the trained modules as files: tiny-llava for transformers and tiny-clip for open_clip."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import (
    CLIPImageProcessor,
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from rediprune.files.atomic_write import replace_files, write_text

from ..render.scenes import IMAGE_SIZE, N_PATCHES, PATCH_SIZE
from ..text.tokenizer import (
    CHAT_TEMPLATE,
    IMAGE_TOKEN,
    fix_tokenizer_class,
    make_clip_tokenizer,
    make_llm_tokenizer,
)
from .language_model import LanguageModelTrainer, build_llm_config
from .scene_store import PIXEL_MEAN, PIXEL_STD
from .vision_tower import (
    FEATURE_LAYER,
    TOWER_LAYERS,
    VisionTowerTrainer,
    build_clip_config,
    build_vision_config,
)


def export(tower: VisionTowerTrainer, reader: LanguageModelTrainer, words: Tokenizer, assets: Path) -> None:
    """Write both model folders.

    Weights are rounded to float16 on disk, so everything that is measured later includes the rounding.

    Args:
        tower: the trained CLIP.
        reader: the trained LLM with its projector.
        words: the tokenizer that both share.
        assets: the parent of the folders.
    """
    save_llava(build_llava(tower, reader, words), words, assets / "tiny-llava")
    save_clip(tower, words, assets / "tiny-clip")


def build_llava(
    tower: VisionTowerTrainer, reader: LanguageModelTrainer, words: Tokenizer
) -> LlavaForConditionalGeneration:
    """Assemble an unmodified LLaVA in float32 from the trained parts."""
    tokenizer = make_llm_tokenizer(words)
    special = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
    config = LlavaConfig(
        vision_config=build_vision_config(),
        text_config=build_llm_config(len(tokenizer), *special, reader.llm.config.num_hidden_layers),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        image_seq_length=N_PATCHES,
        projector_hidden_act="gelu",
        vision_feature_layer=FEATURE_LAYER,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    base = model.model
    base.vision_tower.load_state_dict(tower.vision.state_dict())
    base.language_model.load_state_dict(reader.llm.model.state_dict())
    names = {"0": "linear_1", "2": "linear_2"}
    projector = {f"{names[k[0]]}{k[1:]}": v for k, v in reader.projector.state_dict().items()}
    base.multi_modal_projector.load_state_dict(projector)
    model.tie_weights()
    pad, bos, eos = special
    model.generation_config = GenerationConfig(pad_token_id=pad, bos_token_id=bos, eos_token_id=eos)
    return model.eval()


def save_llava(model: LlavaForConditionalGeneration, words: Tokenizer, folder: Path) -> None:
    """Save model and processor for `from_pretrained`; this converts the given model to float16."""
    with replace_files(folder) as part:
        _write_llava(model, words, part)
        written = {path.name for path in part.iterdir()}
    for old in folder.glob("model*.safetensors*"):
        if old.name not in written:  # one file beside several shards: the wrong one may be read
            old.unlink()


def _write_llava(model: LlavaForConditionalGeneration, words: Tokenizer, folder: Path) -> None:
    model.half().save_pretrained(folder, max_shard_size=9 * 2**20)
    config_path = folder / "config.json"
    config = json.loads(config_path.read_text())
    # float16 is for the disk only; on a CPU the model should be loaded and run in float32.
    for part in (config, config["text_config"], config["vision_config"]):
        for key in ("dtype", "torch_dtype"):
            if key in part:
                part[key] = "float32"
    write_text(config_path, json.dumps(config, indent=2) + "\n")
    # Scenes have the input size of the model, so the processor changes nothing but their values.
    image_processor = CLIPImageProcessor(
        size={"shortest_edge": IMAGE_SIZE},
        crop_size={"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        image_mean=list(PIXEL_MEAN),
        image_std=list(PIXEL_STD),
    )
    LlavaProcessor(
        image_processor=image_processor,
        tokenizer=make_llm_tokenizer(words),
        patch_size=PATCH_SIZE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)
    fix_tokenizer_class(folder)


def save_clip(tower: VisionTowerTrainer, words: Tokenizer, folder: Path) -> None:
    """Save the small CLIP in the `local-dir:` format of open_clip.

    Its vision tower is converted from the names of transformers.
    """
    tokenizer = make_clip_tokenizer(words)
    state = dict(tower.text.state_dict()) | _convert_vision_state(tower)
    model_cfg = build_clip_config(len(tokenizer), tokenizer.eos_token_id, tokenizer.pad_token_id)
    preprocess = {
        "size": [IMAGE_SIZE, IMAGE_SIZE],
        "mode": "RGB",
        "mean": list(PIXEL_MEAN),
        "std": list(PIXEL_STD),
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess}
    halves = {k: v.detach().half().contiguous() for k, v in state.items()}
    with replace_files(folder) as part:
        write_text(part / "open_clip_config.json", json.dumps(config, indent=2) + "\n")
        save_file(halves, part / "open_clip_model.safetensors", metadata={"format": "pt"})
        tokenizer.save_pretrained(part)
        fix_tokenizer_class(part)


def _convert_vision_state(tower: VisionTowerTrainer) -> dict[str, Tensor]:
    """Convert the state dict of a transformers vision tower to the names of open_clip.

    q, k and v are concatenated, and the projection is transposed.
    """
    have = {k.removeprefix("vision_model."): v for k, v in tower.vision.state_dict().items()}
    out = {
        "visual.class_embedding": have["embeddings.class_embedding"],
        "visual.positional_embedding": have["embeddings.position_embedding.weight"],
        "visual.conv1.weight": have["embeddings.patch_embedding.weight"],
        "visual.proj": tower.visual_projection.weight.T,
    }
    for p in ("weight", "bias"):
        out[f"visual.ln_pre.{p}"] = have[f"pre_layrnorm.{p}"]
        out[f"visual.ln_post.{p}"] = have[f"post_layernorm.{p}"]
        for i in range(TOWER_LAYERS):
            src, dst = f"encoder.layers.{i}.", f"visual.transformer.resblocks.{i}."
            out[f"{dst}attn.in_proj_{p}"] = torch.cat([have[f"{src}self_attn.{x}_proj.{p}"] for x in "qkv"])
            for a, b in (
                ("attn.out_proj", "self_attn.out_proj"),
                ("ln_1", "layer_norm1"),
                ("ln_2", "layer_norm2"),
                ("mlp.c_fc", "mlp.fc1"),
                ("mlp.c_proj", "mlp.fc2"),
            ):
                out[f"{dst}{a}.{p}"] = have[f"{src}{b}.{p}"]
    return out
