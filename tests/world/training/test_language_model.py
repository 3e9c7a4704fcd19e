"""What the LLM is trained on: packer equal to each text alone, symbols that say what patches show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import LlamaForCausalLM

from tests.support import tiny_world
from world.render.scenes import SHAPES
from world.text.packing import VISUAL_TOKEN, PagePacker
from world.text.scene_questions import KINDS, describe_scene, make_scene_question
from world.text.tokenizer import format_prompt
from world.training.language_model import LLM_HEADS, LLM_LAYERS, LLM_WIDTH, TIME_LAYER, insert_time_layer

K = 9


@pytest.fixture(scope="module")
def reader():
    return tiny_world.make_language_model()


@pytest.fixture(scope="module")
def plain(reader) -> LlamaForCausalLM:
    """Copy the LLM, with transformers' own attention."""
    config = type(reader.llm.config).from_dict(reader.llm.config.to_dict())
    model = LlamaForCausalLM(config)
    model.set_attn_implementation("eager")
    model.load_state_dict(reader.llm.state_dict())
    return model.eval()


@pytest.fixture(scope="module")
def questions():
    """Two packer of unequal length, a description among the texts."""
    scene, rng = tiny_world.render_once(1), np.random.default_rng(0)
    made = [q for kind in KINDS if (q := make_scene_question(scene, kind, rng))]
    return [[describe_scene(scene), *made[:4]], made[4:6]]


@torch.no_grad()
def test_a_packed_page_is_each_text_alone(reader, plain, questions):
    """Neither a neighbour, nor the order, nor padding shows: same losses as the prompt of one question."""
    visual = torch.randn(2, K, LLM_WIDTH, generator=torch.Generator().manual_seed(0))
    words, packer = plain.get_input_embeddings(), reader.packer
    losses = []
    for row, asked in zip(visual, questions, strict=True):
        for q in asked:
            prompt, answer = packer.question_ids(q.text), packer.answer_ids(q.answer)
            start, rest = torch.tensor(packer.prefix_ids), torch.tensor(prompt + answer)
            embeds = torch.cat([words(start), row, words(rest)])[None]
            logits = plain(inputs_embeds=embeds).logits[0]
            losses.append(
                F.cross_entropy(logits[-len(answer) - 1 : -1], torch.tensor(answer), reduction="none")
            )
    packed = reader.compute_loss(visual, questions)
    assert packed.item() == pytest.approx(torch.cat(losses).mean().item(), abs=1e-5)


@torch.no_grad()
def test_a_packed_page_gives_the_logits_of_each_text_alone(reader, plain, questions):
    visual = torch.randn(2, K, LLM_WIDTH, generator=torch.Generator().manual_seed(1))
    words, packer = plain.get_input_embeddings(), reader.packer
    page = packer.pack(questions, torch.zeros(2, K).long())
    embeds = words(page.ids.clamp(min=0))
    embeds[page.ids == VISUAL_TOKEN] = visual.flatten(0, 1)
    packed = reader.llm(inputs_embeds=embeds, attention_mask=page.mask, position_ids=page.positions).logits
    for b, asked in enumerate(questions):
        for j, q in enumerate(asked, start=1):
            text = torch.tensor(packer.question_ids(q.text) + packer.answer_ids(q.answer))
            alone = torch.cat([words(torch.tensor(packer.prefix_ids)), visual[b], words(text)])[None]
            expected = plain(inputs_embeds=alone).logits[0, -len(text) :]
            found = packed[b, page.segment[b] == j]
            assert torch.allclose(found, expected, atol=1e-4), (b, j, (found - expected).abs().max())


def test_a_page_trains_on_the_answers_with_their_ends_and_nothing_else(reader, questions):
    page = reader.packer.pack(questions, torch.zeros(2, K).long())
    tokenizer = reader.packer.tokenizer
    for b, asked in enumerate(questions):
        for j, q in enumerate(asked, start=1):
            trained = page.ids[b, page.answers[b] & (page.segment[b] == j)]
            assert trained[-1] == tokenizer.eos_token_id
            assert tokenizer.decode(trained[:-1]).strip() == q.answer
    assert not page.answers[page.segment <= 0].any()


def test_question_and_answer_tokenize_together_as_apart():
    """Generation continues the prompt's tokens; were the border elsewhere, training would have lied."""
    tokenizer = tiny_world.make_tokenizer()
    packer = PagePacker(tokenizer)
    for text, answer in (("What color is the star?", "red"), ("Where is the red heart?", "top left")):
        whole = tokenizer.encode(format_prompt().format(question=text) + " " + answer)
        image = tokenizer.convert_tokens_to_ids("<image>")
        assert whole[: whole.index(image)] == packer.prefix_ids
        assert whole[whole.index(image) + 1 :] == packer.question_ids(text) + packer.answer_ids(answer)[:-1]


@torch.no_grad()
def test_attention_starts_as_match_and_copy(reader):
    """Before training, in every head of every layer: a token looks at its double, and reads what it is."""
    x = torch.randn(20, LLM_WIDTH, generator=torch.Generator().manual_seed(0))
    x[-1] = x[4]
    for layer in reader.llm.model.layers:
        a = layer.self_attn
        query, key = (m(x).view(20, LLM_HEADS, -1) for m in (a.q_proj, a.k_proj))
        scores = torch.einsum("hd,nhd->hn", query[-1], key[:-1])
        assert (scores.argmax(-1) == 4).all()
        copied = a.o_proj(a.v_proj(x))
        assert F.cosine_similarity(copied, x).min() > 0.5


@torch.no_grad()
def test_plurals_start_as_their_singulars(reader):
    tokenizer, embedding = reader.packer.tokenizer, reader.llm.get_input_embeddings().weight
    for one, many in (("star", "stars"), ("cross", "crosses")):
        a, b = (tokenizer.encode(f" {w}", add_special_tokens=False) for w in (one, many))
        assert a != b and torch.equal(embedding[a], embedding[b])


CLIP_FRAMES, KEPT = 3, torch.tensor([[0, 0, 2, 2, 2], [0, 1, 1, 1, 2]])  # the frame of each visual token


@torch.no_grad()
def test_a_packed_clip_is_the_processor_s_prompt(reader, plain, questions):
    """Frames with any number of tokens, none included: the logits are those of the prompt with its gaps."""
    visual = torch.randn(2, 5, LLM_WIDTH, generator=torch.Generator().manual_seed(2))
    words, tokenizer = plain.get_input_embeddings(), reader.packer.tokenizer
    page = reader.packer.pack(questions, KEPT, CLIP_FRAMES)
    embeds = words(page.ids.clamp(min=0))
    embeds[page.ids == VISUAL_TOKEN] = visual.flatten(0, 1)
    packed = reader.llm(inputs_embeds=embeds, attention_mask=page.mask, position_ids=page.positions).logits
    image = tokenizer.convert_tokens_to_ids("<image>")
    for b, asked in enumerate(questions):
        for j, q in enumerate(asked, start=1):
            parts, tokens = [], iter(visual[b])
            for i in tokenizer.encode(format_prompt(CLIP_FRAMES).format(question=q.text)):
                if i == image:
                    t = sum(part is None for part in parts)
                    parts += [None, *(next(tokens) for _ in range(int((KEPT[b] == t).sum())))]
                else:
                    parts.append(words.weight[i])
            alone = torch.stack([part for part in parts if part is not None])
            answer = torch.tensor(reader.packer.answer_ids(q.answer))
            expected = plain(inputs_embeds=torch.cat([alone, words(answer)])[None]).logits[
                0, -len(answer) - 1 :
            ]
            found = packed[b, page.segment[b] == j][-len(answer) - 1 :]
            assert torch.allclose(found, expected, atol=1e-4), (b, j)


@torch.no_grad()
def test_a_grown_reader_looks_for_its_like_and_keeps_what_it_knew(reader):
    big = tiny_world.make_language_model(layers=LLM_LAYERS + 1)
    insert_time_layer(big, reader.state_dict())
    old, new = reader.llm.model.layers, big.llm.model.layers
    kept = [new[i] for i in range(LLM_LAYERS + 1) if i != TIME_LAYER]
    for a, b in zip(old, kept, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert torch.equal(big.symbols.axes, reader.symbols.axes)
    words = big.llm.get_input_embeddings().weight
    star, heart = (words[big.symbols.shape_ids[SHAPES.index(s)]] for s in ("star", "heart"))
    place = torch.randn(2, LLM_WIDTH, generator=torch.Generator().manual_seed(3)) * words.std()
    x = torch.stack([star + place[0], heart + place[1], star + place[1]])
    attention = new[TIME_LAYER].self_attn
    query, key = (
        m(x).view(3, LLM_HEADS, -1)[:, : LLM_HEADS // 2] for m in (attention.q_proj, attention.k_proj)
    )
    to_star, to_heart = ((query[2] * key[i]).sum(-1) for i in (0, 1))
    assert (to_star > 2 * to_heart.abs()).all()
    assert not new[TIME_LAYER].mlp.down_proj.weight.any()
