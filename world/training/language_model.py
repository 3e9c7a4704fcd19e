"""The language model that learns to read scenes and clips: first as symbols, then through the projector.

As the real LLaVA stands on a pretrained LLM, ours is pretrained before it sees an image: each visual token is
the SUM of the word embeddings of what its patch shows (colour, shape, digit) and of learned place and count
embeddings. Looking something up is then a match between equal words, which is learned in minutes. Later
stages replace the sums by projected visual tokens of the frozen tower.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from ..render.scenes import N_PATCHES, SHAPES
from ..text.packing import VISUAL_TOKEN, PackedPage, PagePacker
from ..text.scene_questions import Question, pluralise
from . import attention
from .symbols import SymbolTable
from .time_heads import TimeHeads
from .vision_tower import TOWER_WIDTH

LLM_WIDTH, LLM_LAYERS, LLM_HEADS, LLM_MLP = 256, 4, 8, 512
TIME_LAYER = 1  # where one more layer goes in before clips are learned
MAX_TEXTS = 8  # packed behind one image


def build_llm_config(
    vocab_size: int, pad_id: int, bos_id: int, eos_id: int, layers: int = LLM_LAYERS
) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocab_size, hidden_size=LLM_WIDTH, intermediate_size=LLM_MLP, num_hidden_layers=layers,
        num_attention_heads=LLM_HEADS, num_key_value_heads=LLM_HEADS, max_position_embeddings=2048,
        tie_word_embeddings=True, pad_token_id=pad_id, bos_token_id=bos_id, eos_token_id=eos_id,
    )  # fmt: skip


@torch.no_grad()
def init_match_and_copy(llm: LlamaForCausalLM) -> None:
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
def init_plural_embeddings(embedding: Tensor, tokenizer) -> None:
    """Start "stars" as "star": a patch shows one star, and what is counted is looked up by that word."""
    for shape in SHAPES:
        one, many = (tokenizer.encode(f" {w}", add_special_tokens=False) for w in (shape, pluralise(shape)))
        embedding[many[-1]] = embedding[one[-1]]


@torch.no_grad()
def insert_time_layer(reader: LanguageModelTrainer, smaller: dict[str, Tensor]) -> None:
    """Load the weights of a reader with one layer less, and start the new layer as "where was my like?"

    Half of its heads match patches by the shape they show and read what the like ones are, into directions of
    their own: a patch then holds its place beside that of its shape in earlier frames, and the difference is
    the motion. They match in the six dimensions that rotary positions turn least, so that distance in the
    prompt does not matter. The layer's MLP begins silent. Seen once, with the rate and the weight of `moved`
    raised at the same time: directions at 0.6 after 1,150 steps without the layer (where a shape stands tells
    a part of it), at 0.9 some 100 steps after it went in.
    """
    state = reader.state_dict()
    for name, value in smaller.items():
        head, mark, tail = name.partition("model.layers.")
        if mark:
            i, rest = tail.split(".", 1)
            name = f"{head}{mark}{int(i) + (int(i) >= TIME_LAYER)}.{rest}"
        state[name] = value
    reader.load_state_dict(state)
    layer, width = reader.llm.model.layers[TIME_LAYER], LLM_WIDTH // LLM_HEADS
    words = reader.llm.get_input_embeddings().weight[reader.symbols.shape_ids]
    directions = torch.linalg.qr(words.T).Q.T  # [6, D]
    slowest = [*range(width // 2 - 3, width // 2), *range(width - 3, width)]
    for matrix in (layer.self_attn.q_proj.weight, layer.self_attn.k_proj.weight):
        for head in matrix.view(LLM_HEADS, width, LLM_WIDTH)[: LLM_HEADS // 2]:
            head.zero_()[slowest] = 1.8 * directions
    nn.init.orthogonal_(layer.self_attn.o_proj.weight, gain=0.3)
    layer.mlp.down_proj.weight.zero_()


class LanguageModelTrainer(nn.Module):
    """The LLM with its symbol table and LLaVA's two-layer projector, one of which makes its visual tokens."""

    def __init__(self, tokenizer, layers: int = LLM_LAYERS) -> None:
        super().__init__()
        special = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
        config = build_llm_config(len(tokenizer), *special, layers)
        self.llm = LlamaForCausalLM(config)
        self.llm.set_attn_implementation(attention.ATTENTION_NAME)
        init_match_and_copy(self.llm)
        init_plural_embeddings(self.llm.get_input_embeddings().weight, tokenizer)
        self.symbols = SymbolTable(self.llm.get_input_embeddings(), tokenizer)
        self.projector = nn.Sequential(
            nn.Linear(TOWER_WIDTH, LLM_WIDTH), nn.GELU(), nn.Linear(LLM_WIDTH, LLM_WIDTH)
        )
        self.time = TimeHeads(LLM_WIDTH)
        self.packer = PagePacker(tokenizer)
        self.accuracy_by_kind: dict[str, float] = {}

    def compute_loss(self, visual: Tensor, questions: list[list[Question]]) -> Tensor:
        """Mean cross entropy over the answer tokens; the texts of each row share its visual tokens.

        Args:
            visual: [B, K, D], what stands at the image placeholder.
            questions: per image, the texts packed behind it.
        """
        page = self.packer.pack(questions, torch.zeros(visual.shape[:2], dtype=torch.long))
        hidden = self._run_llm(page, visual).last_hidden_state
        return self._compute_answer_loss(page, hidden, questions)

    def compute_clip_losses(
        self, visual: Tensor, questions: list[list[Question]], attributes: Tensor, owner: Tensor, keep: Tensor
    ) -> dict[str, Tensor]:
        """Of clips: the loss of the answers and those of TimeHeads.

        Args:
            attributes, owner, keep: as SymbolTable takes them; `keep` is ascending.
        """
        page = self.packer.pack(questions, keep // N_PATCHES, attributes.shape[1])
        found = self._run_llm(page, visual, output_hidden_states=True)
        at = page.ids == VISUAL_TOKEN
        states = tuple(h[at].view(*keep.shape, -1) for h in found.hidden_states)
        return {
            "clips": self._compute_answer_loss(page, found.last_hidden_state, questions, "clip "),
            **self.time.compute_losses(states, attributes, owner, keep),
        }

    def _run_llm(self, page: PackedPage, visual: Tensor, **more):
        embeds = self.llm.get_input_embeddings()(page.ids.clamp(min=0))
        embeds = embeds.masked_scatter((page.ids == VISUAL_TOKEN)[..., None], visual.to(embeds.dtype))
        return self.llm.model(
            inputs_embeds=embeds,
            attention_mask=page.mask,
            position_ids=page.positions,
            use_cache=False,
            **more,
        )

    def _compute_answer_loss(
        self, page: PackedPage, hidden: Tensor, questions: list[list[Question]], prefix: str = ""
    ) -> Tensor:
        rows, cols = page.answers.nonzero(as_tuple=True)
        logits = self.llm.lm_head(hidden[rows, cols - 1]).float()
        target = page.ids[rows, cols]
        self._track_accuracy(page, rows, cols, logits.argmax(-1) == target, questions, prefix)
        return F.cross_entropy(logits, target)

    def _track_accuracy(
        self,
        page: PackedPage,
        rows: Tensor,
        cols: Tensor,
        right: Tensor,
        questions: list[list[Question]],
        prefix: str,
    ) -> None:
        """Running share of fully right answers per kind of question, for the progress bar.

        Answer token i, at (rows[i], cols[i]) of the page, was said right or not: `right[i]`.
        """
        wrong = torch.zeros(len(questions), MAX_TEXTS, dtype=torch.bool)
        wrong[rows[~right], page.segment[rows, cols][~right] - 1] = True
        for b, asked in enumerate(questions):
            for j, q in enumerate(asked):
                name = prefix + q.kind
                old = self.accuracy_by_kind.get(name, 0.0)
                self.accuracy_by_kind[name] = 0.995 * old + 0.005 * (not wrong[b, j].item())

    def progress_text(self) -> str:
        return " ".join(f"{k}:{v:.2f}" for k, v in sorted(self.accuracy_by_kind.items()))
