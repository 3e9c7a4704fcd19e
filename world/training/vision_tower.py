"""Stage 1: a small CLIP; its vision tower learns from region-phrase pairs on the layer LLaVA reads (-2)."""

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
TOWER_WIDTH, TOWER_LAYERS, TOWER_HEADS = 128, 5, 4
JOINT_WIDTH = 96
TEXT_CONTEXT = 32


def build_vision_config() -> CLIPVisionConfig:
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
    """open_clip's model_cfg of the whole small CLIP, vision side as in `vision_config`."""
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
    """The small CLIP under training: HF vision tower, open_clip text tower, joint projection, dense heads."""

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
        """Texts as unit vectors of the joint space, [M, E]."""
        ids = self.tokenizer(
            texts, return_tensors="pt", padding="max_length", truncation=True, max_length=TEXT_CONTEXT
        ).input_ids
        return self.text.encode_text(ids, normalize=True)

    def forward(
        self, batch: SceneBatch, phrases: list[str], wanted: Tensor, captions: list[str]
    ) -> dict[str, Tensor]:
        """All losses of one batch.

        Args:
            phrases, wanted: M texts and what they name, as from `sample_phrases`: the dense contrast,
                patch by patch. Patches that are neither clearly background nor clearly a shape do not count.
            captions: one description per image: CLIP's own contrast.
        """
        out = self.vision(pixel_values=batch.pixels, output_hidden_states=True)
        tokens = out.hidden_states[FEATURE_LAYER][:, 1:]
        losses = compute_dense_losses(self.heads(tokens), batch)

        joint = F.normalize(self.visual_projection(self.vision.post_layernorm(tokens)).float(), dim=-1)
        text = self.encode_text(phrases).float()
        logits = joint @ text.T * self.dense_scale.exp() + self.dense_bias
        target = batch.match_phrases(wanted)
        clear = batch.owner != -2
        per_pair = F.binary_cross_entropy_with_logits(
            logits, target, pos_weight=logits.new_tensor(4.0), reduction="none"
        )
        losses["phrase"] = 10 * per_pair[clear].mean()

        image = F.normalize(self.visual_projection(out.pooler_output).float(), dim=-1)
        caption = self.encode_text(captions).float()
        scores = image @ caption.T * self.text.logit_scale.exp().clamp(max=100)
        same = torch.arange(len(scores))
        losses["global"] = 0.1 * (F.cross_entropy(scores, same) + F.cross_entropy(scores.T, same))
        with torch.no_grad():
            on = target.bool() & clear[..., None]
            self.phrase_recall = (logits > 0)[on].float().mean()  # recall of the named patches, for the log
        return losses


def sample_phrases(count: int, rng: np.random.Generator) -> tuple[list[str], Tensor]:
    """M random phrases and what they name, [M, 2, 3]: for up to two shapes colour, shape and digit.

    -1 stands for any, -9, which nothing matches, for "names no second shape".
    """
    texts, wanted = [], torch.full((count, 2, 3), -9)
    for i in range(count):
        text, targets = sample_phrase(rng)
        texts.append(text)
        wanted[i, : len(targets)] = torch.tensor(targets)
    return texts, wanted


def describe_batch(batch: SceneBatch) -> list[str]:
    """What the global loss pairs each image with."""
    return [describe_scene(scene).answer for scene in batch.scenes]
