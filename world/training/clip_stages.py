"""Run the training stages that learn clips, from the finished stages of stills."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from rediprune.files.atomic_write import replace_file

from ..render.clip_plans import N_FRAMES, ClipPlan, plan_clip
from ..render.clips import render_clip
from ..render.scenes import N_PATCHES
from ..text.embedding_transfer import transfer_embeddings
from ..text.tokenizer import make_llm_tokenizer
from .curriculum import clip_curriculum, drop_clip_tokens, sample_clip_questions
from .export import export
from .language_model import LLM_LAYERS, LanguageModelTrainer, insert_time_layer
from .loop import train
from .scene_store import FIRST_TRAINING_SEED, SceneBatch
from .stages import TrainingRun
from .vision_tower import TOWER_WIDTH, describe_batch, sample_phrases

_PLANS = 40_000  # how many clips are planned, but not rendered, for training on symbols

_plan = lru_cache(maxsize=_PLANS)(plan_clip)


class ClipTrainingRun(TrainingRun):
    """Run all stages: those of TrainingRun, and those that learn clips.

    Args:
        folder: created if it does not exist.
        scenes: how many scenes are rendered.
        clips: how many clips are rendered.
        seed: of the whole run.
    """

    def __init__(self, folder: Path, scenes: int, clips: int, seed: int = 0) -> None:
        super().__init__(folder, scenes, seed)
        self.n_clips = clips

    def adopt_checkpoints(self, older: Path) -> None:
        """Take the stages "tower" and "reader" from the folder of an older run.

        Its tokenizer may know other words: embeddings are transferred token by token.
        """
        old = Tokenizer.from_file(str(older / "tokenizer.json"))
        for stage, extra in (("tower", 0), ("reader", 1)):
            state = torch.load(older / f"{stage}.pt", weights_only=True)["module"]
            fresh = (self.make_tower() if stage == "tower" else self.make_language_model()).state_dict()
            found = fresh | transfer_embeddings(state, old, self.tokenizer, extra)
            with replace_file(self.checkpoint_path(stage)) as part:
                torch.save({"module": found}, part)

    def make_clip_language_model(self) -> LanguageModelTrainer:
        """Make an untrained LLM for clips, which has one layer more than that for stills."""
        torch.manual_seed(self.seed)
        return LanguageModelTrainer(make_llm_tokenizer(self.tokenizer), LLM_LAYERS + 1)

    def train_text_tower(self, steps: int, batch: int = 16, phrases: int = 64) -> None:
        """Train the text tower alone, so that texts point better: stage "text".

        The vision tower is frozen, so visual tokens do not change.
        """
        module = self.make_tower()
        if not self.checkpoint_path("text").exists():
            module.load_state_dict(self.load_weights("tower"))
        module.requires_grad_(False)
        module.text.requires_grad_(True)

        def losses(rng: np.random.Generator, progress: float) -> dict[str, Tensor]:
            drawn = SceneBatch.load(self.scene_store, rng.integers(0, self.scene_store.size, batch))
            texts, wanted = sample_phrases(phrases, rng)
            found = module(drawn, texts, wanted, describe_batch(drawn))
            return {name: found[name] for name in ("phrase", "global")}

        train(module, losses, steps=steps, lr=5e-4, warmup=30, checkpoint=self.checkpoint_path("text"),
              seed=self.seed + 4, log=lambda: f"recall={module.phrase_recall:.3f}")  # fmt: skip

    def train_time(self, steps: int, batch: int = 12) -> None:
        """Train the LLM on symbols of clips and on real visual tokens of stills: stage "moves"."""
        features = self.encode_scenes()
        module = self.make_clip_language_model()
        if not self.checkpoint_path("moves").exists():
            insert_time_layer(module, self.load_weights("reader"))
        module.projector.requires_grad_(False)

        def losses(rng: np.random.Generator, progress: float) -> dict[str, Tensor]:
            plans = [_plan(FIRST_TRAINING_SEED + int(i)) for i in rng.integers(0, _PLANS, batch)]
            attributes, owner, keep = _sample_truth(plans, int(rng.integers(40, 169)), rng)
            visual = module.symbols(attributes, owner, keep)
            questions = [sample_clip_questions(p, rng, *clip_curriculum(progress)) for p in plans]
            return {
                **module.compute_clip_losses(visual, questions, attributes, owner, keep),
                "stills": self.compute_stills_loss(module, features, rng, batch),
            }

        train(module, losses, steps=steps, lr=1.5e-3, warmup=50, checkpoint=self.checkpoint_path("moves"),
              seed=self.seed + 5, log=module.progress_text)  # fmt: skip

    def encode_clips(self, batch: int = 6) -> np.ndarray:
        """Encode every frame of the rendered clips with the frozen vision tower: stage "frames".

        Returns:
            The visual tokens as a memory-mapped array, float16 [clips, T, 196, C]. Tokens on disk are used
            again, unless a tower with other weights made them.
        """
        shape = (self.n_clips, N_FRAMES, N_PATCHES, TOWER_WIDTH)
        return self.encode_frozen(
            "frames", shape, batch,
            lambda index: np.stack([render_clip(FIRST_TRAINING_SEED + int(i)).frames for i in index]),
        )  # fmt: skip

    def train_clips(self, steps: int, batch: int = 12) -> None:
        """Train LLM and projector on real visual tokens of clips and stills: stage "clips"."""
        features = self.encode_scenes()
        frames = self.encode_clips()
        module = self.make_clip_language_model()
        if not self.checkpoint_path("clips").exists():
            module.load_state_dict(self.load_weights("moves"))
        module.symbols.requires_grad_(False)

        def losses(rng: np.random.Generator, progress: float) -> dict[str, Tensor]:
            k = int(rng.choice((1568, 784, 392, 235, 157, 80), p=(0.34, 0.20, 0.14, 0.14, 0.10, 0.08)))
            # Longer contexts get smaller batches, so that every step takes about equal time.
            index = np.sort(rng.integers(0, len(frames), max(3, min(batch, 12 * 235 // k))))
            plans = [_plan(FIRST_TRAINING_SEED + int(i)) for i in index]
            attributes, owner, keep = _sample_truth(plans, k, rng)
            tokens = torch.from_numpy(frames[index]).flatten(1, 2)
            visual = module.projector(tokens.gather(1, keep[..., None].expand(-1, -1, TOWER_WIDTH)).float())
            questions = [sample_clip_questions(p, rng, *clip_curriculum(1.0)) for p in plans]
            return {
                **module.compute_clip_losses(visual, questions, attributes, owner, keep),
                "stills": self.compute_stills_loss(module, features, rng, batch),
            }

        train(module, losses, steps=steps, lr=1e-3, warmup=50, checkpoint=self.checkpoint_path("clips"),
              seed=self.seed + 6, log=module.progress_text)  # fmt: skip

    def export(self, assets: Path) -> None:
        """Write both model folders from the checkpoints of the stages "text" and "clips"."""
        tower = self.make_tower()
        reader = self.make_clip_language_model()
        tower.load_state_dict(self.load_weights("text"))
        reader.load_state_dict(self.load_weights("clips"))
        export(tower, reader, self.tokenizer, assets)


def _sample_truth(plans: list[ClipPlan], k: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return the ground truth of clips, and sample about k of their visual tokens to keep.

    Returns:
        Attributes [B, T, 6, 6] and owner [B, T, 196] as in SceneStore, and the kept tokens [B, K], all int64.
    """
    attributes = torch.from_numpy(np.stack([p.to_attributes() for p in plans]))
    owner = torch.from_numpy(np.stack([p.to_owner() for p in plans]))
    keep = drop_clip_tokens(owner, k, rng, keep_each=rng.random() < 0.9, even=rng.random() < 0.5)
    return attributes, owner, keep
