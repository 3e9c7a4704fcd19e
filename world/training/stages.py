"""One training run in one folder: what every stage shares, and the stages that learn stills."""

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

from ..render.scenes import N_PATCHES, SIZE
from ..text.tokenizer import clip_tokenizer, llm_tokenizer, train_tokenizer
from .curriculum import curriculum, draw_questions, drop_tokens
from .language_model import Reader
from .loop import train
from .scene_store import Batch, SceneBank, normalise
from .vision_tower import LAYER, WIDTH, TowerTrainer, captions, draw_phrases


class Run:
    """One training run in one folder: what every stage shares."""

    def __init__(self, folder: Path, scenes: int, seed: int = 0) -> None:
        self.folder, self.seed = folder, seed
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "tokenizer.json"
        if not path.exists():
            with replace_file(path) as part:
                train_tokenizer().save(str(part))
        self.words = Tokenizer.from_file(str(path))
        self.bank = SceneBank(folder / "scenes", scenes)
        self.bank.fill()

    def checkpoint(self, stage: str) -> Path:
        return self.folder / f"{stage}.pt"

    def weights(self, stage: str) -> dict[str, Tensor]:
        path = self.checkpoint(stage)
        if not path.exists():
            raise SystemExit(f"{path} is missing: train the stage {stage!r} first")
        return torch.load(path, weights_only=True)["module"]

    def new_tower(self) -> TowerTrainer:
        torch.manual_seed(self.seed)  # here, so that a stage alone starts as it does among all
        return TowerTrainer(clip_tokenizer(self.words))

    def new_reader(self) -> Reader:
        torch.manual_seed(self.seed)
        return Reader(llm_tokenizer(self.words))

    # Stages ---------------------------------------------------------------------------------------------

    def tower(self, steps: int, batch: int = 32, phrases: int = 64) -> None:
        """The small CLIP learns to say what every patch shows."""
        module = self.new_tower()

        def losses(rng: np.random.Generator, progress: float) -> dict[str, Tensor]:
            drawn = Batch.draw(self.bank, rng.integers(0, self.bank.size, batch))
            texts, wanted = draw_phrases(phrases, rng)
            return module(drawn, texts, wanted, captions(drawn))

        train(module, losses, steps=steps, lr=1.5e-3, checkpoint=self.checkpoint("tower"), seed=self.seed,
              log=lambda: f"recall={module.hit:.2f}")  # fmt: skip

    def symbols(self, steps: int, batch: int = 24) -> None:
        """The LLM learns to read a scene from the perfect symbols of a few of its patches."""
        module = self.new_reader()
        module.projector.requires_grad_(False)

        def losses(rng: np.random.Generator, progress: float) -> dict[str, Tensor]:
            index = rng.integers(0, self.bank.size, batch)
            attributes, owner = self._truth(index)
            keep = drop_tokens(owner, int(rng.integers(10, 49)), rng, keep_each=True)
            visual = module.symbols(attributes[:, None], owner[:, None], keep)
            asked = [draw_questions(self.bank.scene(int(i)), rng, *curriculum(progress)) for i in index]
            return {"lm": module.read(visual, asked)}

        train(module, losses, steps=steps, lr=1e-3, checkpoint=self.checkpoint("symbols"), seed=self.seed + 1,
              log=module.progress_text)  # fmt: skip

    def features(self, batch: int = 50) -> np.ndarray:
        """Visual tokens of every scene by the frozen tower, float16 [scenes, 196, C]; resumes.

        Those of another state of the tower are made again.
        """
        shape = (self.bank.size, N_PATCHES, WIDTH)
        return self.tokens("features", shape, batch, lambda i: self.bank.pixels[i])

    def tokens(
        self, name: str, shape: tuple[int, ...], batch: int, pixels: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Visual tokens of the frozen tower on disk, float16 [shape]; `pixels` renders [B, ..., 224, 224, 3].

        Beside them stands how many are done, and by which tower.
        """
        path, done_path = self.folder / f"{name}.npy", self.folder / f"{name}.done"
        weights = self.weights("tower")
        vision = b"".join(v.numpy().tobytes() for k, v in weights.items() if k.startswith("vision."))
        print_of_tower = hashlib.sha256(vision).hexdigest()[:16]
        done, made_by = done_path.read_text().split() if done_path.exists() else (0, print_of_tower)
        start = int(done) if made_by == print_of_tower else 0
        mode = "r+" if path.exists() else "w+"
        found = np.lib.format.open_memmap(path, mode, np.float16, shape)
        if start < len(found):
            module = self.new_tower()
            module.load_state_dict(weights)
            module.eval()
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                for first in tqdm(range(start, len(found), batch), desc=name, mininterval=10):
                    index = np.arange(first, min(len(found), first + batch))
                    drawn = normalise(pixels(index).reshape(-1, SIZE, SIZE, 3))
                    states = module.vision(drawn, output_hidden_states=True).hidden_states[LAYER]
                    found[index] = states[:, 1:].half().numpy().reshape(len(index), *shape[1:])
                    write_text(done_path, f"{index[-1] + 1} {print_of_tower}")
        return found

    def align(self, steps: int, batch: int = 64) -> None:
        """The projector learns to say what the symbols say; the LLM stands still."""
        features, module = self.features(), self.new_reader()
        if not self.checkpoint("align").exists():
            module.load_state_dict(self.weights("symbols"))
        for part in (module.llm, module.symbols):
            part.requires_grad_(False)

        def losses(rng: np.random.Generator, progress: float) -> dict[str, Tensor]:
            index = np.sort(rng.integers(0, self.bank.size, batch))
            attributes, owner = self._truth(index)
            # Shapes cover a tenth of the patches: of the background a tenth is enough.
            some = (owner >= 0) | ((owner == -1) & torch.from_numpy(rng.random(owner.shape) < 0.1))
            every = torch.arange(N_PATCHES).expand(batch, -1)
            wanted = module.symbols(attributes[:, None], owner[:, None], every)[some]
            said = module.projector(torch.from_numpy(features[index])[some].float()).float()
            return {"align": (said - wanted).square().mean() / wanted.var()}

        train(module, losses, steps=steps, lr=3e-3, checkpoint=self.checkpoint("align"), seed=self.seed + 2)

    def reader(self, steps: int, batch: int = 24) -> None:
        """LLM and projector together on real visual tokens, most of them dropped at random."""
        features, module = self.features(), self.new_reader()
        if not self.checkpoint("reader").exists():
            module.load_state_dict(self.weights("align"))
        module.symbols.requires_grad_(False)

        def losses(rng: np.random.Generator, progress: float) -> dict[str, Tensor]:
            return {"lm": self.read_stills(module, features, rng, batch)}

        train(module, losses, steps=steps, lr=1e-3, checkpoint=self.checkpoint("reader"), seed=self.seed + 3,
              log=module.progress_text)  # fmt: skip

    def read_stills(
        self, module: Reader, features: np.ndarray, rng: np.random.Generator, batch: int
    ) -> Tensor:
        """The loss of some scenes' questions, read from a random part of their real visual tokens."""
        index = np.sort(rng.integers(0, self.bank.size, batch))
        _, owner = self._truth(index)
        k = int(rng.choice((196, 98, 49, 30, 20, 10), p=(0.1, 0.1, 0.25, 0.3, 0.15, 0.1)))
        keep = drop_tokens(owner, k, rng, keep_each=rng.random() < 0.8)
        seen = torch.from_numpy(features[index]).gather(1, keep[..., None].expand(-1, -1, WIDTH))
        asked = [draw_questions(self.bank.scene(int(i)), rng, *curriculum(1.0)) for i in index]
        return module.read(module.projector(seen.float()), asked)

    def _truth(self, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Attributes [B, 6, 6] and owner [B, 196] of these scenes, int64."""
        attributes, owner = self.bank.attributes[index], self.bank.owner[index]
        return torch.from_numpy(attributes.astype(np.int64)), torch.from_numpy(owner.astype(np.int64))
