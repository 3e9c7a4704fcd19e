"""Every question about a clip has one right answer, and no kind can be answered without looking.

The answers are worked out again from the words of the question and the plan, by rules written here.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from world.render.clip_plans import N_FRAMES, Actor, ClipPlan, plan_clip
from world.render.scenes import COLORS, N_PATCHES, SHAPES
from world.text.clip_questions import CLIP_KINDS, CLIP_TEMPLATES, describe_clip, make_clip_question
from world.text.scene_questions import NUMBER_WORDS, Question

SEEDS = range(1500)
KINDS = (*CLIP_KINDS, "frame")
NAMED = rf"((?:(?:{'|'.join(COLORS)}) )?(?:{'|'.join(SHAPES)}))"


@pytest.fixture(scope="module")
def asked() -> list[tuple[ClipPlan, Question]]:
    found = []
    for seed in SEEDS:
        plan, rng = plan_clip(seed), np.random.default_rng(seed)
        found += [(plan, q) for kind in KINDS if (q := make_clip_question(plan, kind, rng))]
    return found


def the(plan: ClipPlan, words: str) -> Actor:
    """Find the only shape that the words mean, at any time."""
    *color, form = words.split()
    (one,) = [a for a in plan.actors if a.shape == form and (not color or color[0] in a.colors)]
    return one


def solve(plan: ClipPlan, text: str) -> str:
    actors, names = plan.actors, re.findall(NAMED, text)
    t = 0 if "at the start" in text else N_FRAMES - 1 if "at the end" in text else None
    now = [a for a in actors if t is not None and a.visible[t]]
    if "direction" in text or " way " in text:
        track = the(plan, names[0]).track
        (x0, y0), (x1, y1) = track[0], track[-1]
        return {(1, 0): "right", (-1, 0): "left", (0, 1): "down", (0, -1): "up"}[
            int(np.sign(x1 - x0)), int(np.sign(y1 - y0))
        ]
    if "comes" in text:
        a, b = (the(plan, name) for name in names)
        return (min if "first" in text else max)(a, b, key=lambda x: x.first_frame).shape
    if "appears last" in text:
        return max(actors, key=lambda a: a.first_frame).shape
    if "change" in text:
        return "yes" if len(set(the(plan, names[0]).colors)) > 1 else "no"
    if "frame" in text:
        return str(the(plan, names[0]).first_frame + 1)
    if "How many" in text:
        return NUMBER_WORDS[len(now)]
    if text.startswith(("Is there", "Can you see")):
        there = {n for a in now for n in (a.shape, f"{a.colors[t]} {a.shape}")}
        return "yes" if names[0] in there else "no"
    if "shape" in text or "object" in text:
        color = next(c for c in COLORS if re.search(rf"\b{c}\b", text))
        (one,) = [a for a in actors if color in a.colors]
        return one.shape
    one = the(plan, names[0])
    assert t is not None or len(set(one.colors)) == 1
    return one.colors[t or 0]


def test_every_answer_is_right(asked):
    for plan, q in asked:
        assert q.answer == solve(plan, q.text), (q, plan)


def test_the_tokens_of_an_answer_lie_on_the_shapes_it_is_about(asked):
    for plan, q in asked:
        owner = plan.to_owner().flatten()
        assert list(q.patches) == sorted(set(q.patches))
        assert bool(q.patches) == (q.answer != "no" or q.kind == "change"), q
        assert all(owner[p] >= 0 for p in q.patches)
        frames = {p // N_PATCHES for p in q.patches}
        if q.kind in ("existence", "count") and q.patches:
            assert frames == {0 if "start" in q.text else N_FRAMES - 1}
        if q.kind == "change" and q.answer in COLORS:
            one = plan.actors[owner[q.patches[0]]]
            assert frames == {t for t in range(N_FRAMES) if one.colors[t] == q.answer}
        if q.kind == "direction":
            assert frames == set(range(N_FRAMES))


def test_most_clips_can_answer_every_kind_in_all_its_wordings(asked):
    counts = Counter(q.kind for _, q in asked)
    assert min(counts[kind] for kind in CLIP_KINDS) > 0.5 * len(SEEDS), counts
    heard = {text for _, q in asked for texts in CLIP_TEMPLATES.values() for text in texts if says(text, q)}
    assert heard == {text for texts in CLIP_TEMPLATES.values() for text in texts}


def says(template: str, q: Question) -> bool:
    return bool(re.fullmatch(re.sub(r"\\{\w+\\}", ".+", re.escape(template)), q.text))


def test_no_wording_gives_its_answer_away(asked):
    """With names blanked out, guessing the most frequent answer is no better than its fair share."""
    by = defaultdict(list)
    for _, q in asked:
        moment = "start" if "start" in q.text else "end" if "end" in q.text else ""
        yes_no = q.answer in ("yes", "no")
        by[q.kind, yes_no, moment if q.kind == "count" else ""].append(q.answer)
    fair = {"direction": 0.3, "order": 0.22, "change": 0.2, "color": 0.2, "shape": 0.22, "count": 0.47}
    for (kind, yes_no, _), answers in by.items():
        share = Counter(answers).most_common(1)[0][1] / len(answers)
        assert share < (0.56 if yes_no else fair.get(kind, 0.47)), (kind, Counter(answers))


def test_which_of_two_is_named_first_does_not_tell_which_came_first(asked):
    said = [q for _, q in asked if "comes" in q.text]
    first = [re.findall(NAMED, q.text)[0] == q.answer for q in said]
    assert 0.45 < np.mean(first) < 0.55


def test_a_hard_no_was_there_at_another_time(asked):
    hard = total = 0
    for plan, q in asked:
        if q.kind == "existence" and q.answer == "no":
            ever = {n for a in plan.actors for c in a.colors for n in (a.shape, f"{c} {a.shape}")}
            total += 1
            hard += re.findall(NAMED, q.text)[0] in ever
    assert hard > 0.25 * total > 0


def test_a_description_tells_what_happens():
    said = [describe_clip(plan_clip(seed)) for seed in range(60)]
    words = {w for q in said for w in re.findall("[a-z]+", q.answer)}
    assert {"left", "right", "up", "down", "still", "appears", "vanishes", "turns"} <= words
    plan = plan_clip(0)
    assert said[0].answer.count(",") == len(plan.actors) - 1
    assert set(said[0].patches) == {p for a in plan.actors for p in a.token_indices()}
