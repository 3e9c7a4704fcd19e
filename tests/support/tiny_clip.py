"""Make a tiny random CLIP with a byte-level tokenizer of its own, saved in open_clip's local-dir format."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

C, E, CONTEXT = 32, 16, 12


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """Train a tokenizer of bytes and a few merges: every text has tokens; it adds start and end itself."""
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.Lowercase()
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "<s>", "<unk>", "</s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tok.train_from_iterator(["what color is the star?", "how many red circles are there? word"] * 9, trainer)
    ends = [(token, tok.token_to_id(token)) for token in ("<s>", "</s>")]
    tok.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=tok, pad_token="<pad>", bos_token="<s>", eos_token="</s>", padding_side="right"
    )


def config(vocab_size: int | None = None, context_length: int = CONTEXT) -> dict:
    """Make open_clip's model_cfg: a vision transformer of width C with 2 layers, a text tower to match."""
    words = tokenizer()
    return {
        "embed_dim": E,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "patch_size": 8, "layers": 2, "width": C, "head_width": 16},
        "text_cfg": {
            "context_length": context_length,
            "vocab_size": vocab_size or len(words),
            "width": 32,
            "heads": 2,
            "layers": 2,
            "hf_tokenizer_name": "local",  # not empty, so open_clip reads the one in the folder
            "pool_type": "eos",
            "eos_id": words.eos_token_id,
            "pad_id": words.pad_token_id,
        },
    }


def save(folder: Path, seed: int = 0) -> Path:
    """Write open_clip_config.json, open_clip_model.safetensors and the tokenizer; return the folder."""
    model_cfg = config()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = open_clip.CLIP(**model_cfg)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_cfg, "preprocess_cfg": {}}))
    tokenizer().save_pretrained(folder)
    return folder
