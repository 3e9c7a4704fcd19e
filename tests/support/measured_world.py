"""Make an untrained model of the built-in model's shape, for tests that need no good answers."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from rediprune import Explainer
from tests.support import tiny_world
from world.training.export import export


def make_untrained_model(folder: Path) -> Explainer:
    """Write an untrained model into the folder and load it; its answers have no meaning."""
    reader = tiny_world.make_language_model()
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        # At this scale answers depend on every token of the prompt; at the usual scale hardly.
        for weight in reader.llm.parameters():
            if weight.dim() > 1:
                weight.normal_(0, 2 * weight[0].numel() ** -0.5, generator=source)
    export(tiny_world.make_tower(), reader, tiny_world.train_tokenizer_once(), folder)
    (folder / "tiny-llava" / "rediprune.json").write_text(json.dumps({"text_tower": "../tiny-clip"}))
    return Explainer.from_pretrained(folder / "tiny-llava")
