"""`device_map` of accelerate: weights that lie elsewhere until they are needed give the same answers."""

import pytest
import torch
from accelerate import dispatch_model

from rediprune import Explainer, PruneConfig, load, prune
from tests.families import llava, llava_onevision
from tests.rediprune.models.families.test_every_family import ALL, COMPARE, FEW, same

# accelerate's own, about a newline, which is a weight and no module
pytestmark = pytest.mark.filterwarnings("ignore:The following device_map keys do not match")

FAMILIES = [llava.FAMILY, llava_onevision.FAMILY]
BOTH = [pytest.param(f, kind, id=f"{f.name}-{kind}") for f in FAMILIES for kind in f.kinds]
PARTS = {
    "all": ("",),
    "encoder": ("model.vision_tower",),
    "projector": ("model.multi_modal_projector",),
    "LLM": ("model.language_model", "lm_head"),
}


@pytest.mark.parametrize(("family", "kind"), BOTH)
@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_answers_are_the_same_where_a_part_lies_on_disk(family, kind, parts, tmp_path):
    inputs, model = family.inputs(kind), family.model(torch.float32)
    full = model.generate(**inputs, **COMPARE)
    with prune(model, FEW):
        few = model.generate(**inputs, **COMPARE)
    names = ["lm_head", *(f"model.{n}" for n, _ in model.model.named_children())]
    names += [f"model.{n}" for n, _ in model.model.named_parameters(recurse=False)]
    places = {name: "disk" if name.startswith(parts) else "cpu" for name in names}
    spread = dispatch_model(model, places, main_device="cpu", offload_dir=tmp_path, force_hooks=True)
    assert any(weight.is_meta for weight in spread.parameters())
    for config, expected in ((ALL, full), (FEW, few)):
        with prune(spread, config) as report:
            assert same(spread.generate(**inputs, **COMPARE), expected)
        assert report.n_kept > 0


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_a_saved_model_of_which_no_module_is_in_memory(family, tmp_path):
    plain, folder = family.model(torch.float32), tmp_path / "model"
    plain.save_pretrained(folder)
    places = {f"model.{name}": "disk" for name, _ in plain.model.named_children()} | {"lm_head": "disk"}
    # A newline is no module, so no hook would bring it: from disk, the unmodified model itself cannot run.
    places |= {f"model.{name}": "cpu" for name, _ in plain.model.named_parameters(recurse=False)}
    offloaded = type(plain).from_pretrained(folder, device_map=places, offload_folder=tmp_path / "disk")
    picture, question, config = family.pictures(0)[0], "Where is the cat?", PruneConfig(0.2)
    modules = [*offloaded.model.children(), offloaded.lm_head]
    assert all(weight.is_meta for module in modules for weight in module.parameters())
    ours, theirs = (
        Explainer(model, family.processor()).run(picture, question, config, max_new_tokens=4)
        for model in (offloaded.eval(), plain)
    )
    assert torch.equal(ours.kept, theirs.kept)
    assert (ours.full.token_ids, ours.pruned.token_ids) == (theirs.full.token_ids, theirs.pruned.token_ids)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_load_with_device_map_auto(family, tmp_path):
    plain = family.model(torch.float32)
    plain.save_pretrained(tmp_path)
    family.processor().save_pretrained(tmp_path)
    model, _ = load(tmp_path, device_map="auto")
    inputs = family.inputs("image")
    inputs = {name: value.to(model.device) for name, value in inputs.items()}
    full = model.generate(**inputs, **COMPARE)
    with prune(model, ALL):
        assert same(model.generate(**inputs, **COMPARE), full)
