"""Code that comes with a model runs only where the user says so, and never for a model of the page's menu."""

import json
import sys

import pytest
from safetensors.torch import save_file

from rediprune import Explainer, load
from rediprune.__main__ import main
from rediprune.explainer.model_holder import ModelHolder
from rediprune.models import ModelError
from tests.support import tiny

CODE = """
from pathlib import Path

from transformers import LlavaConfig, LlavaForConditionalGeneration

Path({mark!r}).touch()


class OwnConfig(LlavaConfig):
    model_type = "own_llava"


class OwnModel(LlavaForConditionalGeneration):
    config_class = OwnConfig
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A LLaVA of a type that transformers does not know, with its code; the mark shows that it ran."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    # Somebody at the terminal may say yes to the question that transformers asks there.
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    folder = tiny.save(tmp_path / "own")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own_llava",
        "architectures": ["OwnModel"],
        "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModelForImageTextToText": "own.OwnModel"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    # Names as in the model: those in the file of a class of transformers are changed while it is read.
    save_file(tiny.model().state_dict(), folder / "model.safetensors", {"format": "pt"})
    (folder / "own.py").write_text(CODE.format(mark=str(tmp_path / "ran")))
    yield folder
    for name in [name for name in sys.modules if name.startswith("transformers_modules")]:
        del sys.modules[name]


def ran(folder) -> bool:
    return (folder.parent / "ran").exists()


def test_code_is_not_run_and_the_sentence_says_how_it_would_be(folder, capsys):
    holder = ModelHolder(None)
    for opened in (load, Explainer.from_pretrained, holder.open):
        with pytest.raises(ModelError, match=r"Python code of its own .* --trust-remote-code"):
            opened(folder)
    picture = folder.parent / "picture.png"
    tiny.image(1).save(picture)
    for command in (["check", str(folder)], ["answer", str(picture), "What?", "--model", str(folder)]):
        assert main(command) == 2
        assert "--trust-remote-code" in capsys.readouterr().err
    assert not ran(folder)


def test_code_of_a_processor_is_not_run_either(folder):
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "llava", "auto_map": {}}
    (folder / "config.json").write_text(json.dumps(config))
    file = folder / "processor_config.json"
    processor = json.loads(file.read_text())
    processor |= {"processor_class": "OwnProcessor", "auto_map": {"AutoProcessor": "own.OwnProcessor"}}
    file.write_text(json.dumps(processor))
    with pytest.raises(ModelError, match="Python code of its own"):
        load(folder)
    assert not ran(folder)


def test_code_of_a_class_that_transformers_has_is_not_needed(folder):
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "llava"}
    (folder / "config.json").write_text(json.dumps(config))
    model, _ = load(folder)
    assert type(model).__name__ == "LlavaForConditionalGeneration"
    assert not ran(folder)


def test_with_the_flag_the_code_is_run_and_its_model_answers(folder):
    explainer = Explainer.from_pretrained(folder, trust_remote_code=True)
    assert ran(folder)
    assert type(explainer.model).__name__ == "OwnModel"
    encoding = explainer.look(tiny.image(1))
    question = explainer.ask(encoding, "What color is the star?")
    kept = explainer.select(encoding, question).kept()
    assert explainer.answer(encoding, question, kept, max_new_tokens=3).token_ids
