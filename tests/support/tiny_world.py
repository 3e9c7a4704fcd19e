"""Make parts of the world small, or once for all tests: tokenizer, untrained modules, scenes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import PreTrainedTokenizerFast

from world.render.scenes import Scene, Shape, render_scene
from world.text.tokenizer import make_clip_tokenizer, make_llm_tokenizer, train_tokenizer
from world.training.language_model import LLM_LAYERS, LanguageModelTrainer
from world.training.scene_store import SceneStore
from world.training.vision_tower import VisionTowerTrainer


@cache
def train_tokenizer_once() -> Tokenizer:
    """Train the tokenizer as training does, once for all tests."""
    return train_tokenizer()


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Make the tokenizer of the LLM."""
    return make_llm_tokenizer(train_tokenizer_once())


def make_tower(seed: int = 0) -> VisionTowerTrainer:
    """Make an untrained CLIP; the global random state does not change."""
    return _make_seeded(lambda: VisionTowerTrainer(make_clip_tokenizer(train_tokenizer_once())), seed)


def make_language_model(seed: int = 0, layers: int = LLM_LAYERS) -> LanguageModelTrainer:
    """Make an untrained LLM; the global random state does not change."""
    return _make_seeded(lambda: LanguageModelTrainer(make_tokenizer(), layers), seed)


def _make_seeded(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make().eval()


def make_scene_store(folder: Path, size: int) -> SceneStore:
    """Make a store and render its scenes."""
    store = SceneStore(folder, size)
    store.fill()
    return store


@cache
def render_once(seed: int) -> Scene:
    """Render a scene, once for all tests: rendering takes most of the time of many tests."""
    return render_scene(seed)


def make_sketch(*shapes: tuple[str, str, str, int, int]) -> Scene:
    """Make a scene of (color, shape, digit, x, y) without pixels; a shape holds the patch of its centre."""
    placed = tuple(
        Shape(color, form, digit, x, y, 14, (y // 16 * 14 + x // 16,)) for color, form, digit, x, y in shapes
    )
    return Scene(np.zeros((224, 224, 3), np.uint8), placed, np.zeros(196, bool), seed=0)
