"""Train a language model to read scenes and clips, first as symbols, then through the projector.

LLaVA starts from a pretrained LLM; this LLM too is trained before it reads a picture. Each visual token is
then the SUM of the word embeddings of what its patch shows (colour, shape, digit) and of learned embeddings
of place and counts. Looking something up is a match between equal words, which is learned in minutes. Later
stages replace the sums by projected visual tokens of the frozen vision tower.
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

LLM_WIDTH = 256
LLM_LAYERS = 4
LLM_HEADS = 8
LLM_MLP = 512
TIME_LAYER = 1  # index of the layer that is inserted before clips are learned
MAX_TEXTS = 8  # packed behind one image or clip


def build_llm_config(
    vocab_size: int, pad_id: int, bos_id: int, eos_id: int, layers: int = LLM_LAYERS
) -> LlamaConfig:
    """Build the transformers configuration of the LLM."""
    return LlamaConfig(
        vocab_size=vocab_size, hidden_size=LLM_WIDTH, intermediate_size=LLM_MLP, num_hidden_layers=layers,
        num_attention_heads=LLM_HEADS, num_key_value_heads=LLM_HEADS, max_position_embeddings=2048,
        tie_word_embeddings=True, pad_token_id=pad_id, bos_token_id=bos_id, eos_token_id=eos_id,
    )  # fmt: skip


@torch.no_grad()
def init_match_and_copy(llm: LlamaForCausalLM) -> None:
    """Initialise attention to match equal tokens and copy them: K = Q, O = V transposed / 2.

    Source: arXiv 2305.09828. A look-up needs exactly this, word against word. In one run, look-ups stayed at
        chance
    for 14,000 scenes from the usual initialisation, and were learned within 8,000 with this one and a
    curriculum that describes first. Both were changed together, so their shares of the effect are not known.
    """
    for layer in llm.model.layers:
        attention_layer = layer.self_attn
        for matrix in (attention_layer.q_proj.weight, attention_layer.v_proj.weight):
            for head in matrix.view(LLM_HEADS, -1, LLM_WIDTH):
                nn.init.orthogonal_(head)
        attention_layer.k_proj.weight.copy_(attention_layer.q_proj.weight)
        attention_layer.o_proj.weight.copy_(0.5 * attention_layer.v_proj.weight.T)


@torch.no_grad()
def init_plural_embeddings(embedding: Tensor, tokenizer) -> None:
    """Initialise the embedding of "stars" as that of "star".

    A patch shows one star, so counting stars looks that word up.

    Args:
        embedding: [vocabulary, D], changed in place.
        tokenizer: of the LLM.
    """
    for shape in SHAPES:
        one, many = (tokenizer.encode(f" {w}", add_special_tokens=False) for w in (shape, pluralise(shape)))
        embedding[many[-1]] = embedding[one[-1]]


@torch.no_grad()
def insert_time_layer(reader: LanguageModelTrainer, smaller: dict[str, Tensor]) -> None:
    """Load the weights of a model with one layer less, and initialise the new layer to compare frames.

    Half of the heads of the new layer match patches that show equal shapes and copy what those patches hold
    into directions of their own. A patch then holds its place beside the places of its shape in earlier
    frames, and the difference is the motion. The heads match in the six dimensions that rotary positions turn
    least, so the distance in the prompt does not matter. The output of the layer's MLP starts at zero.

    In one run, in which the learning rate and the weight of the loss "moved" were raised too, the accuracy on
    directions was 0.6 after 1,150 steps without the layer (the place of a shape tells part of the answer),
    and 0.9 about 100 steps after it was inserted.

    Args:
        reader: the model with the new layer, changed in place.
        smaller: the state dict of the model without it.
    """
    # Load all other layers: those from TIME_LAYER on move up by one.
    state = reader.state_dict()
    for name, value in smaller.items():
        start, marker, end = name.partition("model.layers.")
        if marker:
            i, rest = end.split(".", 1)
            name = f"{start}{marker}{int(i) + (int(i) >= TIME_LAYER)}.{rest}"
        state[name] = value
    reader.load_state_dict(state)
    # Queries and keys of half of the heads: the six shape words become orthonormal directions [6, D], which
    # are written into the rows of the slowest rotary dimensions.
    layer = reader.llm.model.layers[TIME_LAYER]
    width = LLM_WIDTH // LLM_HEADS
    words = reader.llm.get_input_embeddings().weight[reader.symbols.shape_ids]
    directions = torch.linalg.qr(words.T).Q.T
    slowest = [*range(width // 2 - 3, width // 2), *range(width - 3, width)]
    for matrix in (layer.self_attn.q_proj.weight, layer.self_attn.k_proj.weight):
        for head in matrix.view(LLM_HEADS, width, LLM_WIDTH)[: LLM_HEADS // 2]:
            head.zero_()[slowest] = 1.8 * directions
    nn.init.orthogonal_(layer.self_attn.o_proj.weight, gain=0.3)
    layer.mlp.down_proj.weight.zero_()


class LanguageModelTrainer(nn.Module):
    """Hold the LLM during training and compute its losses.

    Its visual tokens come from the symbol table, or from LLaVA's two-layer projector.

    Args:
        tokenizer: from make_llm_tokenizer.
        layers: of the LLM.
    """

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
        """Compute the mean cross entropy over the answer tokens of stills.

        Args:
            visual: [B, K, D], the visual tokens, which all texts of their image share.
            questions: for each image the texts packed behind it.
        """
        page = self.packer.pack(questions, torch.zeros(visual.shape[:2], dtype=torch.long))
        hidden = self._run_llm(page, visual).last_hidden_state
        return self._compute_answer_loss(page, hidden, questions)

    def compute_clip_losses(
        self, visual: Tensor, questions: list[list[Question]], attributes: Tensor, owner: Tensor, keep: Tensor
    ) -> dict[str, Tensor]:
        """Compute the loss of the answers about clips ("clips") and the losses of TimeHeads.

        Args:
            visual: [B, K, D], the visual tokens, which all texts of their clip share.
            questions: for each clip the texts packed behind it.
            attributes: int64 [B, T, 6, 6], the shapes of every frame, as in SceneStore.
            owner: int64 [B, T, 196], the shape that holds each patch, as in SceneStore.
            keep: int64 [B, K], the kept tokens as t * 196 + n, ascending.
        """
        page = self.packer.pack(questions, keep // N_PATCHES, attributes.shape[1])
        output = self._run_llm(page, visual, output_hidden_states=True)
        # Hidden states at the visual tokens, [B, K, D] per layer.
        is_visual = page.ids == VISUAL_TOKEN
        states = tuple(hidden[is_visual].view(*keep.shape, -1) for hidden in output.hidden_states)
        return {
            "clips": self._compute_answer_loss(page, output.last_hidden_state, questions, "clip "),
            **self.time.compute_losses(states, attributes, owner, keep),
        }

    def _run_llm(self, page: PackedPage, visual: Tensor, **options):
        """Run the LLM on a page with the visual tokens [B, K, D] in their places."""
        embeds = self.llm.get_input_embeddings()(page.ids.clamp(min=0))
        embeds = embeds.masked_scatter((page.ids == VISUAL_TOKEN)[..., None], visual.to(embeds.dtype))
        return self.llm.model(
            inputs_embeds=embeds,
            attention_mask=page.mask,
            position_ids=page.positions,
            use_cache=False,
            **options,
        )

    def _compute_answer_loss(
        self, page: PackedPage, hidden: Tensor, questions: list[list[Question]], prefix: str = ""
    ) -> Tensor:
        """Compute the mean cross entropy over all answer tokens, each predicted from the token before it."""
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
        correct: Tensor,
        questions: list[list[Question]],
        prefix: str,
    ) -> None:
        """Update the running share of fully correct answers per kind of question.

        Args:
            page: the page.
            rows: int64 [A], the row of each answer token on the page.
            cols: int64 [A], the column of each answer token on the page.
            correct: bool [A], whether the answer token was predicted.
            questions: the texts of each row.
            prefix: put before the kind of the question.
        """
        wrong = torch.zeros(len(questions), MAX_TEXTS, dtype=torch.bool)
        wrong[rows[~correct], page.segment[rows, cols][~correct] - 1] = True
        for b, texts in enumerate(questions):
            for j, question in enumerate(texts):
                name = prefix + question.kind
                old = self.accuracy_by_kind.get(name, 0.0)
                self.accuracy_by_kind[name] = 0.995 * old + 0.005 * (not wrong[b, j].item())

    def progress_text(self) -> str:
        """Return the running accuracy of every kind of question, for the progress bar."""
        return " ".join(f"{k}:{v:.2f}" for k, v in sorted(self.accuracy_by_kind.items()))
