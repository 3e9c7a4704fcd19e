"""Stages 2 and 3: the language model learns to read scenes; first as symbols, then through the projector.

As the real LLaVA stands on a pretrained LLM, ours is pretrained before it sees an image: each visual token is
the SUM of the word embeddings of what its patch shows (colour, shape, digit) and of learned place and count
embeddings. Looking something up is then a match between equal words, which is learned in minutes. Stage 3
replaces the sums by projected visual tokens of the frozen tower.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from . import attention
from .language import IMAGE_TOKEN, PROMPT
from .questions import KINDS, Question, ask, describe
from .scenes import COLORS, DIGITS, GRID, MAX_SHAPES, N_PATCHES, PATCH, SHAPES, Scene
from .tower import WIDTH

LLM_WIDTH, LLM_LAYERS, LLM_HEADS, LLM_MLP = 256, 4, 8, 512
TEXTS_PER_SCENE = 7


def llm_config(vocab_size: int, pad_id: int, bos_id: int, eos_id: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocab_size, hidden_size=LLM_WIDTH, intermediate_size=LLM_MLP, num_hidden_layers=LLM_LAYERS,
        num_attention_heads=LLM_HEADS, num_key_value_heads=LLM_HEADS, max_position_embeddings=2048,
        tie_word_embeddings=True, pad_token_id=pad_id, bos_token_id=bos_id, eos_token_id=eos_id,
    )  # fmt: skip


class SymbolTable(nn.Module):
    """What a perfect tower would tell the LLM about a patch, as a sum of embeddings."""

    TABLES = {
        "row": GRID, "col": GRID, "center_row": GRID, "center_col": GRID, "same_color": MAX_SHAPES + 1,
        "same_shape": MAX_SHAPES + 1, "total": MAX_SHAPES + 1, "background": 1,
    }  # fmt: skip

    def __init__(self, words: nn.Embedding, tokenizer) -> None:
        super().__init__()
        self.tables = nn.ModuleDict(
            {name: nn.Embedding(size, LLM_WIDTH) for name, size in self.TABLES.items()}
        )
        for table in self.tables.values():
            nn.init.normal_(table.weight, std=0.02)
        self.words = [words]  # in a list: shared with the LLM, not a second copy in the state dict

        def ids(names) -> Tensor:
            found = [tokenizer.encode(" " + n, add_special_tokens=False)[-1] for n in names]
            assert len(set(found)) == len(found), f"not one token each: {names}"
            return torch.tensor(found)

        self.color_ids, self.shape_ids, self.digit_ids = ids(COLORS), ids(SHAPES), ids(DIGITS)

    def forward(self, attributes: Tensor, owner: Tensor) -> Tensor:
        """`attributes` [B, 6, 6] and `owner` [B, 196] as in SceneBank -> [B, 196, D]."""
        own = attributes.gather(1, owner.clamp(min=0)[..., None].expand(-1, -1, 6))
        held = (owner >= 0)[..., None]
        there = attributes[..., 0] >= 0
        word, t = self.words[0], self.tables

        def count(i: int) -> Tensor:
            return ((attributes[:, None, :, i] == own[..., None, i]) & there[:, None]).sum(-1)

        digit = own[..., 2].clamp(min=0)
        written = word(self.digit_ids[(digit - 1).clamp(min=0)]) * (digit > 0)[..., None]
        shown = (
            word(self.color_ids[own[..., 0].clamp(min=0)])
            + word(self.shape_ids[own[..., 1].clamp(min=0)])
            + written
            + t["center_col"]((own[..., 3] // PATCH).clamp(0, GRID - 1))
            + t["center_row"]((own[..., 4] // PATCH).clamp(0, GRID - 1))
            + t["same_color"](count(0))
            + t["same_shape"](count(1))
        )
        patch = torch.arange(N_PATCHES)
        place = t["row"](patch // GRID) + t["col"](patch % GRID)
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
        self.symbols = SymbolTable(self.llm.get_input_embeddings(), tokenizer)
        self.projector = nn.Sequential(
            nn.Linear(WIDTH, LLM_WIDTH), nn.GELU(), nn.Linear(LLM_WIDTH, LLM_WIDTH)
        )
        self.pages = Pages(tokenizer)
        self.right: dict[str, float] = {}

    def read(self, visual: Tensor, questions: list[list[Question]]) -> Tensor:
        """Mean cross entropy over the answer tokens of all questions; each row's texts share its visual tokens.

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
        self, page, rows: Tensor, cols: Tensor, right: Tensor, questions: list[list[Question]]
    ) -> None:
        """Running share of fully right answers per kind of question, for the progress bar."""
        wrong = torch.zeros(len(questions), TEXTS_PER_SCENE + 1, dtype=torch.bool)
        wrong[rows[~right], page.segment[rows, cols][~right] - 1] = True
        for b, asked in enumerate(questions):
            for j, q in enumerate(asked):
                old = self.right.get(q.kind, 0.0)
                self.right[q.kind] = 0.995 * old + 0.005 * (not wrong[b, j].item())

    def progress_text(self) -> str:
        return " ".join(f"{k}:{v:.2f}" for k, v in sorted(self.right.items()))


class _Page:
    """One packed batch: ids [B, L] without the visual tokens; the rest with them, over [B, L + K]."""

    def __init__(self, ids, n_before, full_ids, segment, answers, positions, mask) -> None:
        self.ids, self.n_before, self.full_ids, self.segment = ids, n_before, full_ids, segment
        self.answers, self.positions, self.mask = answers, positions, mask


class Pages:
    """Packs several texts behind one image: every text sees the image and itself, none sees another."""

    def __init__(self, tokenizer) -> None:
        self.tokenizer = tokenizer
        image_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        ids = tokenizer.encode(PROMPT.format(question="?"))
        self.before = ids[: ids.index(image_id)]
        self._cut = ids.index(image_id) + 1
        self._cache: dict[str, list[int]] = {}

    def _ids(self, text: str) -> list[int]:
        """Ids of what follows the image in a prompt."""
        if text not in self._cache:
            self._cache[text] = self.tokenizer.encode(PROMPT.format(question=text))[self._cut :]
        return self._cache[text]

    def _answer_ids(self, text: str) -> list[int]:
        key = "answer:" + text
        if key not in self._cache:
            ids = self.tokenizer.encode(" " + text, add_special_tokens=False)
            self._cache[key] = [*ids, self.tokenizer.eos_token_id]
        return self._cache[key]

    def lay_out(self, questions: list[list[Question]], k: int) -> _Page:
        rows = []
        for asked in questions:
            ids, segment, answer, position = list(self.before), [0] * len(self.before), [], []
            answer += [False] * len(ids)
            for j, q in enumerate(asked, start=1):
                body, reply = self._ids(q.text), self._answer_ids(q.answer)
                ids += body + reply
                segment += [j] * (len(body) + len(reply))
                answer += [False] * len(body) + [True] * len(reply)
                position += range(len(self.before) + k, len(self.before) + k + len(body) + len(reply))
            rows.append((ids, segment, answer, position))
        n, before = len(rows), len(self.before)
        length = max(len(r[0]) for r in rows)
        ids = torch.full((n, length), self.tokenizer.pad_token_id)
        segment = torch.full((n, length + k), -1)
        answers = torch.zeros(n, length + k, dtype=torch.bool)
        positions = torch.arange(length + k).repeat(n, 1)
        for b, (row, seg, answer, position) in enumerate(rows):
            ids[b, : len(row)] = torch.tensor(row)
            segment[b, : before + k] = 0
            segment[b, before + k : len(row) + k] = torch.tensor(seg[before:])
            answers[b, before + k : len(row) + k] = torch.tensor(answer[before:])
            positions[b, before + k : len(row) + k] = torch.tensor(position)
        full = torch.cat([ids[:, :before], torch.full((n, k), -1), ids[:, before:]], dim=1)
        causal = torch.ones(length + k, length + k, dtype=torch.bool).tril()
        same = (segment[:, :, None] == segment[:, None, :]) | (segment[:, None, :] == 0)
        mask = torch.where(same & causal, 0.0, torch.finfo(torch.bfloat16).min)[:, None]
        return _Page(ids, before, full, segment, answers, positions, mask)


def draw_questions(
    scene: Scene, rng: np.random.Generator, kinds: tuple[str, ...], share: float
) -> list[Question]:
    """TEXTS_PER_SCENE questions of the given kinds; with probability `share` the description comes first."""
    asked = [describe(scene)] if rng.random() < share else []
    while len(asked) < TEXTS_PER_SCENE:
        q = ask(scene, kinds[int(rng.integers(len(kinds)))], rng)
        if q is not None:
            asked.append(q)
        elif rng.random() < 0.1:  # a scene may have nothing to offer for a narrow set of kinds
            asked.append(describe(scene))
    return asked


def curriculum(progress: float) -> tuple[str, ...]:
    """Single look-ups first: with every kind at once the LLM sits on the guessing plateau much longer."""
    if progress < 0.25:
        return ("color", "shape", "digit")
    if progress < 0.4:
        return ("color", "shape", "digit", "position", "existence", "count")
    return KINDS


def drop_tokens(owner: Tensor, k: int, rng: np.random.Generator, keep_each: bool) -> Tensor:
    """K random patches per image, sorted, [B, K]; with `keep_each` every shape keeps at least one of its patches."""
    priority = torch.from_numpy(rng.random(owner.shape))
    if keep_each:
        for j in range(MAX_SHAPES):
            mine = torch.where(owner == j, priority, -1.0)
            best = mine.argmax(-1, keepdim=True)
            lift = (mine.gather(1, best) >= 0).double() * 2
            priority = priority.scatter_add(1, best, lift)
    return priority.topk(k, dim=-1).indices.sort(-1).values
