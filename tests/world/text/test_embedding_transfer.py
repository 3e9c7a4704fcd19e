"""Weights follow their words into another vocabulary, whatever number the words had."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from world.text.embedding_transfer import transfer_embeddings


def tokenizer(*lines: str) -> Tokenizer:
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tok.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    tok.train_from_iterator(lines * 5, trainer)
    return tok


@pytest.fixture
def old() -> Tokenizer:
    return tokenizer("red star", "blue star")


@pytest.fixture
def new() -> Tokenizer:
    return tokenizer("the star moves", "which way", "red")


def test_a_word_keeps_its_row_and_a_new_one_is_the_mean_of_its_pieces(old, new):
    n = old.get_vocab_size()
    table = torch.randn(n + 1, 4, generator=torch.Generator().manual_seed(0))
    found = transfer_embeddings({"embed_tokens.weight": table, "other.weight": table}, old, new, extra=1)
    rows = found["embed_tokens.weight"]
    assert rows.shape == (new.get_vocab_size() + 1, 4)
    assert torch.equal(rows[new.token_to_id("Ġstar")], table[old.token_to_id("Ġstar")])
    assert new.token_to_id("Ġstar") != old.token_to_id("Ġstar")
    way = [old.token_to_id(c) for c in "Ġway"]
    assert torch.allclose(rows[new.token_to_id("Ġway")], table[way].mean(0))
    assert torch.equal(rows[-1], table[-1])  # <image>
    assert torch.equal(found["other.weight"], table)


def test_the_same_vocabulary_changes_nothing(old):
    table = torch.randn(old.get_vocab_size(), 4)
    assert torch.equal(transfer_embeddings({"lm_head.weight": table}, old, old)["lm_head.weight"], table)
