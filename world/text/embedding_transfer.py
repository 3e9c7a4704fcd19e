"""Weights that outlive their tokenizer: rows of word embeddings are carried over by the words themselves."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer
from torch import Tensor

# Of the LLM (tied), and of open_clip's text tower.
_TABLES = ("embed_tokens.weight", "lm_head.weight", "token_embedding.weight")


@torch.no_grad()
def transfer_embeddings(
    state: dict[str, Tensor], old: Tokenizer, new: Tokenizer, extra: int = 0
) -> dict[str, Tensor]:
    """A state dict for the new vocabulary: known tokens keep their row, others begin as the mean of their
    old pieces.

    Args:
        state: of a module over the old vocabulary.
        extra: tokens beyond both vocabularies, in the same order behind each (as <image> is).
    """
    n_old, n_new = old.get_vocab_size(), new.get_vocab_size()
    pieces = []
    for i in range(n_new):
        token = new.id_to_token(i)
        known = old.token_to_id(token)
        pieces.append([known] if known is not None else [p.id for p in old.model.tokenize(token)])
    pieces += [[n_old + i] for i in range(extra)]

    def resized(table: Tensor) -> Tensor:
        return torch.stack([table[ids].mean(0) for ids in pieces])

    return {k: resized(v) if k.endswith(_TABLES) else v.clone() for k, v in state.items()}
