"""The explainer answers as the unmodified model does, encodes once, streams, stops, serves many threads."""

import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from rediprune.config import PruneConfig
from rediprune.costs.estimate import selection_flops
from rediprune.explainer.explainer import Explainer
from rediprune.explainer.model_card import Card
from rediprune.models import EncodedItem, ModelError
from rediprune.models.families.llava import LlavaAdapter
from rediprune.query.question import QuestionError
from tests.support import tiny

QUESTION = "What color is the star?"
LENGTH = 8
CONFIG = PruneConfig(keep_ratio=0.25)


@pytest.fixture
def explainer() -> Explainer:
    return Explainer(tiny.model(), tiny.processor(), name="tiny")


@pytest.fixture
def asked(explainer):
    look = explainer.look(tiny.image())
    return look, explainer.ask(look, QUESTION, CONFIG)


def few(explainer, look, asked, keep_ratio=0.25):
    return explainer.select(look, asked, CONFIG).kept(keep_ratio)


@torch.no_grad()
def unmodified(question, image):
    out = tiny.model().generate(**tiny.inputs((question, [image])), do_sample=False, max_new_tokens=LENGTH)
    return tuple(out[0, tiny.inputs((question, [image]))["input_ids"].shape[1] :].tolist())


@torch.no_grad()
def by_hand(kept):
    """Prompt embeddings [1, L, D] with the kept tokens, from the unmodified model's own image features."""
    model, inputs = tiny.model(), tiny.inputs((QUESTION, [tiny.image()]))
    visual = model.model.get_image_features(inputs["pixel_values"]).pooler_output[0][kept]
    ids = inputs["input_ids"][0]
    spot = int((ids == model.config.image_token_id).nonzero()[0])
    text = model.get_input_embeddings()(ids)
    return torch.cat([text[:spot], visual, text[spot + tiny.N :]])[None]


@torch.no_grad()
def log_probs(answer, **prompt):
    """Log p of an answer's tokens and of every first token: one plain forward pass of an unmodified model."""
    model = tiny.model()
    n = next(iter(prompt.values())).shape[1]
    if "input_ids" in prompt:
        prompt["input_ids"] = torch.cat([prompt["input_ids"], torch.tensor([answer])], 1)
        prompt["attention_mask"] = torch.ones_like(prompt["input_ids"])
    else:
        tail = model.get_input_embeddings()(torch.tensor([answer]))
        prompt["inputs_embeds"] = torch.cat([prompt["inputs_embeds"], tail], 1)
        prompt["attention_mask"] = torch.ones(prompt["inputs_embeds"].shape[:2], dtype=torch.long)
    every = model(**prompt).logits[0, n - 1 : -1].log_softmax(-1)
    return sum(every[i, token].item() for i, token in enumerate(answer)), every[0]


@pytest.mark.parametrize("seed", range(3))
def test_the_unpruned_answer_is_the_unmodified_models_token_for_token(explainer, seed):
    image, question = tiny.image(seed, size=(120, 90)), f"{QUESTION} {seed}"
    look = explainer.look(image)
    answer = explainer.answer(look, explainer.ask(look, question), max_new_tokens=LENGTH)
    assert answer.token_ids == unmodified(question, image)
    assert len(answer.token_ids) > 1
    assert (answer.n_visual, answer.kept) == (tiny.N, None)
    assert answer.n_visual + answer.n_text == tiny.inputs((question, [image]))["input_ids"].shape[1]


def test_a_pruned_answer_is_the_models_answer_to_the_kept_tokens_alone(explainer, asked):
    kept = few(explainer, *asked)
    answer = explainer.answer(*asked, kept, max_new_tokens=LENGTH)
    expected = tiny.model().generate(inputs_embeds=by_hand(kept), do_sample=False, max_new_tokens=LENGTH)
    assert answer.token_ids == tuple(expected[0].tolist())
    assert answer.n_visual == kept.numel() == 9
    assert answer.token_ids != explainer.answer(*asked, max_new_tokens=LENGTH).token_ids


def test_an_image_is_encoded_once_and_no_knob_encodes_again(explainer):
    calls = []
    explainer.model.model.vision_tower.register_forward_pre_hook(lambda *_: calls.append(1))
    for keep, alpha, method in ((0.1, 0.5, "rediprune"), (0.5, 2.0, "rediprune"), (0.5, 0.5, "random")):
        config = PruneConfig(keep_ratio=keep, alpha=alpha, method=method)
        explainer.run(tiny.image().copy(), QUESTION, config, max_new_tokens=2)
    explainer.run(tiny.image(), "another question", max_new_tokens=2)
    assert (explainer.encodes, len(calls)) == (1, 1)
    explainer.look(tiny.image(seed=1))
    assert (explainer.encodes, len(calls)) == (2, 2)


def test_the_oldest_image_is_forgotten_and_the_store_stays_bounded():
    explainer = Explainer(tiny.model(), tiny.processor(), remember=2)
    for seed in (0, 1, 0, 2):  # 1 is now the least recently used
        explainer.look(tiny.image(seed))
    assert explainer.encodes == 3
    explainer.look(tiny.image(0))
    assert explainer.encodes == 3
    explainer.look(tiny.image(1))
    assert explainer.encodes == 4
    with pytest.raises(ValueError, match="remember=0"):
        Explainer(tiny.model(), tiny.processor(), remember=0)


def test_one_look_serves_many_weights_and_a_wrong_pairing_is_refused(explainer, asked):
    look, question = asked
    many = explainer.select(look, question, CONFIG, alphas=(0, 0.5, math.inf))
    assert many.order.shape == (3, 1, tiny.N)
    assert torch.equal(many.at(1).order, explainer.select(look, question, CONFIG).order)
    other = explainer.look(tiny.image(seed=5))
    with pytest.raises(ValueError, match="another image"):
        explainer.select(other, question, CONFIG)
    with pytest.raises(ValueError, match="another image"):
        explainer.answer(other, question)
    with pytest.raises(ValueError, match="with prompt-tail but the settings say text-tower/value: ask again"):
        explainer.select(look, question, replace(CONFIG, query="text-tower", pointing="value"))


def test_a_pointing_that_plays_no_part_is_no_reason_to_ask_again(explainer, asked):
    look, question = asked
    other = explainer.select(look, question, replace(CONFIG, pointing="negated"))
    assert torch.equal(other.order, explainer.select(look, question, CONFIG).order)


@pytest.mark.parametrize(
    "kept",
    [
        torch.tensor([[1, 2]]),  # frame by frame
        torch.tensor([0, tiny.N]),
        torch.tensor([-1, 2]),
        torch.tensor([]),
        torch.zeros(1, 0),
        torch.tensor([1.0, 2.0]),
        torch.ones(tiny.N, dtype=torch.bool),  # a mask
        torch.tensor([1, 1]),
        torch.tensor([3, 2]),
        torch.tensor([3, 2], dtype=torch.uint8),
    ],
    ids=str,
)
def test_kept_tokens_that_do_not_exist_are_refused(explainer, asked, kept):
    with pytest.raises(ValueError, match="kept"):
        explainer.answer(*asked, kept)


def test_text_streams_and_its_last_state_is_the_answer(explainer, asked):
    seen = []
    answer = explainer.answer(*asked, on_text=seen.append, max_new_tokens=LENGTH)
    assert len(seen) == len(answer.token_ids)
    assert seen[-1] == answer.text
    assert len(set(seen)) > 1
    assert 0 < answer.first_token_seconds <= answer.seconds


def test_stop_ends_an_answer_where_it_stands(explainer, asked):
    stop = threading.Event()
    whole = explainer.answer(*asked, max_new_tokens=LENGTH)
    part = explainer.answer(*asked, on_text=lambda _: stop.set(), stop=stop, max_new_tokens=LENGTH)
    assert 1 <= len(part.token_ids) < LENGTH
    assert whole.token_ids[: len(part.token_ids)] == part.token_ids
    never = explainer.answer(*asked, stop=stop)
    assert (never.text, never.token_ids) == ("", ())
    assert math.isnan(never.seconds)
    assert math.isnan(never.first_token_seconds)


def test_while_one_answer_runs_another_waits_and_can_be_stopped_and_a_slider_does_not_wait(explainer, asked):
    stop, results = threading.Event(), {}

    def meanwhile(_):
        if results:
            return
        with ThreadPoolExecutor(2) as visitors:
            waiting = visitors.submit(explainer.answer, *asked, stop=stop)
            results["order"] = visitors.submit(explainer.select, *asked, CONFIG).result(timeout=20)
            stop.set()
            results["waited"] = waiting.result(timeout=20)

    explainer.answer(*asked, on_text=meanwhile, max_new_tokens=2)
    assert results["order"].order.shape == (1, tiny.N)
    assert results["waited"].token_ids == ()


def test_an_error_gives_the_turn_back(explainer, asked):
    def broken(_):
        raise RuntimeError("the page went away")

    with pytest.raises(RuntimeError, match="went away"):
        explainer.answer(*asked, on_text=broken)
    assert explainer.answer(*asked, max_new_tokens=1).token_ids


def test_many_visitors_get_what_one_would(explainer):
    alone = [explainer.run(tiny.image(i % 2), QUESTION, CONFIG, max_new_tokens=4) for i in range(4)]
    crowd = Explainer(tiny.model(), tiny.processor())
    with ThreadPoolExecutor(4) as visitors:
        runs = visitors.map(
            lambda i: crowd.run(tiny.image(i % 2), QUESTION, CONFIG, max_new_tokens=4), range(4)
        )
    for one, other in zip(alone, runs, strict=True):
        assert other.full.token_ids == one.full.token_ids
        assert other.pruned.token_ids == one.pruned.token_ids
        assert torch.equal(other.kept, one.kept)
    assert crowd.encodes == 2


def test_keeping_everything_agrees_completely(explainer):
    trace = explainer.run(tiny.image(), QUESTION, PruneConfig(keep_ratio=1.0), max_new_tokens=LENGTH)
    a = trace.agreement
    assert trace.full.token_ids == trace.pruned.token_ids == unmodified(QUESTION, tiny.image())
    assert a.full_on_full == a.pruned_on_full == a.full_on_pruned == a.pruned_on_pruned < 0
    assert (a.kl_first, a.same_text) == (0, True)
    assert (trace.savings.visual_only, trace.savings.prefill, trace.savings.end_to_end) == (1, 1, 1)


def test_agreement_equals_plain_forward_passes_of_the_unmodified_model(explainer):
    trace = explainer.run(tiny.image(), QUESTION, CONFIG, max_new_tokens=LENGTH)
    full, pruned, a = trace.full.token_ids, trace.pruned.token_ids, trace.agreement
    assert full != pruned  # or this test would say little
    inputs = tiny.inputs((QUESTION, [tiny.image()]))
    embeds = by_hand(trace.kept)
    full_on_full, p = log_probs(full, **inputs)
    full_on_pruned, _ = log_probs(pruned, **inputs)
    pruned_on_full, q = log_probs(full, inputs_embeds=embeds)
    pruned_on_pruned, _ = log_probs(pruned, inputs_embeds=embeds)
    expected = (full_on_full, pruned_on_full, full_on_pruned, pruned_on_pruned)
    got = (a.full_on_full, a.pruned_on_full, a.full_on_pruned, a.pruned_on_pruned)
    assert got == pytest.approx(expected, abs=1e-4)
    assert a.kl_first == pytest.approx(float((p.exp() * (p - q)).sum()), abs=1e-5)
    assert a.kl_first > 0
    assert a.same_text == (trace.full.text == trace.pruned.text)


def test_an_answer_that_was_stopped_at_once_can_still_be_judged(explainer, asked):
    stop = threading.Event()
    stop.set()
    none = explainer.answer(*asked, stop=stop)
    kept = few(explainer, *asked)
    a = explainer.agreement(*asked, kept, none, none)
    assert (a.full_on_full, a.pruned_on_pruned) == (0, 0)
    assert a.kl_first > 0


def test_a_run_is_one_consistent_record(explainer):
    trace = explainer.run(tiny.image(), f"  {QUESTION} ", CONFIG, max_new_tokens=LENGTH)
    s = trace.savings
    assert trace.question == QUESTION
    assert torch.equal(trace.kept, trace.selection.kept())
    assert torch.equal(trace.pruned.kept, trace.kept)
    assert (s.n_visual_full, s.n_visual_pruned) == (trace.full.n_visual, trace.pruned.n_visual) == (36, 9)
    assert s.n_text == trace.full.n_text == trace.pruned.n_text
    assert s.n_new == len(trace.full.token_ids)
    assert trace.vision.geometry[0].image_size == tiny.image().size
    assert (trace.model_name, trace.query.name) == ("tiny", "prompt-tail")
    assert len(trace.query.tokens) == len(trace.query.weights)
    assert trace.query.tokens[-2:] == (" assistant", " :")


def test_only_methods_that_ask_pay_for_the_question(explainer, asked):
    look, question = asked
    kept = few(explainer, *asked)
    costly = replace(question, query_flops=1e6)
    paid = explainer.savings(look, costly, kept, n_new=3).pruned.selection
    assert paid == explainer.savings(look, question, kept, n_new=3).pruned.selection + 1e6
    assert explainer.savings(look, costly, kept, n_new=3, method="random").pruned.selection == 0


def test_timing_is_measured_and_leaves_the_answer_alone(explainer, asked):
    before = explainer.answer(*asked, max_new_tokens=LENGTH).token_ids
    timing = explainer.time(*asked, few(explainer, *asked), repeats=2, warmup=1, steps=3)
    assert timing.prefill > 0
    assert timing.per_token > 0
    assert (timing.repeats, timing.warmup, timing.device) == (2, 1, "cpu")
    assert explainer.answer(*asked, max_new_tokens=LENGTH).token_ids == before


def test_questions_are_checked_and_unknown_words_are_said_aloud(explainer):
    look = explainer.look(tiny.image())
    with pytest.raises(QuestionError, match="is empty"):
        explainer.ask(look, " ")
    assert explainer.ask(look, "what color is the star").notes == ()
    (note,) = explainer.ask(look, "what zebra is the qwertz, zebra?").notes
    assert "\u201czebra\u201d, \u201cqwertz\u201d" in note
    assert note.count("zebra") == 1


def test_a_long_prompt_is_said_to_be_cut_where_it_is_cut(explainer):
    look = explainer.look(tiny.image())
    notes = explainer.ask(look, "what " * 140).notes
    assert any("128" in note for note in notes)


def test_what_loading_is_told_goes_through(tmp_path):
    tiny.save(tmp_path / "llava")
    steps = []
    explainer = Explainer.from_pretrained(
        tmp_path / "llava", dtype="bfloat16", device_map="auto", progress=steps.append
    )
    assert steps[-1].share == 1 and explainer.model.dtype == torch.bfloat16
    with pytest.raises(ModelError, match="device_map='cuda' is unknown"):
        Explainer.from_pretrained(tmp_path / "llava", device_map="cuda")
    with pytest.raises(ModelError, match="quantise='int3' is unknown"):
        Explainer.from_pretrained(tmp_path / "llava", quantise="int3")


def test_a_saved_model_with_a_card_brings_its_text_tower_and_its_defaults(tmp_path):
    tiny.save(tmp_path / "llava")
    tiny.save_clip(tmp_path / "clip")
    said = {
        "text_tower": "../clip",
        "default_query": "text-tower",
        "default_pointing": "value",
        "knows": "Nothing.",
    }
    (tmp_path / "llava" / "rediprune.json").write_text(json.dumps(said))
    explainer = Explainer.from_pretrained(tmp_path / "llava")
    assert (explainer.name, explainer.knows) == ("llava", "Nothing.")
    assert explainer.queries == ("prompt-tail", "text-tower")
    trace = explainer.run(tiny.image(), QUESTION, max_new_tokens=2)
    assert (trace.config.query, trace.config.pointing) == ("text-tower", "value")
    assert trace.query.keys.shape == (1, tiny.N, tiny.JOINT)
    assert trace.selection.config.query == "text-tower"
    tail = explainer.run(tiny.image(), QUESTION, PruneConfig(query="prompt-tail"), max_new_tokens=2)
    assert trace.savings.pruned.selection > tail.savings.pruned.selection
    assert trace.full.token_ids == tail.full.token_ids == unmodified(QUESTION, tiny.image())[:2]
    assert explainer.encodes == 1
    look = explainer.look(tiny.image())
    (note,) = explainer.ask(look, "star " * 100, PruneConfig(query="text-tower")).notes
    assert "77" in note


def test_a_path_from_home_finds_the_card_too(tmp_path, monkeypatch):
    (tiny.save(tmp_path / "llava") / "rediprune.json").write_text('{"knows": "Nothing."}')
    monkeypatch.setenv("HOME", str(tmp_path))
    explainer = Explainer.from_pretrained("~/llava")
    assert (explainer.name, explainer.knows) == ("llava", "Nothing.")
    with pytest.raises(ModelError, match="there is no folder ~nobody-of-that-name/llava"):
        Explainer.from_pretrained("~nobody-of-that-name/llava")


def test_a_text_tower_query_without_a_text_tower_says_what_to_do(explainer):
    assert explainer.queries == ("prompt-tail",)
    with pytest.raises(ValueError, match="use the prompt-tail query"):
        explainer.ask(explainer.look(tiny.image()), QUESTION, PruneConfig(query="text-tower"))
    assert (
        Explainer(tiny.model(), tiny.processor(), card=Card(text_tower="local-dir:/x")).queries[1]
        == "text-tower"
    )


def test_one_token_may_be_all_that_is_left(explainer):
    trace = explainer.run(tiny.image(), QUESTION, PruneConfig(keep_ratio=0.001), max_new_tokens=2)
    assert (trace.kept.numel(), trace.pruned.n_visual) == (1, 1)
    assert trace.kept.item() == trace.selection.relevance.argmax()
    assert trace.pruned.token_ids


def test_features_that_are_not_numbers_are_refused_in_one_sentence(explainer):
    with torch.no_grad():
        explainer.model.model.vision_tower.get_parameter("embeddings.class_embedding").fill_(math.nan)
    with pytest.raises(ValueError, match="hold NaN"):
        explainer.run(tiny.image(), QUESTION)


def test_half_precision_is_token_identical_too():
    explainer = Explainer(tiny.model(dtype=torch.bfloat16), tiny.processor())
    trace = explainer.run(tiny.image(), QUESTION, PruneConfig(keep_ratio=1.0), max_new_tokens=LENGTH)
    inputs = tiny.inputs((QUESTION, [tiny.image()]))
    inputs["pixel_values"] = inputs["pixel_values"].bfloat16()
    out = tiny.model(dtype=torch.bfloat16).generate(**inputs, do_sample=False, max_new_tokens=LENGTH)
    expected = tuple(out[0, inputs["input_ids"].shape[1] :].tolist())
    assert trace.full.token_ids == trace.pruned.token_ids == expected
    assert trace.savings.kv_bytes_full == 2 * 2 * 2 * 16 * (tiny.N + trace.full.n_text) * 2


# Clips ------------------------------------------------------------------------------------------------------

FRAMES = [tiny.image(seed, (120, 90)) for seed in range(3)]


@torch.no_grad()
def generated(rows, dtype=torch.float32, model=None, **changes):
    """New tokens of the unmodified model for one prompt; `changes` replace what the processor returned."""
    inputs = tiny.inputs(rows)
    inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
    out = (model or tiny.model(dtype=dtype)).generate(
        **inputs | changes, do_sample=False, max_new_tokens=LENGTH
    )
    return tuple(out[0, inputs["input_ids"].shape[1] :].tolist())


def without(kept, images, whole_positions: bool):
    """Mask [1, L] that forbids the dropped tokens, and positions that count the whole prompt, or only it."""
    ids = tiny.inputs((QUESTION, images))["input_ids"]
    mask = torch.ones_like(ids)
    places = (ids[0] == tiny.config().image_token_id).nonzero()[:, 0]
    mask[0, places] = 0
    mask[0, places[kept]] = 1
    positions = torch.arange(ids.shape[1])[None] if whole_positions else (mask.cumsum(-1) - 1).clamp(min=0)
    return {"attention_mask": mask, "position_ids": positions}


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16], ids=["fp32", "bf16", "fp16"]
)
def test_a_clip_is_what_the_unmodified_model_makes_of_its_frames_as_images(dtype):
    explainer = Explainer(tiny.model(dtype=dtype), tiny.processor())
    trace = explainer.run(FRAMES, QUESTION, PruneConfig(keep_ratio=1), max_new_tokens=LENGTH)
    assert trace.full.token_ids == trace.pruned.token_ids == generated((QUESTION, FRAMES), dtype)
    assert trace.full.n_visual == 3 * tiny.N
    assert trace.vision.shape == (3, tiny.N) and torch.equal(trace.kept, torch.arange(3 * tiny.N))


@pytest.mark.parametrize("positions", ["compacted", "original"])
@pytest.mark.parametrize("budget", ["frame", "shared"])
def test_a_pruned_clip_is_the_whole_prompt_with_the_dropped_tokens_masked(explainer, budget, positions):
    config = PruneConfig(0.1, budget=budget, positions=positions)
    trace = explainer.run(FRAMES, QUESTION, config, max_new_tokens=LENGTH)
    masked = without(trace.kept, FRAMES, positions == "original")
    assert trace.pruned.token_ids == generated((QUESTION, FRAMES), **masked)
    assert len(trace.pruned.token_ids) > 3
    assert trace.pruned.token_ids != trace.full.token_ids
    counts = [len(frame) for frame in trace.vision.per_frame(trace.kept)]
    assert (counts == [4, 4, 4]) if budget == "frame" else (sum(counts) == 11)
    assert trace.pruned.n_visual == sum(counts)
    assert trace.pruned.n_text == trace.full.n_text == len(masked["position_ids"][0]) - 3 * tiny.N


def test_the_first_step_at_original_positions_agrees_with_the_masked_prompt_to_rounding(explainer):
    """By numbers, as equal words may hide a difference; and agreement is judged at the same positions."""
    config = PruneConfig(0.1, positions="original")
    trace = explainer.run(FRAMES, QUESTION, config, max_new_tokens=LENGTH)
    answer = trace.pruned.token_ids
    inputs = tiny.inputs((QUESTION, FRAMES))
    ids = torch.cat([inputs["input_ids"], torch.tensor([answer])], 1)
    mask = torch.cat(
        [without(trace.kept, FRAMES, True)["attention_mask"], torch.ones(1, len(answer)).long()], 1
    )
    with torch.no_grad():
        logits = tiny.model()(
            input_ids=ids,
            pixel_values=inputs["pixel_values"],
            attention_mask=mask,
            position_ids=torch.arange(ids.shape[1])[None],
        ).logits[0]
    rows = logits[inputs["input_ids"].shape[1] - 1 : -1].log_softmax(-1)
    expected = float(rows.gather(-1, torch.tensor(answer)[:, None]).sum())
    assert trace.agreement.pruned_on_pruned == pytest.approx(expected, abs=1e-5)
    moved = explainer.run(FRAMES, QUESTION, replace(config, positions="compacted"), max_new_tokens=LENGTH)
    assert torch.equal(moved.kept, trace.kept)
    assert abs(moved.agreement.kl_first - trace.agreement.kl_first) > 1e-4


def test_a_clip_is_remembered_by_its_pixels_and_is_not_its_first_frame(explainer):
    first = explainer.look(FRAMES)
    assert explainer.look([frame.copy() for frame in FRAMES]) is first
    assert explainer.encodes == 1
    others = [explainer.look(media) for media in (FRAMES[::-1], FRAMES[:1], FRAMES[0])]
    assert explainer.encodes == 4
    assert len({first.key, *(look.key for look in others)}) == 4
    asked = explainer.ask(first, QUESTION)
    with pytest.raises(ValueError, match="another image"):
        explainer.answer(others[0], asked)


def test_what_cannot_be_shown_is_refused_and_forgotten(explainer):
    with pytest.raises(ValueError, match="at least one frame"):
        explainer.look([])
    with pytest.raises(ValueError, match="all of one size"):
        explainer.look([tiny.image(0, (9, 9)), tiny.image(0, (9, 8))])
    with pytest.raises(TypeError, match="is not a picture"):
        explainer.look("scene.png")
    assert explainer.encodes == 0


def test_positions_are_one_of_two_words(explainer, asked):
    for call in (explainer.answer, explainer.time):
        with pytest.raises(
            ValueError, match="positions='orignal' is unknown: choose one of compacted, original"
        ):
            call(*asked, few(explainer, *asked), positions="orignal")


def test_a_shared_choice_among_all_frames_costs_more_than_one_in_each(explainer):
    look = explainer.look(FRAMES)
    asked = explainer.ask(look, QUESTION)
    kept = explainer.select(look, asked).kept()
    n, c = tiny.N, tiny.C
    frame, shared = (explainer.savings(look, asked, kept, 1, budget=b).pruned for b in ("frame", "shared"))
    assert frame.selection == 3 * selection_flops("rediprune", n, c)
    assert shared.selection == selection_flops("rediprune", 3 * n, c)
    assert frame.vision == shared.vision


# Frames with gaps and lines that end in a separator: a family that takes padding off, as far as we go here --


class Lined(LlavaAdapter):
    def embed_kept(self, seen, kept):
        return [self._lined(one, k) for one, k in zip(seen, kept, strict=True)]

    def _lined(self, seen, kept):
        slots = seen.placeholder_tokens[seen.surviving(kept)]
        out = torch.zeros(len(slots), tiny.D)
        out[slots >= 0] = self.project(seen.kept_features(kept)[None])[0]
        return out


@pytest.fixture
def lined(explainer):
    """A look and a question whose image has 30 tokens, a line of 5 in each row and a separator behind it."""
    look = explainer.look(tiny.image())
    asked = explainer.ask(look, QUESTION, CONFIG)
    grid = torch.arange(tiny.N).view(tiny.GRID, tiny.GRID)
    slots = torch.cat([grid[:, :5], torch.full((tiny.GRID, 1), -1)], 1).flatten()
    there = torch.zeros(1, tiny.N, dtype=torch.bool)
    there[0, grid[:, :5].flatten()] = True
    vision = replace(look.vision, valid=there)
    look = replace(look, items=(EncodedItem(vision, slots),), vision=vision)
    return look, replace(asked, n_text=asked.n_text + tiny.GRID)


def test_of_an_image_with_gaps_only_what_is_there_is_counted_kept_and_paid_for(explainer, lined):
    look, asked = lined
    selection = explainer.select(look, asked, CONFIG)
    kept = selection.kept()
    assert (look.n_visual, len(kept)) == (30, 8)
    assert torch.isin(kept, look.vision.all).all()
    saved = explainer.savings(look, asked, kept, n_new=1)
    assert (saved.n_visual_full, saved.n_visual_pruned) == (30, 8)
    assert saved.pruned.selection == selection_flops("rediprune", 30, tiny.C)
    with pytest.raises(ValueError, match="kept must hold flat token indices"):
        explainer.answer(look, asked, torch.tensor([0, 5]))  # the sixth column is not there


def test_a_line_without_tokens_loses_its_separator_and_the_count_of_the_text_says_so(explainer, lined):
    look, asked = lined
    counts = []
    explainer.adapter = Lined(explainer.model)
    explainer.model.model.language_model.register_forward_pre_hook(
        lambda _, args, kwargs: counts.append(kwargs["inputs_embeds"].shape[1]), with_kwargs=True
    )
    for kept, lines in ((None, 6), (torch.tensor([0, 1, 12]), 2), (torch.tensor([34]), 1)):
        answer = explainer.answer(look, asked, kept, max_new_tokens=1)
        assert answer.n_text == asked.n_text - (6 - lines)
        assert counts.pop() == answer.n_text + answer.n_visual
