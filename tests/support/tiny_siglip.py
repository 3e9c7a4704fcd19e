"""Make a tiny random SigLIP of one patch a picture, saved in open_clip's local-dir format."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import open_clip
import timm
import torch
from safetensors.torch import save_file
from timm.models import VisionTransformer, register_model
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from tests.support import tiny_clip

C, CONTEXT, SIDE = 32, 12, 14
NAME = "vit_tiny_patch14_siglip_14"


@register_model
def vit_tiny_patch14_siglip_14(pretrained: bool = False, **settings) -> VisionTransformer:
    """Build timm's encoder as SigLIP's is: no class token, an attention pool in front of the joint space."""
    return VisionTransformer(
        img_size=SIDE,
        patch_size=SIDE,
        embed_dim=C,
        depth=2,
        num_heads=2,
        class_token=False,
        global_pool="map",
        num_classes=0,
    )


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """Make a tokenizer that adds no start and pads with the end, as SigLIP's does."""
    tok = tiny_clip.tokenizer().backend_tokenizer.__class__.from_str(
        tiny_clip.tokenizer().backend_tokenizer.to_str()
    )
    end = ("</s>", tok.token_to_id("</s>"))
    tok.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[end])
    return PreTrainedTokenizerFast(
        tokenizer_object=tok, pad_token="</s>", eos_token="</s>", padding_side="right"
    )


def config() -> dict:
    """Make open_clip's model_cfg."""
    return {
        "embed_dim": C,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {
            "image_size": SIDE,
            "timm_model_name": NAME,
            "timm_model_pretrained": False,
            "timm_pool": "map",
            "timm_proj": "none",
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": len(tokenizer()),
            "hf_tokenizer_name": "local",
            "width": C,
            "heads": 2,
            "layers": 2,
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
            "norm_kwargs": {"eps": 1e-6},
        },
    }


def model() -> open_clip.CustomTextCLIP:
    """Build it with random weights, LayerNorms and biases included."""
    assert NAME in timm.list_models(NAME)
    cfg = {key: value for key, value in config().items() if key != "custom_text"}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = open_clip.CustomTextCLIP(**cfg)
        with torch.no_grad():
            for weight in made.parameters():
                weight.add_(0.2 * torch.randn_like(weight))
    return made.eval()


def save(folder: Path) -> Path:
    """Write open_clip_config.json, open_clip_model.safetensors and the tokenizer; return the folder."""
    save_file(model().state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config(), "preprocess_cfg": {}}))
    tokenizer().save_pretrained(folder)
    return folder
