"""`python -m world.train`: the embedded model from nothing, resumable at every point.

    scenes     rendered once, kept on disk
    tower      a small CLIP
    symbols    the LLM reads perfect symbols instead of visual tokens
    features   the frozen tower's visual tokens of every scene, kept on disk
    align      the projector learns to say what the symbols say
    reader     projector and LLM together on real visual tokens
    export     to assets/

Every draw depends on the seed and the step alone, so a resumed run does what an unbroken one would.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from tqdm import tqdm

from .bank import SceneBank
from .export import export
from .language import clip_tokenizer, llm_tokenizer, train_tokenizer
from .loop import train
from .reader import LLM_WIDTH, Reader, curriculum, draw_questions, drop_tokens
from .scenes import N_PATCHES
from .tower import LAYER, WIDTH, Batch, TowerTrainer, captions, draw_phrases

STAGES = ("tower", "symbols", "features", "align", "reader", "export")
ASSETS = Path(__file__).parents[1] / "assets"


class Run:
    """One training run in one folder: what every stage shares."""

    def __init__(self, folder: Path, scenes: int, seed: int = 0) -> None:
        self.folder, self.seed = folder, seed
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "tokenizer.json"
        if not path.exists():
            train_tokenizer().save(str(path))
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
            visual = module.symbols(attributes, owner).gather(1, keep[..., None].expand(-1, -1, LLM_WIDTH))
            asked = [draw_questions(self.bank.scene(int(i)), rng, *curriculum(progress)) for i in index]
            return {"lm": module.read(visual, asked)}

        train(module, losses, steps=steps, lr=1e-3, checkpoint=self.checkpoint("symbols"), seed=self.seed + 1,
              log=module.progress_text)  # fmt: skip

    def features(self, batch: int = 50) -> np.ndarray:
        """Visual tokens of every scene by the frozen tower, float16 [scenes, 196, C]; resumes.

        Those of an earlier state of the tower are made again.
        """
        path, n = self.folder / "features.npy", self.bank.size
        done_path, tower = self.folder / "features.done", self.checkpoint("tower")
        done = int(done_path.read_text()) if done_path.exists() else 0
        if done and tower.exists() and tower.stat().st_mtime_ns > done_path.stat().st_mtime_ns:
            done = 0
        mode = "r+" if path.exists() else "w+"
        found = np.lib.format.open_memmap(path, mode, np.float16, (n, N_PATCHES, WIDTH))
        if done < n:
            module = self.new_tower()
            module.load_state_dict(self.weights("tower"))
            module.eval()
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                for start in tqdm(range(done, n, batch), desc="features", mininterval=10):
                    index = np.arange(start, min(n, start + batch))
                    states = module.vision(Batch.draw(self.bank, index).pixels, output_hidden_states=True)
                    found[index] = states.hidden_states[LAYER][:, 1:].half().numpy()
                    done_path.write_text(str(int(index[-1]) + 1))
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
            wanted = module.symbols(attributes, owner)[some]
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
            index = np.sort(rng.integers(0, self.bank.size, batch))
            _, owner = self._truth(index)
            k = int(rng.choice((196, 98, 49, 30, 20, 10), p=(0.1, 0.1, 0.25, 0.3, 0.15, 0.1)))
            keep = drop_tokens(owner, k, rng, keep_each=rng.random() < 0.8)
            seen = torch.from_numpy(features[index]).gather(1, keep[..., None].expand(-1, -1, WIDTH))
            asked = [draw_questions(self.bank.scene(int(i)), rng, *curriculum(1.0)) for i in index]
            return {"lm": module.read(module.projector(seen.float()), asked)}

        train(module, losses, steps=steps, lr=1e-3, checkpoint=self.checkpoint("reader"), seed=self.seed + 3,
              log=module.progress_text)  # fmt: skip

    def export(self, assets: Path) -> None:
        """Both model folders, from the checkpoints of the stages tower and reader."""
        tower, reader = self.new_tower(), self.new_reader()
        tower.load_state_dict(self.weights("tower"))
        reader.load_state_dict(self.weights("reader"))
        export(tower, reader, self.words, assets)

    def _truth(self, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Attributes [B, 6, 6] and owner [B, 196] of these scenes, int64."""
        attributes, owner = self.bank.attributes[index], self.bank.owner[index]
        return torch.from_numpy(attributes.astype(np.int64)), torch.from_numpy(owner.astype(np.int64))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m world.train", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/world"), help="checkpoints and rendered scenes"
    )
    parser.add_argument("--assets", type=Path, default=ASSETS, help="where the finished model goes")
    parser.add_argument("--stage", choices=("all", *STAGES), default="all")
    parser.add_argument("--scenes", type=int, default=40_000, help="scenes to render, 150 kB each on disk")
    parser.add_argument("--tower-steps", type=int, default=5_200)
    parser.add_argument("--symbols-steps", type=int, default=5_000)
    parser.add_argument("--align-steps", type=int, default=4_000)
    parser.add_argument("--reader-steps", type=int, default=2_000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    run = Run(args.folder, args.scenes, args.seed)
    for stage in STAGES if args.stage == "all" else (args.stage,):
        if stage == "export":
            run.export(args.assets)
        elif stage == "features":
            run.features()
        else:
            getattr(run, stage)(getattr(args, f"{stage}_steps"))


if __name__ == "__main__":
    main()
