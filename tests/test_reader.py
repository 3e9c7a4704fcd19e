"""What the LLM is trained on: pages equal to each text alone, symbols that say what patches show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import LlamaForCausalLM

from tests import tiny_world
from world.language import PROMPT
from world.pages import Pages
from world.questions import KINDS, ask, describe
from world.reader import (
    LLM_HEADS,
    LLM_WIDTH,
    MAX_TEXTS,
    curriculum,
    draw_questions,
    drop_tokens,
)
from world.scenes import GRID, MAX_SHAPES, N_PATCHES, PATCH, SIZE

K = 9


@pytest.fixture(scope="module")
def reader():
    return tiny_world.reader()


@pytest.fixture(scope="module")
def plain(reader) -> LlamaForCausalLM:
    """The same LLM with transformers' own attention."""
    config = type(reader.llm.config).from_dict(reader.llm.config.to_dict())
    model = LlamaForCausalLM(config)
    model.set_attn_implementation("eager")
    model.load_state_dict(reader.llm.state_dict())
    return model.eval()


@pytest.fixture(scope="module")
def questions():
    """Two pages of unequal length, a description among the texts."""
    scene, rng = tiny_world.scene(1), np.random.default_rng(0)
    made = [q for kind in KINDS if (q := ask(scene, kind, rng))]
    return [[describe(scene), *made[:4]], made[4:6]]


@torch.no_grad()
def test_a_packed_page_is_each_text_alone(reader, plain, questions):
    """Neither a neighbour, nor the order, nor padding shows: same losses as the prompt of one question."""
    visual = torch.randn(2, K, LLM_WIDTH, generator=torch.Generator().manual_seed(0))
    words, pages = plain.get_input_embeddings(), reader.pages
    losses = []
    for row, asked in zip(visual, questions, strict=True):
        for q in asked:
            prompt, answer = pages.question_ids(q.text), pages.answer_ids(q.answer)
            start, rest = torch.tensor(pages.before), torch.tensor(prompt + answer)
            embeds = torch.cat([words(start), row, words(rest)])[None]
            logits = plain(inputs_embeds=embeds).logits[0]
            losses.append(
                F.cross_entropy(logits[-len(answer) - 1 : -1], torch.tensor(answer), reduction="none")
            )
    packed = reader.read(visual, questions)
    assert packed.item() == pytest.approx(torch.cat(losses).mean().item(), abs=1e-5)


@torch.no_grad()
def test_a_packed_page_gives_the_logits_of_each_text_alone(reader, plain, questions):
    visual = torch.randn(2, K, LLM_WIDTH, generator=torch.Generator().manual_seed(1))
    words, pages = plain.get_input_embeddings(), reader.pages
    page = pages.lay_out(questions, K)
    embeds = words(page.ids)
    embeds = torch.cat([embeds[:, : page.n_before], visual, embeds[:, page.n_before :]], dim=1)
    packed = reader.llm(inputs_embeds=embeds, attention_mask=page.mask, position_ids=page.positions).logits
    for b, asked in enumerate(questions):
        for j, q in enumerate(asked, start=1):
            text = torch.tensor(pages.question_ids(q.text) + pages.answer_ids(q.answer))
            alone = torch.cat([words(torch.tensor(pages.before)), visual[b], words(text)])[None]
            expected = plain(inputs_embeds=alone).logits[0, -len(text) :]
            found = packed[b, page.segment[b] == j]
            assert torch.allclose(found, expected, atol=1e-4), (b, j, (found - expected).abs().max())


def test_a_page_trains_on_the_answers_with_their_ends_and_nothing_else(reader, questions):
    page = reader.pages.lay_out(questions, K)
    tokenizer = reader.pages.tokenizer
    for b, asked in enumerate(questions):
        for j, q in enumerate(asked, start=1):
            trained = page.full_ids[b, page.answers[b] & (page.segment[b] == j)]
            assert trained[-1] == tokenizer.eos_token_id
            assert tokenizer.decode(trained[:-1]).strip() == q.answer
    assert not page.answers[page.segment <= 0].any()


def test_question_and_answer_tokenize_together_as_apart():
    """Generation continues the prompt's tokens; were the border elsewhere, training would have lied."""
    tokenizer = tiny_world.tokenizer()
    pages = Pages(tokenizer)
    for text, answer in (("What color is the star?", "red"), ("Where is the red heart?", "top left")):
        whole = tokenizer.encode(PROMPT.format(question=text) + " " + answer)
        image = tokenizer.convert_tokens_to_ids("<image>")
        assert whole[: whole.index(image)] == pages.before
        assert whole[whole.index(image) + 1 :] == pages.question_ids(text) + pages.answer_ids(answer)[:-1]


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
def test_a_symbol_is_the_sum_of_the_words_for_what_its_patch_shows(reader, tmp_path):
    bank = tiny_world.bank(tmp_path, 2)
    attributes, owner = (torch.from_numpy(x[:].astype(np.int64)) for x in (bank.attributes, bank.owner))
    found, t, tokenizer = reader.symbols(attributes, owner), reader.symbols.tables, reader.pages.tokenizer

    def word(name: str) -> torch.Tensor:
        (one,) = tokenizer.encode(" " + name, add_special_tokens=False)
        return reader.llm.get_input_embeddings().weight[one]

    for b in range(2):
        scene = bank.scene(b)
        for p in range(N_PATCHES):
            shown = t["background"].weight[0]
            x, y = (p % GRID + 0.5) * PATCH, (p // GRID + 0.5) * PATCH
            for s in scene.shapes:
                if p in s.patches:
                    shown = word(s.color) + word(s.shape) + (word(s.digit) if s.digit else 0)
                    x, y = s.x, s.y
                    same = [
                        sum(getattr(o, k) == getattr(s, k) for o in scene.shapes) for k in ("color", "shape")
                    ]
                    shown = shown + t["same_color"].weight[same[0]] + t["same_shape"].weight[same[1]]
            right, down = reader.symbols.axes
            place = (x / (SIZE / 2) - 1) * right + (y / (SIZE / 2) - 1) * down
            expected = shown + place + t["total"].weight[len(scene.shapes)]
            assert torch.allclose(found[b, p], expected, atol=1e-5), (b, p)


def test_words_of_the_symbols_are_the_llm_s_own(reader):
    assert reader.symbols.words[0] is reader.llm.get_input_embeddings()
    assert not any(name.startswith("symbols.words") for name in reader.state_dict())


@pytest.mark.parametrize("k", [10, 30, N_PATCHES])
def test_dropping_keeps_k_places_and_every_shape(tmp_path, k):
    owner = torch.from_numpy(tiny_world.bank(tmp_path, 4).owner[:].astype(np.int64))
    lost = 0
    for seed in range(20):
        for keep_each in (True, False):
            keep = drop_tokens(owner, k, np.random.default_rng(seed), keep_each)
            assert keep.shape == (4, k)
            assert (keep[:, 1:] > keep[:, :-1]).all()  # sorted, none twice
            for row, chosen in zip(owner, keep, strict=True):
                missing = {j for j in range(MAX_SHAPES) if (row == j).any()} - set(row[chosen].tolist())
                assert not (keep_each and missing)
                lost += bool(missing)
    assert bool(lost) == (k < N_PATCHES)  # without it shapes do get lost, so it matters


def test_the_curriculum_ends_with_every_kind_and_fits_the_page():
    stages = [curriculum(p) for p in (0.0, 0.3, 0.5, 0.76, 1.0)]
    shares, counts, kinds = zip(*stages, strict=True)
    assert set(kinds[0]) < set(kinds[1]) < set(KINDS)
    assert set(kinds[2]) == set(kinds[3]) == set(KINDS)
    assert kinds[2].count("relation") > len(kinds[2]) / 2  # the drill
    assert shares[0] > 0.5 > shares[-1] > 0
    assert max(counts) + 1 <= MAX_TEXTS


@torch.no_grad()
def test_plurals_start_as_their_singulars(reader):
    tokenizer, embedding = reader.pages.tokenizer, reader.llm.get_input_embeddings().weight
    for one, many in (("star", "stars"), ("cross", "crosses")):
        a, b = (tokenizer.encode(f" {w}", add_special_tokens=False) for w in (one, many))
        assert a != b and torch.equal(embedding[a], embedding[b])


def test_a_page_is_never_empty():
    """A scene of twins has nothing to offer for look-ups: it is described instead."""
    twins = tiny_world.sketch(("red", "circle", "7", 40, 40), ("red", "circle", "3", 180, 180))
    rng = np.random.default_rng(0)
    assert [q.kind for q in draw_questions(twins, rng, 0.0, 3, ("color", "digit"))] == ["describe"]
    assert draw_questions(tiny_world.scene(1), rng, 1.0, 3, KINDS)[0].kind == "describe"
    assert "describe" not in {q.kind for q in draw_questions(tiny_world.scene(1), rng, 0.0, 3, KINDS)}
