"""Check lmms.samples and lmms.generation: a batch gets the answers that the Explainer gives to each alone."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from PIL import Image

from rediprune import Explainer, PruneConfig
from rediprune.config import POSITIONS
from rediprune.evaluation.lmms.decoding import Decoding
from rediprune.evaluation.lmms.generation import collate_inputs, generate_answers, measure_loss, splice_batch
from rediprune.evaluation.lmms.samples import SampleError, Segment, load_sample_media, prepare_sample
from rediprune.explainer.encode import MediaInput
from rediprune.query.question import QuestionError
from tests.families import QUESTIONS, Family, families
from tests.support import footage, tiny

BOTH = [pytest.param(f, kind, id=f"{f.name}-{kind}") for f in families() for kind in f.kinds]
FEW = PruneConfig(0.2)
SHORT = Decoding(max_new_tokens=5)


@cache
def explainer() -> Explainer:
    return Explainer(tiny.model(), tiny.processor(), "tiny")


def media(family: Family, kind: str, seed: int) -> MediaInput:
    if kind == "image":
        return MediaInput(tuple(family.pictures(seed)))
    return MediaInput(tuple(family.pictures(seed, family.n_frames)), clip=True)


@pytest.mark.parametrize(("family", "kind"), BOTH)
def test_a_batch_gives_every_family_the_answers_it_gives_alone(family, kind):
    one = Explainer(family.model(torch.float32), family.processor(), family.name)
    batch = [prepare_sample(one, media(family, kind, i), QUESTIONS[i], FEW, f"sample {i}") for i in range(3)]
    assert len({c.asked.inputs["input_ids"].shape[1] for c in batch}) > 1  # so there is something to pad
    for positions in POSITIONS:
        made = generate_answers(one, batch, SHORT, positions)
        alone = [
            one.answer(c.look, c.asked, c.kept, max_new_tokens=5, positions=positions).text for c in batch
        ]
        assert [m.text for m in made] == alone
        prompt, _ = splice_batch(one, batch, positions)
        assert [m.n_kept for m in made] == [len(c.kept) for c in batch]
        for row, c in enumerate(batch):
            mine, _ = splice_batch(one, [c], positions)
            read = mine.embeds.shape[1]
            torch.testing.assert_close(prompt.embeds[row, -read:], mine.embeds[0], atol=1e-6, rtol=1e-6)
            assert prompt.mask[row].sum() == mine.mask.sum() == made[row].n_read


def test_at_ratio_1_it_is_the_unmodified_model():
    model, processor = explainer().model, explainer().processor
    picture = tiny.image()
    config = PruneConfig(1.0, query="text-tower")
    whole = prepare_sample(explainer(), load_sample_media([picture], 8), QUESTIONS[0], config, "x")
    assert whole.kept is None and whole.n_visual == tiny.N
    text = processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTIONS[0]}]}],
        add_generation_prompt=True,
        tokenize=False,
    )
    inputs = processor(text=text, images=picture, return_tensors="pt")
    out = model.generate(**inputs, max_new_tokens=5, do_sample=False)[0, inputs.input_ids.shape[1] :]
    (made,) = generate_answers(explainer(), [whole], SHORT)
    assert made.text == processor.decode(out, skip_special_tokens=True).strip()
    assert made.n_read == inputs.input_ids.shape[1] and made.n_kept == tiny.N


def test_beams_are_those_of_generate():
    one = prepare_sample(explainer(), load_sample_media([tiny.image()], 8), QUESTIONS[0], FEW, "x")
    prompt, _ = splice_batch(explainer(), [one])
    out = explainer().model.generate(
        inputs_embeds=prompt.embeds, **prompt.arguments(), max_new_tokens=5, num_beams=3, do_sample=False
    )
    (made,) = generate_answers(explainer(), [one], Decoding(max_new_tokens=5, num_beams=3))
    assert made.text == explainer().processor.decode(out[0], skip_special_tokens=True).strip()


def test_a_mask_of_random_belongs_to_its_sample():
    config = PruneConfig(0.2, method="random")
    picture = load_sample_media([tiny.image()], 8)
    kept = [prepare_sample(explainer(), picture, QUESTIONS[0], config, name).kept for name in ("a", "b", "a")]
    assert torch.equal(kept[0], kept[2]) and not torch.equal(kept[0], kept[1])


def test_a_ratio_that_keeps_everything_is_warned_of():
    picture = load_sample_media([tiny.image()], 8)
    with pytest.warns(UserWarning, match=r"keep_ratio=0\.99 keeps all 36 visual tokens"):
        found = prepare_sample(explainer(), picture, QUESTIONS[0], PruneConfig(0.99), "task test 7")
    assert len(found.kept) == found.n_visual == 36


def test_prompts_of_benchmarks_may_be_long_but_hold_no_control_tokens():
    picture = load_sample_media([tiny.image()], 8)
    assert prepare_sample(explainer(), picture, "what is it " * 400, FEW, "x").kept.tolist()
    with pytest.raises(QuestionError, match="<image>"):
        prepare_sample(explainer(), picture, "what is in <image>", FEW, "x")


def test_what_a_sample_may_show(tmp_path):
    assert not load_sample_media([Image.new("L", (30, 20))], 8).clip
    Image.new("RGB", (30, 20)).save(tmp_path / "still.png")
    assert not load_sample_media([str(tmp_path / "still.png")], 8).clip
    video = footage.write(tmp_path / "clip.mp4", n=20)
    assert footage.indices(load_sample_media([str(video)], 4).frames) == [0, 6, 12, 19]
    for visuals, expected_text in (
        ([], "shows 0 pictures"),
        (None, "shows 0 pictures"),
        ([tiny.image()] * 2, "shows 2 pictures"),
        ([7], "shows a int"),
    ):
        with pytest.raises(SampleError, match=expected_text):
            load_sample_media(visuals, 8)


def test_of_a_segment_only_its_own_frames_are_shown(tmp_path):
    video = footage.write(tmp_path / "clip.mp4", n=30, fps=10)
    part = load_sample_media([Segment(str(video), 1.0, 2.0)], 3)
    assert footage.indices(part.frames) == [10, 15, 20]
    assert part.seconds == pytest.approx((0, 0.5, 1.0)) and part.clip
    assert footage.indices(load_sample_media([Segment(str(video), 2.5, 9.0)], 2).frames) == [25, 29]


def test_a_loss_is_that_of_the_words_in_their_place():
    one = prepare_sample(explainer(), load_sample_media([tiny.image()], 8), QUESTIONS[0], FEW, "x")
    prompt, _ = splice_batch(explainer(), [one])
    red, star = (explainer().processor.tokenizer.convert_tokens_to_ids(word) for word in ("red", "star"))
    embeds = explainer().model.get_input_embeddings()(torch.tensor([[red, star]]))
    logits = explainer().model(inputs_embeds=torch.cat([prompt.embeds, embeds], 1)).logits[0, -3:-1]
    expected = -logits.detach().log_softmax(-1)[[0, 1], [red, star]].mean()
    found, greedy, n_kept = measure_loss(explainer(), one, " red star")
    assert found == pytest.approx(float(expected), abs=1e-5) and greedy is False and n_kept == 7
    best = explainer().processor.decode(prompt_best(prompt))
    assert measure_loss(explainer(), one, f" {best}")[1] is True
    with pytest.raises(ValueError, match="no token"):
        measure_loss(explainer(), one, " ")


def prompt_best(prompt) -> int:
    """Return the token that the model finds likeliest after the prompt."""
    logits = explainer().model(inputs_embeds=prompt.embeds, **prompt.arguments()).logits
    return int(logits[0, -1].argmax())


def test_inputs_are_laid_together_as_a_processor_would():
    def inputs(*ids: int) -> dict:
        row = torch.tensor([ids])
        return {"input_ids": row, "mm_token_type_ids": row * 0 + 1, "grid": torch.tensor([[1, 2, 3, 4]])}

    made = collate_inputs([inputs(5, 6, 7), inputs(8)], pad=9)
    assert made["input_ids"].tolist() == [[5, 6, 7], [9, 9, 8]]
    assert made["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert made["mm_token_type_ids"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert made["grid"].tolist() == [[1, 2, 3, 4]] * 2
