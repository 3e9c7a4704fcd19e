"""What the streamer shows while it streams, what the divergence is, and where new tokens stand."""

from types import SimpleNamespace

import pytest
import torch

from rediprune.explainer import generate
from rediprune.models import Prompt, adapter_for
from tests.support import tiny


class Bytes:
    """A tokenizer whose tokens are bytes, so that one character may take several."""

    def decode(self, ids, skip_special_tokens):
        return bytes(ids).decode(errors="replace")


@pytest.fixture(scope="module")
def adapter():
    return adapter_for(tiny.model())


def plain(embeds) -> Prompt:
    """A prompt [1, L, D] that stands at 0, 1, 2, ..."""
    ones = torch.ones(embeds.shape[:2], dtype=torch.long)
    return Prompt(embeds, ones, ones.bool())


def gapped(adapter) -> Prompt:
    """A prompt with an image of which few tokens are left, each where it was."""
    inputs = tiny.inputs()
    kept = [torch.tensor([0, 7, 8, 20, 35])]
    return adapter.splice(inputs["input_ids"], None, adapter.look(inputs), kept, True)


def test_half_a_character_is_held_back_until_it_is_whole():
    seen = []
    streamer = generate._AnswerStreamer(Bytes(), seen.append)
    streamer.put(torch.zeros(1, 0, dtype=torch.long))  # what generate() hands over for a prompt of embeddings
    for byte in "aé!".encode():
        streamer.put(torch.tensor([byte]))
    assert seen == ["a", "a", "aé", "aé!"]


def test_divergence_is_that_of_the_first_token_and_never_negative(adapter):
    a, b = map(plain, torch.randn(2, 1, 5, tiny.D, generator=torch.Generator().manual_seed(0)))
    nothing = SimpleNamespace(token_ids=(), text="")
    p, q = (generate.next_token_log_probs(adapter, x, ())[0] for x in (a, b))
    expected = torch.nn.functional.kl_div(q, p, log_target=True, reduction="sum")
    found = generate.agreement(adapter, a, b, nothing, nothing).kl_first
    assert found == pytest.approx(float(expected), rel=1e-5)
    assert generate.agreement(adapter, a, a, nothing, nothing).kl_first == 0


def test_teacher_forcing_equals_one_token_at_a_time(adapter):
    answer = (7, 9, 11)
    prompt = plain(torch.randn(1, 5, tiny.D, generator=torch.Generator().manual_seed(1)))
    rows = generate.next_token_log_probs(adapter, prompt, answer)
    assert rows.shape == (3, len(tiny.tokenizer()))
    for i in range(3):
        shorter = generate.next_token_log_probs(adapter, prompt, answer[: i + 1])[-1]
        torch.testing.assert_close(rows[i], shorter)


def test_teacher_forcing_at_original_positions_equals_step_by_step_generation(adapter):
    prompt = gapped(adapter)
    out = adapter.model.generate(
        inputs_embeds=prompt.embeds,
        **prompt.arguments(),
        max_new_tokens=6,
        min_new_tokens=6,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    rows = generate.next_token_log_probs(adapter, prompt, out.sequences[0].tolist())
    torch.testing.assert_close(rows, torch.cat(out.logits).log_softmax(-1), atol=1e-5, rtol=1e-5)
    moved = generate.next_token_log_probs(adapter, plain(prompt.embeds), out.sequences[0].tolist())
    assert not torch.allclose(rows, moved, atol=1e-2)


def test_a_timed_run_decodes_at_the_positions_of_a_generated_one(adapter):
    """Teacher forcing alone would not notice a decode step that is timed at another place."""
    prompt, given = gapped(adapter), []
    with adapter.model.model.language_model.register_forward_pre_hook(
        lambda _, args, kwargs: given.append(kwargs["position_ids"].flatten().tolist()), with_kwargs=True
    ):
        generate.time_prompt(adapter, lambda: prompt, device="cpu", repeats=1, warmup=0, steps=3)
        timed = given.copy()
        given.clear()
        adapter.model.generate(
            inputs_embeds=prompt.embeds, **prompt.arguments(), max_new_tokens=4, min_new_tokens=4
        )
    assert timed == given
    whole = tiny.inputs()["input_ids"].shape[1]
    assert [step[-1] for step in given] == [whole - 1, whole, whole + 1, whole + 2]
