"""Every stage of `python -m world.training`, two steps each, to a model that opens and answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rediprune import Explainer
from tests.support import tiny_world
from world import make_clip, make_scene
from world.render.clip_plans import N_FRAMES
from world.render.scenes import N_PATCHES
from world.training import __main__ as train
from world.training.clip_stages import ClipTrainingRun
from world.training.scene_store import FIRST_TRAINING_SEED
from world.training.vision_tower import TOWER_WIDTH

SCENES, CLIPS = 12, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where one whole run has been: its folder, with the finished model in `assets`."""
    folder = tmp_path_factory.mktemp("run")
    tiny_world.train_tokenizer_once().save(
        str(folder / "tokenizer.json")
    )  # training would make the same one again
    train.main(arguments(folder))
    return folder


def arguments(folder, *more: str) -> list[str]:
    steps = [f"--{stage}-steps=2" for stage in train.STEPS]
    paths = [f"--folder={folder}", f"--assets={folder / 'assets'}"]
    return [*paths, f"--scenes={SCENES}", f"--clips={CLIPS}", "--threads=1", *steps, *more]


def test_from_nothing_to_a_model_that_answers(folder):
    explainer = Explainer.from_pretrained(folder / "assets" / "tiny-llava")
    scene = make_scene(0)
    look = explainer.look(scene.image)
    asked = explainer.ask(look, scene.questions[0].text)
    assert look.vision.features.shape == (1, N_PATCHES, TOWER_WIDTH)
    assert explainer.answer(look, asked, max_new_tokens=3).token_ids
    assert (folder / "assets" / "tiny-clip" / "open_clip_model.safetensors").exists()


def test_each_stage_trains_its_own_part(folder):
    saved = {stage: torch.load(folder / f"{stage}.pt", weights_only=True)["module"] for stage in train.STEPS}

    def changed(before: str, after: str) -> set[str]:
        a, b = saved[before], saved[after]
        return {name.split(".")[0] for name in a if not torch.equal(a[name], b[name])}

    assert changed("symbols", "align") == {"projector"}
    assert changed("align", "reader") == {"projector", "llm"}
    assert changed("tower", "text") == {"text"}
    assert changed("moves", "clips") == {"projector", "llm", "time"}
    assert not any(saved["moves"][k].equal(saved["clips"][k]) for k in saved["moves"] if "embed_tokens" in k)


def test_features_are_the_frozen_tower_s(folder):
    features = np.load(folder / "features.npy")
    explainer = Explainer.from_pretrained(folder / "assets" / "tiny-llava")
    bank = ClipTrainingRun(folder, SCENES, CLIPS).scene_store
    seen = explainer.look(bank.scene(SCENES - 1).image).vision.features[0]
    assert features.shape == (SCENES, N_PATCHES, TOWER_WIDTH)
    # Written from bfloat16 products; the look is float32 from float16 weights.
    assert np.abs(features[-1] - seen.numpy()).max() < 0.03 * seen.abs().max()


def test_frames_are_the_frozen_tower_s_too(folder):
    frames = np.load(folder / "frames.npy")
    explainer = Explainer.from_pretrained(folder / "assets" / "tiny-llava")
    seen = explainer.look(make_clip(FIRST_TRAINING_SEED + 1).images).vision.features
    assert frames.shape == (CLIPS, N_FRAMES, N_PATCHES, TOWER_WIDTH)
    assert np.abs(frames[1] - seen.numpy()).max() < 0.03 * seen.abs().max()


def test_an_older_run_is_taken_over_word_by_word(folder, tmp_path):
    """Its tokenizer knew fewer words; what it had learned is what the new run starts from."""
    older = tmp_path / "older"
    older.mkdir()
    for name in ("tokenizer.json", "tower.pt", "reader.pt"):
        (older / name).write_bytes((folder / name).read_bytes())
    tiny_world.train_tokenizer_once().save(str(tmp_path / "tokenizer.json"))
    run = ClipTrainingRun(tmp_path, 1, 1)
    run.adopt_checkpoints(older)
    for stage in ("tower", "reader"):
        before = torch.load(folder / f"{stage}.pt", weights_only=True)["module"]
        assert all(torch.equal(before[k], v) for k, v in run.load_weights(stage).items())


def test_a_finished_run_started_again_trains_nothing(folder):
    """It only writes the model out once more, the same."""
    before = {p.name: p.stat().st_mtime_ns for p in folder.glob("*.pt")}
    weights = {p: p.read_bytes() for p in folder.rglob("*.safetensors")}
    train.main(arguments(folder))
    assert {p.name: p.stat().st_mtime_ns for p in folder.glob("*.pt")} == before
    assert len(before) == len(train.STEPS) and len(weights) >= 2
    assert all(p.read_bytes() == bytes_before for p, bytes_before in weights.items())


def test_features_of_an_earlier_tower_are_made_again(folder):
    """Else the LLM would be trained on a tower that is not exported."""
    run, path = ClipTrainingRun(folder, SCENES, CLIPS), folder / "features.npy"
    before = np.load(path)
    run.encode_scenes()
    assert np.array_equal(np.load(path), before)
    saved = torch.load(folder / "tower.pt", weights_only=True)
    changed = {k: v * 1.5 if k.startswith("vision.pre_layrnorm") else v for k, v in saved["module"].items()}
    try:
        torch.save(saved | {"module": changed}, folder / "tower.pt")
        assert np.abs(run.encode_scenes() - before).max() > 0.1
    finally:
        torch.save(saved, folder / "tower.pt")
    assert np.array_equal(run.encode_scenes(), before)


def test_a_stage_without_the_one_before_it_is_one_sentence(tmp_path):
    tiny_world.train_tokenizer_once().save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(SystemExit, match=r"tower\.pt is missing: train the stage 'tower' first"):
        train.main([f"--folder={tmp_path}", "--scenes=1", "--stage=features"])
