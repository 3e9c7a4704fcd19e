"""Stages 2 and 3: the language model learns to read scenes; first as symbols, then through the projector.

As the real LLaVA stands on a pretrained LLM, ours is pretrained before it sees an image: each visual token is
the SUM of the word embeddings of what its patch shows (colour, shape, digit) and of learned place and count
embeddings. Looking something up is then a match between equal words, which is learned in minutes. Stage 3
replaces the sums by projected visual tokens of the frozen tower.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from . import attention
from .pages import Page, Pages
from .questions import KINDS, Question, ask, describe, plural
from .scenes import COLORS, DIGITS, GRID, MAX_SHAPES, N_PATCHES, PATCH, SHAPES, SIZE, Scene
from .tower import WIDTH

LLM_WIDTH, LLM_LAYERS, LLM_HEADS, LLM_MLP = 256, 4, 8, 512
MAX_TEXTS = 8  # packed behind one image


def llm_config(vocab_size: int, pad_id: int, bos_id: int, eos_id: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocab_size, hidden_size=LLM_WIDTH, intermediate_size=LLM_MLP, num_hidden_layers=LLM_LAYERS,
        num_attention_heads=LLM_HEADS, num_key_value_heads=LLM_HEADS, max_position_embeddings=2048,
        tie_word_embeddings=True, pad_token_id=pad_id, bos_token_id=bos_id, eos_token_id=eos_id,
    )  # fmt: skip


@torch.no_grad()
def match_and_copy(llm: LlamaForCausalLM) -> None:
    """Start attention as "look at what is like me, and copy it": K = Q, O = V transposed / 2.

    After arXiv 2305.09828. A look-up needs just that, word against word. Seen once: look-ups still at a guess
    after 14,000 scenes from the usual start, learned within 8,000 with this one and a curriculum that
    describes first. The two were changed together, so their shares are not known.
    """
    for layer in llm.model.layers:
        a = layer.self_attn
        for matrix in (a.q_proj.weight, a.v_proj.weight):
            for head in matrix.view(LLM_HEADS, -1, LLM_WIDTH):
                nn.init.orthogonal_(head)
        a.k_proj.weight.copy_(a.q_proj.weight)
        a.o_proj.weight.copy_(0.5 * a.v_proj.weight.T)


@torch.no_grad()
def plurals_mean_their_singulars(embedding: Tensor, tokenizer) -> None:
    """Start "stars" as "star": a patch shows one star, and what is counted is looked up by that word."""
    for shape in SHAPES:
        one, many = (tokenizer.encode(f" {w}", add_special_tokens=False) for w in (shape, plural(shape)))
        embedding[many[-1]] = embedding[one[-1]]


class SymbolTable(nn.Module):
    """What a perfect tower would tell the LLM about a patch, as a sum of embeddings."""

    TABLES: ClassVar = {
        "same_color": MAX_SHAPES + 1, "same_shape": MAX_SHAPES + 1, "total": MAX_SHAPES + 1, "background": 1,
    }  # fmt: skip

    def __init__(self, words: nn.Embedding, tokenizer) -> None:
        super().__init__()
        self.tables = nn.ModuleDict(
            {name: nn.Embedding(size, LLM_WIDTH) for name, size in self.TABLES.items()}
        )
        for table in self.tables.values():
            nn.init.normal_(table.weight, std=0.02)
        # One direction for "to the right", one for "down": left of, above and corners are then linear.
        self.axes = nn.Parameter(torch.randn(2, LLM_WIDTH) * 0.1)
        self.words = [words]  # in a list: shared with the LLM, not a second copy in the state dict

        def ids(names) -> Tensor:
            found = [tokenizer.encode(" " + n, add_special_tokens=False) for n in names]
            if any(len(one) != 1 for one in found):
                raise ValueError(f"the tokenizer must know each of these words as one token: {list(names)}")
            return torch.tensor(found)[:, 0]

        self.color_ids, self.shape_ids, self.digit_ids = ids(COLORS), ids(SHAPES), ids(DIGITS)

    def forward(self, attributes: Tensor, owner: Tensor) -> Tensor:
        """`attributes` [B, 6, 6] and `owner` [B, 196], int64, as in SceneBank -> [B, 196, D].

        The place is that of the shape's centre on its patches, and that of the patch itself elsewhere.
        Patches that are neither clearly background nor clearly a shape pass for background.
        """
        own = attributes.gather(1, owner.clamp(min=0)[..., None].expand(-1, -1, 6))
        held = (owner >= 0)[..., None]
        there = attributes[..., 0] >= 0
        word, t = self.words[0], self.tables

        def count(i: int) -> Tensor:
            """[B, 196]: how many shapes of the scene share attribute i with the patch's own."""
            return ((attributes[:, None, :, i] == own[..., None, i]) & there[:, None]).sum(-1)

        digit = own[..., 2].clamp(min=0)
        written = word(self.digit_ids[(digit - 1).clamp(min=0)]) * (digit > 0)[..., None]
        shown = (
            word(self.color_ids[own[..., 0].clamp(min=0)])
            + word(self.shape_ids[own[..., 1].clamp(min=0)])
            + written
            + t["same_color"](count(0))
            + t["same_shape"](count(1))
        )
        patch = torch.arange(N_PATCHES)
        middle = torch.stack([patch % GRID, patch // GRID], dim=-1) * PATCH + PATCH // 2
        where = torch.where(held, own[..., 3:5], middle) / (SIZE / 2) - 1  # (x, y) in -1..1
        place = where @ self.axes
        total = t["total"](there.sum(-1))[:, None]
        return torch.where(held, shown, t["background"].weight) + place + total


class Reader(nn.Module):
    """The LLM with its symbol table and, for stage 3, LLaVA's two-layer projector."""

    def __init__(self, tokenizer) -> None:
        super().__init__()
        config = llm_config(
            len(tokenizer), tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id
        )
        self.llm = LlamaForCausalLM(config)
        self.llm.set_attn_implementation(attention.NAME)
        match_and_copy(self.llm)
        plurals_mean_their_singulars(self.llm.get_input_embeddings().weight, tokenizer)
        self.symbols = SymbolTable(self.llm.get_input_embeddings(), tokenizer)
        self.projector = nn.Sequential(
            nn.Linear(WIDTH, LLM_WIDTH), nn.GELU(), nn.Linear(LLM_WIDTH, LLM_WIDTH)
        )
        self.pages = Pages(tokenizer)
        self.right: dict[str, float] = {}

    def read(self, visual: Tensor, questions: list[list[Question]]) -> Tensor:
        """Mean cross entropy over the answer tokens; the texts of each row share its visual tokens.

        Args:
            visual: [B, K, D], what stands at the image placeholder.
            questions: per image, the texts packed behind it.
        """
        page = self.pages.lay_out(questions, visual.shape[1])
        embeds = self.llm.get_input_embeddings()(page.ids)
        start = page.n_before
        embeds = torch.cat([embeds[:, :start], visual.to(embeds.dtype), embeds[:, start:]], dim=1)
        hidden = self.llm.model(
            inputs_embeds=embeds, attention_mask=page.mask, position_ids=page.positions, use_cache=False
        ).last_hidden_state
        rows, cols = page.answers.nonzero(as_tuple=True)
        logits = self.llm.lm_head(hidden[rows, cols - 1]).float()
        target = page.full_ids[rows, cols]
        self._score(page, rows, cols, logits.argmax(-1) == target, questions)
        return F.cross_entropy(logits, target)

    def _score(
        self, page: Page, rows: Tensor, cols: Tensor, right: Tensor, questions: list[list[Question]]
    ) -> None:
        """Running share of fully right answers per kind of question, for the progress bar.

        Answer token i, at (rows[i], cols[i]) of the page, was said right or not: `right[i]`.
        """
        wrong = torch.zeros(len(questions), MAX_TEXTS, dtype=torch.bool)
        wrong[rows[~right], page.segment[rows, cols][~right] - 1] = True
        for b, asked in enumerate(questions):
            for j, q in enumerate(asked):
                old = self.right.get(q.kind, 0.0)
                self.right[q.kind] = 0.995 * old + 0.005 * (not wrong[b, j].item())

    def progress_text(self) -> str:
        return " ".join(f"{k}:{v:.2f}" for k, v in sorted(self.right.items()))


def draw_questions(
    scene: Scene, rng: np.random.Generator, share: float, count: int, kinds: tuple[str, ...]
) -> list[Question]:
    """Up to `count` questions of random kinds; with probability `share` the description comes first."""
    asked = [ask(scene, kinds[int(rng.integers(len(kinds)))], rng) for _ in range(count)]
    asked = [q for q in asked if q is not None]  # a scene may have nothing to offer for a kind
    return [describe(scene), *asked] if rng.random() < share or not asked else asked


def curriculum(progress: float) -> tuple[float, int, tuple[str, ...]]:
    """(share of pages with the description, questions a page, their kinds): look-ups first,
    then a drill, then everything.

    The description is meant as the dense signal for the look-ups. A relation needs two look-ups and a
    comparison, which is why it gets a drill: in the one run that was made it stood near 0.7 among everything
    else and reached 0.99 in the drill. Nothing here was ablated.
    """
    if progress < 0.25:
        return 0.9, 3, ("color", "shape", "digit")
    if progress < 0.4:
        return 0.3, 6, ("color", "shape", "digit", "position", "existence")
    if progress < 0.75:
        return 0.0, 7, ("relation",) * 12 + ("count",) * 4 + KINDS
    return 0.1, 7, KINDS + ("relation",) * 5 + ("count",) * 5 + ("position",) * 2


def drop_tokens(owner: Tensor, k: int, rng: np.random.Generator, keep_each: bool) -> Tensor:
    """K random patches per image, sorted, [B, K].

    Args:
        owner: [B, 196] as in SceneBank.
        keep_each: let every shape keep at least one of its patches (K >= MAX_SHAPES), so that no question is
            about something that cannot be seen.
    """
    priority = torch.from_numpy(rng.random(owner.shape))
    if keep_each:
        for j in range(MAX_SHAPES):
            mine = torch.where(owner == j, priority, -1.0)
            best = mine.argmax(-1, keepdim=True)
            lift = (mine.gather(1, best) >= 0).double() * 2
            priority = priority.scatter_add(1, best, lift)
    return priority.topk(k, dim=-1).indices.sort(-1).values
