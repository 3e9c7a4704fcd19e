"""Train a small CLIP whose vision tower learns from pairs of regions and phrases.

The pairs are compared on the layer whose tokens LLaVA reads (-2).
"""

from __future__ import annotations

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from ..render.scenes import IMAGE_SIZE, PATCH_SIZE
from ..text.scene_questions import describe_scene
from ..text.tokenizer import sample_phrase
from . import attention
from .dense_heads import DenseHeads, compute_dense_losses
from .scene_store import SceneBatch

FEATURE_LAYER = -2  # LLaVA's vision_feature_layer
TOWER_WIDTH = 128
TOWER_LAYERS = 5
TOWER_HEADS = 4
JOINT_WIDTH = 96  # of the space that CLIP compares pictures and texts in
TEXT_CONTEXT = 32  # tokens


def build_vision_config() -> CLIPVisionConfig:
    """Build the transformers configuration of the vision tower."""
    return CLIPVisionConfig(
        hidden_size=TOWER_WIDTH,
        intermediate_size=4 * TOWER_WIDTH,
        num_hidden_layers=TOWER_LAYERS,
        num_attention_heads=TOWER_HEADS,
        image_size=IMAGE_SIZE,
        patch_size=PATCH_SIZE,
        projection_dim=JOINT_WIDTH,
        hidden_act="gelu",
    )


def build_clip_config(vocab_size: int, eos_id: int, pad_id: int) -> dict:
    """Build the open_clip configuration of the small CLIP; its vision side equals build_vision_config."""
    return {
        "embed_dim": JOINT_WIDTH,
        "quick_gelu": False,
        "vision_cfg": {
            "image_size": IMAGE_SIZE,
            "patch_size": PATCH_SIZE,
            "layers": TOWER_LAYERS,
            "width": TOWER_WIDTH,
            "head_width": TOWER_WIDTH // TOWER_HEADS,
            "mlp_ratio": 4.0,
        },
        "text_cfg": {
            "context_length": TEXT_CONTEXT,
            "vocab_size": vocab_size,
            "width": 96,
            "heads": 4,
            "layers": 2,
            "hf_tokenizer_name": "local",
            "tokenizer_kwargs": {"clean": "whitespace"},
            "pool_type": "eos",
            "eos_id": eos_id,
            "pad_id": pad_id,
        },
    }


class VisionTowerTrainer(nn.Module):
    """Hold the small CLIP during training and compute its losses.

    Its parts are a vision tower of transformers, a text tower of open_clip, the projection into the joint
    space, and the dense heads.

    Args:
        tokenizer: of the text tower, from make_clip_tokenizer.
    """

    def __init__(self, tokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.vision = CLIPVisionModel(build_vision_config())
        self.vision.set_attn_implementation(attention.ATTENTION_NAME)
        clip = open_clip.CLIP(
            **build_clip_config(len(tokenizer), tokenizer.eos_token_id, tokenizer.pad_token_id)
        )
        del clip.visual  # the vision side is trained in its transformers form and converted when saved
        self.text = clip
        self.visual_projection = nn.Linear(TOWER_WIDTH, JOINT_WIDTH, bias=False)
        self.dense_scale = nn.Parameter(torch.tensor(2.3))
        self.dense_bias = nn.Parameter(torch.tensor(-5.0))
        self.heads = DenseHeads(TOWER_WIDTH)

    def encode_text(self, texts: list[str]) -> Tensor:
        """Encode M texts as unit vectors of the joint space, [M, E]."""
        ids = self.tokenizer(
            texts, return_tensors="pt", padding="max_length", truncation=True, max_length=TEXT_CONTEXT
        ).input_ids
        return self.text.encode_text(ids, normalize=True)

    def forward(
        self, batch: SceneBatch, phrases: list[str], wanted: Tensor, captions: list[str]
    ) -> dict[str, Tensor]:
        """Compute all losses of one batch, by name.

        Args:
            batch: B scenes.
            phrases: M texts for the contrast with single patches.
            wanted: int64 [M, 2, 3], what the texts name, as from sample_phrases.
            captions: a description of each picture, for CLIP's own contrast with whole pictures.
        """
        out = self.vision(pixel_values=batch.pixels, output_hidden_states=True)
        tokens = out.hidden_states[FEATURE_LAYER][:, 1:]
        losses = compute_dense_losses(self.heads(tokens), batch)

        # Contrast of patches [B, 196, E] with phrases [M, E]: every pair is named or not, logits [B, 196, M].
        # Patches that are neither clearly background nor clearly a shape do not count.
        joint = F.normalize(self.visual_projection(self.vision.post_layernorm(tokens)).float(), dim=-1)
        text = self.encode_text(phrases).float()
        logits = joint @ text.T * self.dense_scale.exp() + self.dense_bias
        target = batch.match_phrases(wanted)
        clear = batch.owner != -2
        per_pair = F.binary_cross_entropy_with_logits(
            logits, target, pos_weight=logits.new_tensor(4.0), reduction="none"
        )
        losses["phrase"] = 10 * per_pair[clear].mean()

        # Contrast of pictures with captions, both [B, E]: each picture belongs to its own caption.
        image = F.normalize(self.visual_projection(out.pooler_output).float(), dim=-1)
        caption = self.encode_text(captions).float()
        scores = image @ caption.T * self.text.logit_scale.exp().clamp(max=100)
        own_caption = torch.arange(len(scores))
        losses["global"] = 0.1 * (
            F.cross_entropy(scores, own_caption) + F.cross_entropy(scores.T, own_caption)
        )
        with torch.no_grad():
            on = target.bool() & clear[..., None]
            # Share of the named patches that are found, for the progress bar.
            self.phrase_recall = (logits > 0)[on].float().mean()
        return losses


def sample_phrases(count: int, rng: np.random.Generator) -> tuple[list[str], Tensor]:
    """Sample M random phrases and what they name.

    Returns:
        The texts, and int64 [M, 2, 3]: colour, shape and digit of up to two named shapes. -1 stands for any;
        -9, which nothing matches, fills the place of a second shape that is not named.
    """
    texts = []
    wanted = torch.full((count, 2, 3), -9)
    for i in range(count):
        text, targets = sample_phrase(rng)
        texts.append(text)
        wanted[i, : len(targets)] = torch.tensor(targets)
    return texts, wanted


def describe_batch(batch: SceneBatch) -> list[str]:
    """Return the description of each scene, which the global loss pairs with its picture."""
    return [describe_scene(scene).answer for scene in batch.scenes]
