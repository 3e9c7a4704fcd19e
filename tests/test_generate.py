"""What the streamer shows while it streams, and what the divergence is."""

from types import SimpleNamespace

import pytest
import torch

from rediprune import generate
from tests import tiny


class Bytes:
    """A tokenizer whose tokens are bytes, so that one character may take several."""

    def decode(self, ids, skip_special_tokens):
        return bytes(ids).decode(errors="replace")


def test_half_a_character_is_held_back_until_it_is_whole():
    seen = []
    listener = generate._Listener(Bytes(), seen.append)
    listener.put(torch.zeros(1, 0, dtype=torch.long))  # what generate() hands over for a prompt of embeddings
    for byte in "aé!".encode():
        listener.put(torch.tensor([byte]))
    assert seen == ["a", "a", "aé", "aé!"]


def test_divergence_is_that_of_the_first_token_and_never_negative():
    model = tiny.model()
    a, b = torch.randn(2, 1, 5, tiny.D, generator=torch.Generator().manual_seed(0))
    nothing = SimpleNamespace(token_ids=(), text="")
    p, q = (generate.next_token_log_probs(model, x, ())[0] for x in (a, b))
    expected = torch.nn.functional.kl_div(q, p, log_target=True, reduction="sum")
    assert generate.agreement(model, a, b, nothing, nothing).kl_first == pytest.approx(
        float(expected), rel=1e-5
    )
    assert generate.agreement(model, a, a, nothing, nothing).kl_first == 0


def test_teacher_forcing_equals_one_token_at_a_time():
    model, answer = tiny.model(), (7, 9, 11)
    prompt = torch.randn(1, 5, tiny.D, generator=torch.Generator().manual_seed(1))
    rows = generate.next_token_log_probs(model, prompt, answer)
    assert rows.shape == (3, len(tiny.tokenizer()))
    for i in range(3):
        shorter = generate.next_token_log_probs(model, prompt, answer[: i + 1])[-1]
        torch.testing.assert_close(rows[i], shorter)
