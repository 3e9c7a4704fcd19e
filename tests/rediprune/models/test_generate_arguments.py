"""Each argument and setting of generate is known, and what the table says of it is so."""

import inspect
import json

import pytest
import torch
from transformers import GenerationConfig, WatermarkingConfig
from transformers.generation.configuration_utils import ALL_CACHE_IMPLEMENTATIONS
from transformers.utils.generic import TransformersKwargs

from rediprune import Explainer
from rediprune.config import PruneConfig
from rediprune.models import FAMILIES, ModelError, adapter_for
from rediprune.models.generate_arguments import ARGUMENTS
from rediprune.models.transformers_names import PENALTY_SKIPS_PADDING
from rediprune.pruning.prune import prune
from tests.families import families
from tests.support import tiny

ALL, FEW = PruneConfig(keep_ratio=1), PruneConfig(keep_ratio=0.2)
ROW = ("What color is the star?", [tiny.image(1)])
NEGATIVE = torch.tensor([[1, 20, 21, 22, 23]])
# Taken out of **kwargs in the body of generate, where no signature shows them.
IN_THE_BODY = {"tokenizer", "assistant_tokenizer", "trust_remote_code"}


@pytest.fixture(scope="module")
def model():
    return tiny.model()


def names_of(callable_) -> set[str]:
    return set(inspect.signature(callable_).parameters) - {"self", "kwargs"}


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_every_argument_of_the_installed_transformers_is_in_the_table(family):
    model = family.model(torch.float32)
    of_model = names_of(model.forward) | names_of(model.prepare_inputs_for_generation)
    of_media = {name for adapter in FAMILIES.values() for name in adapter.media_inputs}
    installed = names_of(model.generate) | set(vars(GenerationConfig())) | of_model | IN_THE_BODY
    installed |= set(TransformersKwargs.__annotations__)
    assert installed - set(ARGUMENTS) - of_media == set(), (
        "serve, refuse or prove idle: generate_arguments.py"
    )


def test_every_cache_of_the_installed_transformers_is_in_the_table():
    assert set(ALL_CACHE_IMPLEMENTATIONS) <= set(ARGUMENTS["cache_implementation"].idle_values)


def test_every_fate_is_one_of_three_and_has_a_reason():
    assert {argument.fate for argument in ARGUMENTS.values()} == {"served", "idle", "refused"}
    assert all(argument.reason for argument in ARGUMENTS.values())


SERVED = [
    {"do_sample": True, "temperature": 0.7, "top_k": 5, "top_p": 0.9, "min_p": 0.01},
    {"do_sample": True, "typical_p": 0.9, "epsilon_cutoff": 1e-4, "eta_cutoff": 1e-4},
    {"do_sample": True, "top_h": 0.5},
    {"do_sample": True, "num_return_sequences": 3},
    {"num_beams": 3, "early_stopping": True, "length_penalty": 0.5},
    {"num_beams": 3, "do_sample": True, "num_return_sequences": 2},
    {"guidance_scale": 1.7},
    {"guidance_scale": 1.7, "negative_prompt_ids": NEGATIVE},
    {
        "guidance_scale": 1.7,
        "negative_prompt_ids": NEGATIVE,
        "negative_prompt_attention_mask": torch.ones_like(NEGATIVE),
    },
    {"max_time": 100.0},
    {"forced_eos_token_id": 2},
    {"forced_bos_token_id": 5},
    {"exponential_decay_length_penalty": (2, 1.5)},
    {"suppress_tokens": list(range(10, 60))},
    {"begin_suppress_tokens": list(range(10, 80))},
    {"bad_words_ids": [[i] for i in range(10, 60)]},
    {"sequence_bias": {(20,): 9.0}},
    {"repetition_penalty": 1.8, "no_repeat_ngram_size": 1},
    {"watermarking_config": WatermarkingConfig(bias=5.0)},
    {"renormalize_logits": True, "remove_invalid_values": True},
    {"prefix_allowed_tokens_fn": lambda batch, ids: list(range(10, 40))},
    {"cache_implementation": "static", "max_cache_len": 200},
    {"cache_implementation": "sliding_window"},
    {"cache_implementation": "hybrid_chunked"},
    {"cache_implementation": "dynamic"},
    {"use_cache": False},
    {"synced_gpus": False},
    {"logits_to_keep": 3},
    {"is_causal": True},
    {"num_assistant_tokens": 4, "assistant_confidence_threshold": 0.2},
    {"diversity_penalty": 0.5, "low_memory": True, "num_beam_groups": 1, "penalty_alpha": 0.0},
    {"is_assistant": False, "token_healing": False, "use_mtp": False},
    {"encoder_repetition_penalty": 1.0, "encoder_no_repeat_ngram_size": 0},
]


def known_here(settings: dict) -> dict:
    """Leave out settings that the installed transformers does not have yet."""
    known = set(vars(GenerationConfig())) | names_of(tiny.model().generate) | names_of(tiny.model().forward)
    known |= set(TransformersKwargs.__annotations__)
    return {name: value for name, value in settings.items() if name in known}


@pytest.mark.parametrize("settings", SERVED, ids=lambda settings: ",".join(settings))
def test_a_served_setting_does_what_it_does_without_pruning(model, settings):
    inputs = tiny.inputs(ROW)
    how = {"do_sample": False, "max_new_tokens": 6} | known_here(settings)

    def answer():
        torch.manual_seed(0)
        return model.generate(**inputs, **how)

    full = answer()
    with prune(model, ALL):
        assert torch.equal(answer(), full)
    with prune(model, FEW):
        few = answer()
    length = inputs["input_ids"].shape[1]
    assert few.shape[0] == full.shape[0]
    assert torch.equal(few[:, :length], full[:, :length])
    assert length < few.shape[1] <= length + 6


def refused() -> list[str]:
    return sorted(name for name, argument in ARGUMENTS.items() if argument.fate == "refused")


@pytest.mark.parametrize("config", [ALL, FEW], ids=["all", "few"])
@pytest.mark.parametrize("name", refused())
def test_a_refused_argument_is_named_in_one_sentence(model, name, config):
    value = {"cache_implementation": "paged"}.get(name, 3)
    with pytest.raises(ModelError, match=rf"^{name}(='paged')? cannot be [^\n]*$"), prune(model, config):
        model.generate(**tiny.inputs(ROW), max_new_tokens=2, **{name: value})


@pytest.mark.parametrize(
    "name", sorted(set(refused()) & set(vars(GenerationConfig())) - {"continuous_batching_config"})
)
@pytest.mark.parametrize("place", ["argument", "model"])
def test_a_refused_setting_is_found_in_either_config(name, place):
    model = tiny.model()
    config = model.generation_config if place == "model" else GenerationConfig(max_new_tokens=2)
    setattr(config, name, "paged" if name == "cache_implementation" else 3)
    passed = {"generation_config": config} if place == "argument" else {}
    with pytest.raises(ModelError, match=f"^{name}"), prune(model, FEW):
        model.generate(**tiny.inputs(ROW), **passed)


def test_token_healing_with_a_tokenizer_is_refused(model):
    settings = {"token_healing": True, "tokenizer": tiny.tokenizer(), "max_new_tokens": 2}
    with pytest.raises(ModelError, match="writes the prompt ids anew"), prune(model, FEW):
        model.generate(**tiny.inputs(ROW), **settings)


def test_a_name_that_nobody_knows_is_refused_and_a_wrappers_own_is_not(model):
    with pytest.raises(ModelError, match="max_new_token is no argument"), prune(model, FEW):
        model.generate(**tiny.inputs(ROW), max_new_token=2)
    plain, heard = model.generate, []

    def wrapper(*args, **kwargs):
        heard.append(kwargs.pop("own"))
        return plain(*args, **kwargs)

    model.generate = wrapper
    try:
        with prune(model, FEW):
            model.generate(**tiny.inputs(ROW), max_new_tokens=2, own="seen")
    finally:
        del model.generate
    assert heard == ["seen"]


def test_guidance_needs_the_cache_that_generate_turns_on_beside_embeddings(model):
    settings = {"guidance_scale": 1.7, "use_cache": False, "max_new_tokens": 2}
    with pytest.raises(ModelError, match="leave use_cache on"), prune(model, FEW):
        model.generate(**tiny.inputs(ROW), **settings)


ROWS = (
    ("What color is the star in the picture that is near the small red circle?", [tiny.image(3)]),
    ("How many?", [tiny.image(5), tiny.image(6)]),
)


@pytest.mark.parametrize("beams", [1, 2])
def test_repetition_penalty_skips_the_padding_of_the_prompt_ids_and_no_more(model, beams):
    """Generate would skip as many ids as the pruned prompt has padding, which is in the other row here."""
    inputs = tiny.inputs(*ROWS)
    told = {"output_scores": True, "output_logits": True, "return_dict_in_generate": True}
    adapter = adapter_for(model)
    seen = adapter.look(inputs)
    kept = [torch.arange(7)] * len(seen)
    of_pruned = adapter.splice(inputs["input_ids"], inputs["attention_mask"], seen, kept).mask
    assert not torch.equal(of_pruned.sum(1) < of_pruned.shape[1], (inputs["attention_mask"] == 0).any(1))
    with prune(model, FEW):
        out = model.generate(
            **inputs, repetition_penalty=3.0, max_new_tokens=1, do_sample=False, num_beams=beams, **told
        )
    logits = out.logits[0] if beams == 1 else out.logits[0].log_softmax(-1)
    changed = (out.scores[0] - logits).abs() > 1e-4
    for row, (ids, mask) in enumerate(zip(inputs["input_ids"], inputs["attention_mask"], strict=True)):
        penalised = ids[mask.bool()] if PENALTY_SKIPS_PADDING else ids
        assert set(changed[row * beams].nonzero().flatten().tolist()) == set(penalised.tolist())


QUESTION = "What color is the star?"
# What the folder of a model may turn on, in the words of its generation_config.json.
OF_FOLDERS = [
    {},
    {"do_sample": True, "temperature": 0.3, "top_p": 0.5, "repetition_penalty": 1.05},  # as Qwen2.5-VL says
    {"do_sample": True, "num_return_sequences": 3},
    {"num_beams": 4, "num_return_sequences": 3, "early_stopping": True},
    {"repetition_penalty": 3.0},
    {"no_repeat_ngram_size": 1},
    {"cache_implementation": "static"},
    {"min_length": 100},
    {"max_length": 60},
    {"max_new_tokens": 1},
    {"return_dict_in_generate": True, "output_scores": True, "output_attentions": True},
    {"output_hidden_states": True, "output_logits": True},
    {"guidance_scale": 1.5},
    {"bad_words_ids": [[i] for i in range(10, 60)]},
    {"sequence_bias": [[[20], 9.0]]},
    {"begin_suppress_tokens": list(range(10, 80))},
    {"exponential_decay_length_penalty": [2, 1.5]},
    {"forced_bos_token_id": 5},
    {"watermarking_config": {"bias": 5.0}},
    {"num_assistant_tokens": 5},
    {"use_cache": False},
    {"eos_token_id": None, "pad_token_id": None},
    {"nobody_knows_this": 3, "generation_mode": "contrastive_search"},
]


@pytest.fixture
def folder(tmp_path):
    return tiny.save(tmp_path / "tiny")


def set_in(folder, settings: dict) -> None:
    file = folder / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


def asked(explainer):
    encoding = explainer.look(tiny.image(1))
    return encoding, explainer.ask(encoding, QUESTION)


@pytest.mark.parametrize("settings", OF_FOLDERS, ids=lambda settings: ",".join(settings) or "none")
def test_a_setting_of_a_folder_does_in_every_answer_what_it_does_in_generate(folder, settings):
    set_in(folder, settings)
    explainer = Explainer.from_pretrained(folder)
    encoding, question = asked(explainer)
    inputs = tiny.inputs((QUESTION, [tiny.image(1)]))
    assert torch.equal(inputs["input_ids"], question.inputs["input_ids"])
    length = inputs["input_ids"].shape[1]
    greedily = {
        "do_sample": False,
        "num_beams": 1,
        "num_return_sequences": 1,
        "return_dict_in_generate": False,
        "max_new_tokens": 6,
    }
    plain = explainer.model.generate(**inputs, **greedily)[0, length:].tolist()
    assert list(explainer.answer(encoding, question, max_new_tokens=6).token_ids) == plain
    kept = explainer.select(encoding, question, FEW).kept()
    with prune(explainer.model, FEW):
        few = explainer.model.generate(**inputs, **greedily)[0, length:].tolist()
    assert list(explainer.answer(encoding, question, kept, max_new_tokens=6).token_ids) == few


# transformers itself refuses the config of continuous batching in a folder, in words of its own.
IN_FOLDERS = sorted(set(refused()) & set(vars(GenerationConfig())) - {"continuous_batching_config"})


@pytest.mark.parametrize("name", IN_FOLDERS)
def test_a_refused_setting_of_a_folder_is_named_when_it_is_opened(folder, name):
    value = {"cache_implementation": "paged"}.get(name, 3)
    set_in(folder, {name: value})
    with pytest.raises(ModelError, match=rf"^generation_config.json of tiny: {name}[^\n]*$"):
        Explainer.from_pretrained(folder)


@pytest.mark.parametrize(
    "settings",
    [
        {"cache_implementation": "nobody knows this"},
        {"repetition_penalty": "high"},
        {"eos_token_id": "end"},
        {"bad_words_ids": [[10**9]]},
        {"stop_strings": ["square"]},  # generate cannot look for them with a tokenizer of whole words
        {"streamer": 1},
        {"assistant_model": "owner/model"},
        {"compile_config": {}},
    ],
    ids=str,
)
def test_a_value_that_generate_cannot_use_is_one_sentence(folder, settings):
    set_in(folder, settings)

    def answer():
        explainer = Explainer.from_pretrained(folder)
        explainer.answer(*asked(explainer))

    with pytest.raises(ModelError, match=r"cannot be used: [^\n]*$"):
        answer()
