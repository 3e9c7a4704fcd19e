"""The stages that learn clips; they stand on a finished reader of stills, and go on reading stills."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from rediprune.files.atomic_write import replace_file

from ..render.clip_plans import FRAMES, Plan, plan_clip
from ..render.clips import render_clip
from ..render.scenes import N_PATCHES
from ..text.embedding_transfer import carry_over
from ..text.tokenizer import llm_tokenizer
from .curriculum import clip_curriculum, draw_clip_questions, drop_clip_tokens
from .export import export
from .language_model import LLM_LAYERS, Reader, grow
from .loop import train
from .scene_store import FIRST_TRAINING_SEED, Batch
from .stages import Run
from .vision_tower import WIDTH, captions, draw_phrases

_PLANS = 40_000  # clips that are planned, not rendered, for the symbols

_plan = lru_cache(maxsize=_PLANS)(plan_clip)


class ClipRun(Run):
    """A run with all stages. `clips` is how many clips are rendered for real visual tokens."""

    def __init__(self, folder: Path, scenes: int, clips: int, seed: int = 0) -> None:
        super().__init__(folder, scenes, seed)
        self.clips_size = clips

    def adopt(self, older: Path) -> None:
        """Take tower and reader of another run, whose tokenizer may know fewer words."""
        old = Tokenizer.from_file(str(older / "tokenizer.json"))
        for stage, extra in (("tower", 0), ("reader", 1)):
            state = torch.load(older / f"{stage}.pt", weights_only=True)["module"]
            fresh = (self.new_tower() if stage == "tower" else self.new_reader()).state_dict()
            found = fresh | carry_over(state, old, self.words, extra)
            with replace_file(self.checkpoint(stage)) as part:
                torch.save({"module": found}, part)

    def new_clip_reader(self) -> Reader:
        torch.manual_seed(self.seed)
        return Reader(llm_tokenizer(self.words), LLM_LAYERS + 1)

    def text(self, steps: int, batch: int = 16, phrases: int = 64) -> None:
        """The text tower alone once more, so that texts point better; what the vision tower sees stays."""
        module = self.new_tower()
        if not self.checkpoint("text").exists():
            module.load_state_dict(self.weights("tower"))
        module.requires_grad_(False)
        module.text.requires_grad_(True)

        def losses(rng: np.random.Generator, progress: float) -> dict[str, Tensor]:
            drawn = Batch.draw(self.bank, rng.integers(0, self.bank.size, batch))
            texts, wanted = draw_phrases(phrases, rng)
            found = module(drawn, texts, wanted, captions(drawn))
            return {name: found[name] for name in ("phrase", "global")}

        train(module, losses, steps=steps, lr=5e-4, warmup=30, checkpoint=self.checkpoint("text"),
              seed=self.seed + 4, log=lambda: f"recall={module.hit:.3f}")  # fmt: skip

    def moves(self, steps: int, batch: int = 12) -> None:
        """The LLM learns time: from symbols of clips, while it goes on reading real stills."""
        features, module = self.features(), self.new_clip_reader()
        if not self.checkpoint("moves").exists():
            grow(module, self.weights("reader"))
        module.projector.requires_grad_(False)

        def losses(rng: np.random.Generator, progress: float) -> dict[str, Tensor]:
            plans = [_plan(FIRST_TRAINING_SEED + int(i)) for i in rng.integers(0, _PLANS, batch)]
            attributes, owner, keep = _truth(plans, int(rng.integers(40, 169)), rng)
            visual = module.symbols(attributes, owner, keep)
            asked = [draw_clip_questions(p, rng, *clip_curriculum(progress)) for p in plans]
            return {
                **module.read_clips(visual, asked, attributes, owner, keep),
                "stills": self.read_stills(module, features, rng, batch),
            }

        train(module, losses, steps=steps, lr=1.5e-3, warmup=50, checkpoint=self.checkpoint("moves"),
              seed=self.seed + 5, log=module.progress_text)  # fmt: skip

    def frames(self, batch: int = 6) -> np.ndarray:
        """Visual tokens of every frame of the rendered clips, float16 [clips, T, 196, C]; as `features`."""
        shape = (self.clips_size, FRAMES, N_PATCHES, WIDTH)
        return self.tokens(
            "frames", shape, batch,
            lambda index: np.stack([render_clip(FIRST_TRAINING_SEED + int(i)).frames for i in index]),
        )  # fmt: skip

    def clips(self, steps: int, batch: int = 12) -> None:
        """LLM and projector together on real visual tokens of clips and stills."""
        features, frames, module = self.features(), self.frames(), self.new_clip_reader()
        if not self.checkpoint("clips").exists():
            module.load_state_dict(self.weights("moves"))
        module.symbols.requires_grad_(False)

        def losses(rng: np.random.Generator, progress: float) -> dict[str, Tensor]:
            k = int(rng.choice((1568, 784, 392, 235, 157, 80), p=(0.34, 0.20, 0.14, 0.14, 0.10, 0.08)))
            # Long contexts in small batches, so that a step stays about as long.
            index = np.sort(rng.integers(0, len(frames), max(3, min(batch, 12 * 235 // k))))
            plans = [_plan(FIRST_TRAINING_SEED + int(i)) for i in index]
            attributes, owner, keep = _truth(plans, k, rng)
            tokens = torch.from_numpy(frames[index]).flatten(1, 2)
            visual = module.projector(tokens.gather(1, keep[..., None].expand(-1, -1, WIDTH)).float())
            asked = [draw_clip_questions(p, rng, *clip_curriculum(1.0)) for p in plans]
            return {
                **module.read_clips(visual, asked, attributes, owner, keep),
                "stills": self.read_stills(module, features, rng, batch),
            }

        train(module, losses, steps=steps, lr=1e-3, warmup=50, checkpoint=self.checkpoint("clips"),
              seed=self.seed + 6, log=module.progress_text)  # fmt: skip

    def export(self, assets: Path) -> None:
        """Both model folders, from the checkpoints of the stages text and clips."""
        tower, reader = self.new_tower(), self.new_clip_reader()
        tower.load_state_dict(self.weights("text"))
        reader.load_state_dict(self.weights("clips"))
        export(tower, reader, self.words, assets)


def _truth(plans: list[Plan], k: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Attributes [B, T, 6, 6] and owner [B, T, 196] of these clips, and which about k tokens they keep."""
    attributes = torch.from_numpy(np.stack([p.attributes() for p in plans]))
    owner = torch.from_numpy(np.stack([p.owner() for p in plans]))
    keep = drop_clip_tokens(owner, k, rng, keep_each=rng.random() < 0.9, even=rng.random() < 0.5)
    return attributes, owner, keep
