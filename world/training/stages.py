"""Run the training stages that learn stills, with their checkpoints in one folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from tqdm import tqdm

from rediprune.files.atomic_write import replace_file, write_text

from ..render.scenes import IMAGE_SIZE, N_PATCHES
from ..text.tokenizer import make_clip_tokenizer, make_llm_tokenizer, train_tokenizer
from .curriculum import drop_tokens, sample_questions, scene_curriculum
from .language_model import LanguageModelTrainer
from .loop import train
from .scene_store import SceneBatch, SceneStore, normalise_pixels
from .vision_tower import FEATURE_LAYER, TOWER_WIDTH, VisionTowerTrainer, describe_batch, sample_phrases


class TrainingRun:
    """Run the stages that learn stills; each has a checkpoint of its name in the folder.

    Args:
        folder: created if it does not exist.
        scenes: how many scenes are rendered.
        seed: of the whole run.
    """

    def __init__(self, folder: Path, scenes: int, seed: int = 0) -> None:
        self.folder = folder
        self.seed = seed
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "tokenizer.json"
        if not path.exists():
            with replace_file(path) as part:
                train_tokenizer().save(str(part))
        self.tokenizer = Tokenizer.from_file(str(path))
        self.scene_store = SceneStore(folder / "scenes", scenes)
        self.scene_store.fill()

    def checkpoint_path(self, stage: str) -> Path:
        """Return the path of a stage's checkpoint."""
        return self.folder / f"{stage}.pt"

    def load_weights(self, stage: str) -> dict[str, Tensor]:
        """Load the state dict of a stage's checkpoint.

        Raises:
            SystemExit: the stage was not trained yet.
        """
        path = self.checkpoint_path(stage)
        if not path.exists():
            raise SystemExit(f"{path} is missing: train the stage {stage!r} first")
        return torch.load(path, weights_only=True)["module"]

    def make_tower(self) -> VisionTowerTrainer:
        """Make an untrained CLIP; it does not depend on the stages that ran before."""
        torch.manual_seed(self.seed)
        return VisionTowerTrainer(make_clip_tokenizer(self.tokenizer))

    def make_language_model(self) -> LanguageModelTrainer:
        """Make an untrained LLM for stills; it does not depend on the stages that ran before."""
        torch.manual_seed(self.seed)
        return LanguageModelTrainer(make_llm_tokenizer(self.tokenizer))

    # Stages ---------------------------------------------------------------------------------------------

    def train_tower(self, steps: int, batch: int = 32, phrases: int = 64) -> None:
        """Train the small CLIP to tell what every patch shows: stage "tower"."""
        module = self.make_tower()

        def losses(rng: np.random.Generator, progress: float) -> dict[str, Tensor]:
            drawn = SceneBatch.load(self.scene_store, rng.integers(0, self.scene_store.size, batch))
            texts, wanted = sample_phrases(phrases, rng)
            return module(drawn, texts, wanted, describe_batch(drawn))

        train(
            module,
            losses,
            steps=steps,
            lr=1.5e-3,
            checkpoint=self.checkpoint_path("tower"),
            seed=self.seed,
            log=lambda: f"recall={module.phrase_recall:.2f}",
        )

    def train_symbols(self, steps: int, batch: int = 24) -> None:
        """Train the LLM to read a scene from the symbols of a few of its patches: stage "symbols"."""
        module = self.make_language_model()
        module.projector.requires_grad_(False)

        def losses(rng: np.random.Generator, progress: float) -> dict[str, Tensor]:
            index = rng.integers(0, self.scene_store.size, batch)
            attributes, owner = self._load_truth(index)
            keep = drop_tokens(owner, int(rng.integers(10, 49)), rng, keep_each=True)
            visual = module.symbols(attributes[:, None], owner[:, None], keep)
            questions = [
                sample_questions(self.scene_store.scene(int(i)), rng, *scene_curriculum(progress))
                for i in index
            ]
            return {"lm": module.compute_loss(visual, questions)}

        train(
            module,
            losses,
            steps=steps,
            lr=1e-3,
            checkpoint=self.checkpoint_path("symbols"),
            seed=self.seed + 1,
            log=module.progress_text,
        )

    def encode_scenes(self, batch: int = 50) -> np.ndarray:
        """Encode every scene with the frozen vision tower: stage "features".

        Returns:
            The visual tokens as a memory-mapped array, float16 [scenes, 196, C]. Tokens on disk are used
            again, unless a tower with other weights made them.
        """
        shape = (self.scene_store.size, N_PATCHES, TOWER_WIDTH)
        return self.encode_frozen("features", shape, batch, lambda i: self.scene_store.pixels[i])

    def encode_frozen(
        self, name: str, shape: tuple[int, ...], batch: int, pixels: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Encode pictures with the frozen vision tower into an array on disk, and resume where a run stopped.

        A text file beside the array holds how many entries are done, and a fingerprint of the tower.

        Args:
            name: of the file.
            shape: of the array; the last two dimensions are 196 patches and the width C.
            batch: entries per forward pass.
            pixels: returns the pictures of given entries, uint8 [B, ..., 224, 224, 3].

        Returns:
            The memory-mapped array, float16.
        """
        path = self.folder / f"{name}.npy"
        done_path = self.folder / f"{name}.done"
        weights = self.load_weights("tower")
        vision = b"".join(v.numpy().tobytes() for k, v in weights.items() if k.startswith("vision."))
        tower_fingerprint = hashlib.sha256(vision).hexdigest()[:16]
        start = 0
        if done_path.exists():
            n_done, made_by = done_path.read_text().split()
            if made_by == tower_fingerprint:
                start = int(n_done)
        mode = "r+" if path.exists() else "w+"
        found = np.lib.format.open_memmap(path, mode, np.float16, shape)
        if start < len(found):
            module = self.make_tower()
            module.load_state_dict(weights)
            module.eval()
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                for first in tqdm(range(start, len(found), batch), desc=name, mininterval=10):
                    index = np.arange(first, min(len(found), first + batch))
                    drawn = normalise_pixels(pixels(index).reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 3))
                    states = module.vision(drawn, output_hidden_states=True).hidden_states[FEATURE_LAYER]
                    found[index] = states[:, 1:].half().numpy().reshape(len(index), *shape[1:])
                    write_text(done_path, f"{index[-1] + 1} {tower_fingerprint}")
        return found

    def train_projector(self, steps: int, batch: int = 64) -> None:
        """Train the projector to give the symbols of each patch, with the LLM frozen: stage "align"."""
        features = self.encode_scenes()
        module = self.make_language_model()
        if not self.checkpoint_path("align").exists():
            module.load_state_dict(self.load_weights("symbols"))
        for part in (module.llm, module.symbols):
            part.requires_grad_(False)

        def losses(rng: np.random.Generator, progress: float) -> dict[str, Tensor]:
            index = np.sort(rng.integers(0, self.scene_store.size, batch))
            attributes, owner = self._load_truth(index)
            # Shapes hold about a tenth of the patches, so a tenth of the background is enough. `some` is bool
            # [B, 196].
            some = (owner >= 0) | ((owner == -1) & torch.from_numpy(rng.random(owner.shape) < 0.1))
            every = torch.arange(N_PATCHES).expand(batch, -1)
            wanted = module.symbols(attributes[:, None], owner[:, None], every)[some]
            predicted = module.projector(torch.from_numpy(features[index])[some].float()).float()
            return {"align": (predicted - wanted).square().mean() / wanted.var()}

        train(
            module, losses, steps=steps, lr=3e-3, checkpoint=self.checkpoint_path("align"), seed=self.seed + 2
        )

    def train_reader(self, steps: int, batch: int = 24) -> None:
        """Train LLM and projector on real visual tokens, most of them dropped at random: stage "reader"."""
        features = self.encode_scenes()
        module = self.make_language_model()
        if not self.checkpoint_path("reader").exists():
            module.load_state_dict(self.load_weights("align"))
        module.symbols.requires_grad_(False)

        def losses(rng: np.random.Generator, progress: float) -> dict[str, Tensor]:
            return {"lm": self.compute_stills_loss(module, features, rng, batch)}

        train(
            module,
            losses,
            steps=steps,
            lr=1e-3,
            checkpoint=self.checkpoint_path("reader"),
            seed=self.seed + 3,
            log=module.progress_text,
        )

    def compute_stills_loss(
        self, module: LanguageModelTrainer, features: np.ndarray, rng: np.random.Generator, batch: int
    ) -> Tensor:
        """Compute the loss of questions about random scenes, from a random subset of their visual tokens.

        Args:
            module: the LLM.
            features: the visual tokens of every scene, from encode_scenes.
            rng: the source of random numbers.
            batch: scenes.
        """
        index = np.sort(rng.integers(0, self.scene_store.size, batch))
        _, owner = self._load_truth(index)
        k = int(rng.choice((196, 98, 49, 30, 20, 10), p=(0.1, 0.1, 0.25, 0.3, 0.15, 0.1)))
        keep = drop_tokens(owner, k, rng, keep_each=rng.random() < 0.8)
        kept = torch.from_numpy(features[index]).gather(1, keep[..., None].expand(-1, -1, TOWER_WIDTH))
        questions = [
            sample_questions(self.scene_store.scene(int(i)), rng, *scene_curriculum(1.0)) for i in index
        ]
        return module.compute_loss(module.projector(kept.float()), questions)

    def _load_truth(self, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Load attributes [B, 6, 6] and owner [B, 196] of the given scenes, int64."""
        attributes = self.scene_store.attributes[index].astype(np.int64)
        owner = self.scene_store.owner[index].astype(np.int64)
        return torch.from_numpy(attributes), torch.from_numpy(owner)
