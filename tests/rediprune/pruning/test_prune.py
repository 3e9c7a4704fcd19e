"""`prune` changes what the LLM reads and nothing else: identical at 100%, undone afterwards, never silent."""

import contextlib
import threading
from dataclasses import replace

import pytest
import torch
from transformers import DynamicCache, GenerationConfig, LogitsProcessor, TextIteratorStreamer

from rediprune.config import PruneConfig, kept_count
from rediprune.models import ModelError
from rediprune.models.registry import adapter_for
from rediprune.models.transformers_names import CACHE_NAMES, cache_argument
from rediprune.pruning.prune import prune
from rediprune.pruning.report import PruneError
from rediprune.query.prompt_tail import prompt_tail
from rediprune.query.text_tower import TextTower
from rediprune.selection.select import select
from tests.support import tiny

ALL, FEW = PruneConfig(keep_ratio=1), PruneConfig(keep_ratio=0.15)
K = kept_count(tiny.N, 0.15)
NEW = 8
COMPARE = {"return_dict_in_generate": True, "output_logits": True, "do_sample": False, "max_new_tokens": NEW}
ONE = (("What color is the star?", [tiny.image(1)]),)
TWO_PROMPTS = (*ONE, ("How many are there in this picture, please?", [tiny.image(2)]))
SEVERAL_IMAGES = (
    ("Is it red?", [tiny.image(3), tiny.image(4, (130, 90))]),
    ("What color is the star in the picture?", [tiny.image(5)]),
    ("No picture here, describe a dog", []),
    ("Where is the square?", [tiny.image(6), tiny.image(7), tiny.image(8)]),
)
BATCHES = {"one": ONE, "two prompts": TWO_PROMPTS, "several images": SEVERAL_IMAGES}


@pytest.fixture(scope="module")
def model():
    return tiny.model()


def pruned(model, config, *rows, **settings):
    with prune(model, config) as report:
        return model.generate(**tiny.inputs(*rows), **settings), report


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16], ids=["fp32", "bf16", "fp16"]
)
@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("rows", BATCHES.values(), ids=BATCHES.keys())
def test_keeping_everything_is_the_unpruned_model_to_the_last_bit(rows, beams, dtype):
    model = tiny.model(dtype=dtype)
    full = model.generate(**tiny.inputs(*rows), num_beams=beams, **COMPARE)
    ours, _ = pruned(model, ALL, *rows, num_beams=beams, **COMPARE)
    assert type(ours) is type(full)
    assert torch.equal(ours.sequences, full.sequences)
    assert all(torch.equal(a, b) for a, b in zip(ours.logits, full.logits, strict=True))


@pytest.mark.parametrize(
    "config", [FEW, PruneConfig(0.15, method="random"), PruneConfig(0.15, method="grid")]
)
@pytest.mark.parametrize("rows", BATCHES.values(), ids=BATCHES.keys())
def test_pruned_tokens_are_the_full_sequence_with_the_dropped_ones_masked(model, rows, config):
    """Independent of splice: all tokens stay in place and attention is forbidden to the dropped ones."""
    inputs = tiny.inputs(*rows)
    ours, report = pruned(model, config, *rows, **COMPARE)

    mask, rows_of = inputs["attention_mask"].clone(), inputs["input_ids"] == model.config.image_token_id
    for image in report.images:
        start = int(rows_of[image.prompt].nonzero()[0]) + image.image * tiny.N
        dropped = [i for i in range(tiny.N) if i not in image.kept.tolist()]
        mask[image.prompt, [start + i for i in dropped]] = 0
    # generate counts positions over the mask, so kept tokens are numbered 0, 1, 2, ... just as when compacted
    full = model.generate(**inputs | {"attention_mask": mask}, **COMPARE)

    assert torch.equal(ours.sequences, full.sequences)
    for a, b in zip(ours.logits, full.logits, strict=True):
        torch.testing.assert_close(a, b, atol=2e-6, rtol=2e-6)


def masked(model, report, *rows, **settings):
    """What the unmodified model makes of the whole prompt when it may not look at the dropped tokens."""
    inputs = tiny.inputs(*rows)
    mask = inputs["attention_mask"].clone()
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    for image in report.images:
        places = (inputs["input_ids"][image.prompt] == model.config.image_token_id).nonzero()[:, 0]
        dropped = torch.ones(tiny.N, dtype=torch.bool)
        dropped[image.kept] = False
        mask[image.prompt, places[image.image * tiny.N :][: tiny.N][dropped]] = 0
    return model.generate(**inputs | {"attention_mask": mask}, position_ids=positions, **settings)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("budget", ["frame", "shared"])
@pytest.mark.parametrize("rows", BATCHES.values(), ids=BATCHES.keys())
def test_with_original_positions_it_is_the_full_sequence_with_the_dropped_ones_masked(
    model, rows, budget, beams
):
    """The second independent check: gaps in the positions where tokens were dropped, for every new token."""
    config = PruneConfig(0.15, positions="original", budget=budget)
    ours, report = pruned(model, config, *rows, num_beams=beams, **COMPARE)
    full = masked(model, report, *rows, num_beams=beams, **COMPARE)
    assert torch.equal(ours.sequences, full.sequences)
    assert len(ours.logits) > 3
    for a, b in zip(ours.logits, full.logits, strict=True):
        torch.testing.assert_close(a, b, atol=2e-6, rtol=2e-6)

    compacted, _ = pruned(model, replace(config, positions="compacted"), *rows, num_beams=beams, **COMPARE)
    assert not torch.allclose(ours.logits[0], compacted.logits[0], atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
def test_with_original_positions_half_precision_agrees_as_far_as_it_goes(dtype):
    model = tiny.model(dtype=dtype)
    config = PruneConfig(0.15, positions="original")
    ours, report = pruned(model, config, *TWO_PROMPTS, **COMPARE)
    full = masked(model, report, *TWO_PROMPTS, **COMPARE).logits[0]
    compacted, _ = pruned(model, FEW, *TWO_PROMPTS, **COMPARE)
    away, moved = ((out.logits[0] - full).abs().max() for out in (ours, compacted))
    assert away < 16 * torch.finfo(dtype).eps < moved


def test_keeping_everything_at_original_positions_is_the_unpruned_model_to_the_last_bit(model):
    full = model.generate(**tiny.inputs(*SEVERAL_IMAGES), **COMPARE)
    ours, _ = pruned(model, PruneConfig(1, positions="original"), *SEVERAL_IMAGES, **COMPARE)
    assert all(torch.equal(a, b) for a, b in zip(ours.logits, full.logits, strict=True))


def test_a_shared_budget_is_one_choice_among_all_images_of_a_prompt(model):
    config, adapter = PruneConfig(0.15, budget="shared"), adapter_for(model)
    _, report = pruned(model, config, *SEVERAL_IMAGES, max_new_tokens=1)
    seen = adapter.look(tiny.inputs(*SEVERAL_IMAGES))
    uneven = False
    for prompt in (0, 1, 3):
        mine = [i for i, image in enumerate(report.images) if image.prompt == prompt]
        together = torch.cat([seen[i].vision.features for i in mine])
        expected = select(together, report.images[mine[0]].query, config).kept()
        assert len(expected) == kept_count(len(mine) * tiny.N, 0.15)
        found = torch.cat([place * tiny.N + report.images[i].kept for place, i in enumerate(mine)])
        assert torch.equal(found, expected)
        uneven |= len({len(report.images[i].kept) for i in mine}) > 1
    assert uneven


def test_an_image_that_a_shared_budget_leaves_nothing_is_gone_from_the_prompt(model):
    """Three images and one token for all of them: two have none, and the answer is that of the third."""
    config, rows = PruneConfig(0.001, budget="shared", positions="original"), SEVERAL_IMAGES[3:]
    ours, report = pruned(model, config, *rows, **COMPARE)
    assert sorted(len(image.kept) for image in report.images) == [0, 0, 1]
    full = masked(model, report, *rows, **COMPARE)
    assert torch.equal(ours.sequences, full.sequences)


def test_the_published_query_and_rule_choose_what_is_kept(model):
    inputs, adapter = tiny.inputs(*SEVERAL_IMAGES), adapter_for(model)
    _, report = pruned(model, FEW, *SEVERAL_IMAGES, max_new_tokens=1)

    assert [(i.prompt, i.image) for i in report.images] == [(0, 0), (0, 1), (1, 0), (3, 0), (3, 1), (3, 2)]
    assert (report.n_visual, report.n_kept, report.calls) == (6 * tiny.N, 6 * K, 1)
    for one, image in zip(adapter.look(inputs), report.images, strict=True):
        question = tiny.tokenizer()(f"{SEVERAL_IMAGES[image.prompt][0]} ASSISTANT:", add_special_tokens=False)
        tail = model.get_input_embeddings()(torch.tensor(question["input_ids"]))
        expected = select(one.vision.features, prompt_tail(tail), FEW).kept()
        assert torch.equal(image.kept, expected)
        assert torch.equal(image.selection.kept().view(-1, K)[image.image] - image.image * tiny.N, expected)
        assert image.kind == "image"
        assert (image.selection.order.shape[-1], image.selection.size) == (K, tiny.N)


def test_fewer_tokens_give_another_answer_than_all_of_them(model):
    """Guards the other tests: with a model deaf to its image, every one of them would pass."""
    full, _ = pruned(model, ALL, *TWO_PROMPTS, **COMPARE)
    few, _ = pruned(model, FEW, *TWO_PROMPTS, **COMPARE)
    assert not torch.equal(full.sequences, few.sequences)


def test_the_llm_reads_only_the_kept_tokens(model):
    lengths = []
    with model.model.language_model.register_forward_pre_hook(
        lambda _, args, kwargs: lengths.append(kwargs["inputs_embeds"].shape[1]), with_kwargs=True
    ):
        pruned(model, FEW, *ONE, max_new_tokens=3, min_new_tokens=3)
    assert lengths == [tiny.inputs(*ONE)["input_ids"].shape[1] - tiny.N + K, 1, 1]


def test_output_keeps_its_shape_and_its_prompt(model):
    inputs = tiny.inputs(*TWO_PROMPTS)
    settings = {"max_new_tokens": 5, "min_new_tokens": 5, "num_beams": 3, "num_return_sequences": 2}
    out, _ = pruned(model, FEW, *TWO_PROMPTS, **settings)
    length = inputs["input_ids"].shape[1]
    assert out.shape == (4, length + 5)
    assert torch.equal(out[:, :length], inputs["input_ids"].repeat_interleave(2, 0))


@pytest.mark.parametrize(
    "settings",
    [
        {"max_new_tokens": 6, "min_new_tokens": 6},
        {"max_length": 60, "min_length": 60},
        {"generation_config": GenerationConfig(max_length=60, min_length=60, pad_token_id=3, eos_token_id=2)},
        {"max_length": 60, "max_new_tokens": 4, "min_new_tokens": 4},
        {"min_new_tokens": 20},  # the default limit: 20 new tokens
        {"max_new_tokens": 6, "cache_implementation": "static"},
        {"max_new_tokens": 6, "use_cache": False},
        {"max_new_tokens": 6, "repetition_penalty": 1.3, "no_repeat_ngram_size": 2},
        {"max_new_tokens": 6} | cache_argument(DynamicCache),
    ],
    ids=lambda settings: ",".join(settings),
)
@pytest.mark.parametrize("config", [ALL, FEW], ids=["all", "few"])
@pytest.mark.filterwarnings("ignore:Using the model-agnostic default `max_length`")
def test_lengths_and_settings_mean_what_they_mean_without_pruning(model, config, settings):
    def call():  # a cache is made anew for each call
        fresh = {k: v() for k, v in settings.items() if isinstance(v, type)}
        return model.generate(**tiny.inputs(*ONE), do_sample=False, **settings | fresh)

    full = call()
    with prune(model, config):
        ours = call()
    assert ours.shape == full.shape
    assert config is not ALL or torch.equal(ours, full)


def test_max_length_in_the_models_own_generation_config_is_honoured():
    model = tiny.model()
    model.generation_config.max_length = 55
    full = model.generate(**tiny.inputs(*ONE), min_length=55)
    assert pruned(model, FEW, *ONE, min_length=55)[0].shape == full.shape == (1, 55)
    assert model.generation_config.max_length == 55


def test_logits_processors_see_the_original_prompt(model):
    class Spy(LogitsProcessor):
        def __init__(self):
            self.seen = []

        def __call__(self, input_ids, scores):
            self.seen.append(input_ids.clone())
            return scores

    spy = Spy()
    pruned(model, FEW, *ONE, max_new_tokens=1, logits_processor=[spy])
    assert torch.equal(spy.seen[0], tiny.inputs(*ONE)["input_ids"])


@pytest.mark.parametrize("skip_prompt", [True, False])
def test_streaming_gives_the_text_that_generate_returns(model, skip_prompt):
    inputs, processor = tiny.inputs(*ONE), tiny.processor()
    streamer = TextIteratorStreamer(processor.tokenizer, skip_prompt=skip_prompt, timeout=60)
    with prune(model, FEW):
        settings = {**inputs, "streamer": streamer, "max_new_tokens": NEW, "do_sample": False}
        thread = threading.Thread(target=model.generate, kwargs=settings)
        thread.start()
        streamed = "".join(streamer)
        thread.join()
        ids = model.generate(**inputs, max_new_tokens=NEW, do_sample=False)
    start = inputs["input_ids"].shape[1] if skip_prompt else 0
    assert streamed == processor.tokenizer.decode(ids[0, start:])


def test_sampling_draws_the_same_words_with_the_same_seed_at_100_percent(model):
    inputs = tiny.inputs(*ONE)
    torch.manual_seed(3)
    full = model.generate(**inputs, do_sample=True, num_return_sequences=3, max_new_tokens=NEW)
    torch.manual_seed(3)
    with prune(model, ALL):
        ours = model.generate(**inputs, do_sample=True, num_return_sequences=3, max_new_tokens=NEW)
    assert torch.equal(ours, full)


def test_prompt_ids_may_be_positional_and_the_mask_may_be_missing(model):
    inputs = tiny.inputs(*TWO_PROMPTS)
    full = model.generate(inputs["input_ids"], pixel_values=inputs["pixel_values"], max_new_tokens=NEW)
    with prune(model, ALL):
        ours = model.generate(inputs["input_ids"], pixel_values=inputs["pixel_values"], max_new_tokens=NEW)
    assert torch.equal(ours, full)
    with_mask, _ = pruned(model, FEW, *TWO_PROMPTS, max_new_tokens=NEW)
    with prune(model, FEW):
        ours = model.generate(inputs["input_ids"], pixel_values=inputs["pixel_values"], max_new_tokens=NEW)
    assert torch.equal(ours, with_mask)


def test_the_query_holds_no_padding_on_either_side(model):
    inputs = tiny.inputs(*TWO_PROMPTS)
    _, left = pruned(model, FEW, *TWO_PROMPTS, max_new_tokens=1)
    for name in ("input_ids", "attention_mask"):
        inputs[name] = torch.stack(
            [
                row.roll(-int((mask == 0).sum()))
                for row, mask in zip(inputs[name], tiny.inputs(*TWO_PROMPTS)["attention_mask"], strict=True)
            ]
        )
    assert (inputs["attention_mask"][:, -1] == 0).any()
    with prune(model, FEW) as right:
        model.generate(**inputs, max_new_tokens=1)
    for a, b in zip(left.images, right.images, strict=True):
        assert torch.equal(a.query.vector, b.query.vector)


def test_a_prompt_answers_the_same_alone_and_in_a_padded_batch(model):
    alone = [pruned(model, FEW, row, **COMPARE)[0] for row in TWO_PROMPTS]
    together, _ = pruned(model, FEW, *TWO_PROMPTS, **COMPARE)
    for i, one in enumerate(alone):
        for a, b in zip(one.logits, together.logits, strict=False):
            torch.testing.assert_close(a[0], b[i], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pointing", ["cosine", "negated", "value"])
def test_text_tower_query_prunes_by_the_question(model, tmp_path, pointing):
    tower = TextTower.load(f"local-dir:{tiny.save_clip(tmp_path)}", "cpu")
    config = PruneConfig(0.15, query="text-tower", pointing=pointing)
    questions = [question for question, _ in TWO_PROMPTS]
    with prune(model, config, question=questions, text_tower=tower) as report:
        model.generate(**tiny.inputs(*TWO_PROMPTS), max_new_tokens=1)
    assert [image.query.name for image in report.images] == ["text-tower"] * 2
    assert not torch.equal(report.images[0].query.vector, report.images[1].query.vector)
    assert report.images[0].query.keys is None  # the report of a whole data set must fit into memory
    assert report.n_kept == 2 * K

    with (
        pytest.raises(ValueError, match="3 questions were given for a batch of 2 prompts"),
        prune(model, config, question=["a", "b", "c"], text_tower=tower),
    ):
        model.generate(**tiny.inputs(*TWO_PROMPTS), max_new_tokens=1)


# Undone, whatever happens ---------------------------------------------------------------------------------


def state(model):
    def plain(value):  # hooks and submodules by name, as a changed dict would equal itself
        return [*value] if isinstance(value, dict) else value

    return (
        {name: {k: plain(v) for k, v in vars(m).items()} for name, m in model.named_modules()},
        {name: (p.requires_grad, p.grad, p._version, p.data_ptr()) for name, p in model.named_parameters()},
        model.training,
        torch.is_grad_enabled(),
        model.generation_config.to_dict(),
    )


@pytest.mark.parametrize("training", [False, True])
def test_the_model_is_as_it_was_after_the_block(training):
    model = tiny.model().train(training)
    model.generate(**tiny.inputs(*ONE), max_new_tokens=1)  # transformers leaves capturing hooks of its own
    before = state(model)
    pruned(model, FEW, *ONE, max_new_tokens=2)
    assert state(model) == before
    with pytest.raises(KeyError), prune(model, FEW):
        raise KeyError
    assert state(model) == before
    with pytest.raises(PruneError), prune(model, FEW):
        pass
    assert state(model) == before
    assert "generate" not in vars(model)


def test_another_librarys_wrapper_around_generate_is_used_and_put_back():
    model, calls = tiny.model(), []
    plain = model.generate

    def wrapper(*args, **kwargs):
        calls.append(kwargs)
        return plain(*args, **kwargs)

    model.generate = wrapper
    pruned(model, FEW, *ONE, max_new_tokens=1)
    assert model.generate is wrapper
    assert not calls[0]["inputs_embeds"].requires_grad


def test_a_wrapper_that_names_no_argument_is_understood(model):
    inputs = tiny.inputs(*ONE)
    ids, settings = inputs["input_ids"], GenerationConfig(max_new_tokens=3, pad_token_id=3, eos_token_id=2)
    pixels = {"pixel_values": inputs["pixel_values"]}
    plain = model.generate
    expected = plain(ids, settings, **pixels)
    model.generate = lambda *a, **kw: plain(*a, **kw)
    try:
        with prune(model, ALL):
            assert torch.equal(model.generate(ids, settings, **pixels), expected)
        with prune(model, FEW) as report:
            model.generate(ids, settings, **pixels)
            with pytest.raises(TypeError, match="positional arguments, but more were given"):
                model.generate(*[None] * 20, **pixels)
    finally:
        del model.generate
    assert (report.n_kept, report.calls) == (K, 1)


def test_a_call_that_fails_is_not_counted():
    model = tiny.model()
    plain, fail = model.generate, True

    def generate(**kwargs):
        if fail:
            raise RuntimeError("out of memory")
        return plain(**kwargs)

    model.generate = generate
    with prune(model, FEW) as report:
        with pytest.raises(RuntimeError, match="out of memory"):
            model.generate(**tiny.inputs(*ONE), max_new_tokens=1)
        assert (report.calls, report.images) == (0, [])
        fail = False
        model.generate(**tiny.inputs(*ONE), max_new_tokens=1)
    assert (report.calls, [image.call for image in report.images]) == (1, [0])


def test_random_draws_anew_for_every_image_and_the_same_for_the_same_data(model):
    def masks(seed: int):
        with prune(model, PruneConfig(0.15, method="random", seed=seed)) as report:
            for rows in (TWO_PROMPTS, SEVERAL_IMAGES[:1]):
                model.generate(**tiny.inputs(*rows), max_new_tokens=1)
        for image in report.images:  # the record says how to draw this one again
            drawn = select(torch.ones(2, tiny.N, 1), None, image.selection.config).kept().view(2, K)
            assert torch.equal(image.kept, drawn[image.image] - image.image * tiny.N)
        return [tuple(image.kept.tolist()) for image in report.images]

    assert masks(0) == masks(0)
    assert len({*masks(0), *masks(1)}) == 8


def test_several_calls_and_several_blocks_in_a_row(model):
    with prune(model, FEW) as report:
        for row in TWO_PROMPTS:
            model.generate(**tiny.inputs(row), max_new_tokens=1)
    assert [image.call for image in report.images] == [0, 1]
    assert pruned(model, FEW, *ONE, max_new_tokens=1)[1].calls == 1


# Never silent ---------------------------------------------------------------------------------------------


def test_generate_never_called_is_an_error(model):
    with pytest.raises(PruneError, match="generate was never called"), prune(model, FEW):
        pass


def test_a_call_without_an_image_is_an_error(model):
    text = {k: v for k, v in tiny.inputs(*ONE).items() if k != "pixel_values"}
    with pytest.raises(PruneError, match="without pixel_values"), prune(model, FEW):
        model.generate(**text)


def test_an_error_swallowed_inside_the_block_does_not_hide_that_nothing_was_pruned(model):
    with (
        pytest.raises(PruneError, match="no generate call came to its end"),
        prune(model, FEW),
        contextlib.suppress(PruneError),
    ):
        model.generate(input_ids=torch.tensor([[1, 2]]))


def test_a_ratio_that_keeps_everything_without_saying_so_is_an_error(model):
    with pytest.raises(PruneError, match="keeps all 36 visual tokens"), prune(model, PruneConfig(0.99)):
        model.generate(**tiny.inputs(*ONE))


def test_a_block_inside_a_block_is_refused_and_the_outer_one_goes_on(model):
    with prune(model, FEW) as report:
        with pytest.raises(PruneError, match="already inside a prune block"), prune(model, ALL):
            pass
        model.generate(**tiny.inputs(*ONE), max_new_tokens=1)
    assert report.n_kept == K
    assert "generate" not in vars(model)


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ({"position_ids": torch.zeros(1, 3)}, "position_ids cannot be combined"),
        ({"inputs_embeds": torch.zeros(1, 3, tiny.D)}, "inputs_embeds cannot be combined"),
        ({"vision_feature_layer": -1}, "set it in model.config"),
        ({"prompt_lookup_num_tokens": 3}, "prompt_lookup_num_tokens cannot be combined"),
        ({"generation_config": GenerationConfig(prefill_chunk_size=4)}, "prefill_chunk_size cannot"),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else "",
)
def test_what_a_pruned_prompt_cannot_do_is_refused(model, extra, sentence):
    with pytest.raises(ModelError, match=sentence), prune(model, FEW):
        model.generate(**tiny.inputs(*ONE), **extra)


@pytest.mark.parametrize("name", CACHE_NAMES)
def test_a_cache_that_already_holds_a_prompt_is_refused_by_each_of_its_names(model, name):
    cache = DynamicCache()
    cache.update(torch.zeros(1, 2, 5, 16), torch.zeros(1, 2, 5, 16), 0)
    with pytest.raises(ModelError, match=f"{name} already holds tokens"), prune(model, FEW):
        model.generate(**tiny.inputs(*ONE), **{name: cache})


def test_images_and_placeholders_must_match(model):
    inputs = tiny.inputs(*SEVERAL_IMAGES)
    inputs["pixel_values"] = inputs["pixel_values"][:5]
    sentence = r"hold \[72, 36, 0, 108\] image placeholders, but the 5 image\(s\)"
    with pytest.raises(ModelError, match=sentence), prune(model, FEW):
        model.generate(**inputs)


def test_a_prompt_without_text_after_its_image_is_refused_where_the_query_needs_one(model):
    inputs = tiny.inputs(*ONE)
    end = int((inputs["input_ids"][0] == model.config.image_token_id).nonzero()[-1]) + 1
    inputs = {k: v if k == "pixel_values" else v[:, :end] for k, v in inputs.items()}
    with pytest.raises(ValueError, match="question after the image"), prune(model, FEW):
        model.generate(**inputs)
    with prune(model, PruneConfig(0.15, method="random")) as report:
        model.generate(**inputs, max_new_tokens=1)
    assert report.images[0].query is None
    with prune(model, ALL) as report:  # nothing is chosen, so nothing is asked
        model.generate(**inputs, max_new_tokens=1)
    (image,) = report.images
    assert (image.query, image.selection, image.n_tokens) == (None, None, tiny.N)
    assert torch.equal(image.kept, torch.arange(tiny.N))


def test_query_arguments_must_fit_the_query(model):
    with (
        pytest.raises(ValueError, match="serve the text-tower query only"),
        prune(model, FEW, question="red?"),
    ):
        pass
    config = PruneConfig(query="text-tower")
    sentence = r"needs the question and the text tower.*TextTower\.load"
    with pytest.raises(ValueError, match=sentence), prune(model, config, question="red?"):
        pass
    with pytest.raises(TypeError, match="must be a PruneConfig"), prune(model, 0.15):
        pass


def test_the_report_is_a_sentence(model):
    with prune(model, FEW) as report:
        assert str(report) == (
            "Nothing pruned yet: no image has gone through LlavaForConditionalGeneration.generate."
        )
        model.generate(**tiny.inputs(*TWO_PROMPTS), max_new_tokens=1)
    assert str(report) == (
        f"Kept {2 * K} of {2 * tiny.N} visual tokens (14%) of 2 image(s) in 1 generate call(s) of "
        "LlavaForConditionalGeneration: method rediprune, alpha 0.5 (weight 0.33), query prompt-tail."
    )


def test_the_report_of_a_method_without_a_query_speaks_of_none(model):
    _, report = pruned(
        model, PruneConfig(0.15, method="random", query="text-tower", seed=4), *ONE, max_new_tokens=1
    )
    assert str(report).endswith("LlavaForConditionalGeneration: method random, seed 4.")
