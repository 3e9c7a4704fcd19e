"""Transfer the weights of a module to another vocabulary, token by token."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer
from torch import Tensor

# State dict keys of the embedding tables: the LLM's (tied to its head) and that of open_clip's text tower.
_TABLES = ("embed_tokens.weight", "lm_head.weight", "token_embedding.weight")


@torch.no_grad()
def transfer_embeddings(
    state: dict[str, Tensor], old: Tokenizer, new: Tokenizer, extra: int = 0
) -> dict[str, Tensor]:
    """Return a state dict for the new vocabulary.

    A token of both vocabularies keeps its row; a new token starts as the mean of the old tokens that spell
    it.

    Args:
        state: the state dict of a module over the old vocabulary.
        old: the tokenizer of that module.
        new: the tokenizer to transfer to.
        extra: how many tokens, such as <image>, stand behind each vocabulary in equal order.
    """
    # For each new token the old tokens whose rows are averaged.
    old_ids: list[list[int]] = []
    for i in range(new.get_vocab_size()):
        token = new.id_to_token(i)
        known = old.token_to_id(token)
        if known is not None:
            old_ids.append([known])
        else:
            old_ids.append([piece.id for piece in old.model.tokenize(token)])
    old_ids += [[old.get_vocab_size() + i] for i in range(extra)]

    def resize(table: Tensor) -> Tensor:
        return torch.stack([table[ids].mean(0) for ids in old_ids])

    return {name: resize(value) if name.endswith(_TABLES) else value.clone() for name, value in state.items()}
