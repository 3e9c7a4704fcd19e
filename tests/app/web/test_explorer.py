"""The explorer's pure functions in real Chromium, against the library's own numbers; see also tests/js."""

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from app.page.web_part import FUNCTIONS
from app.state.options import METHODS, WEIGHTS
from app.views import evidence, explorer
from rediprune import Explainer, PruneConfig, alpha_from_weight
from rediprune.explainer.encode import as_media_input
from rediprune.explainer.model_card import Card
from rediprune.selection.greedy import distances
from tests.support import tiny

HERE = Path(__file__).parents[3] / "app" / "web"
PURE = "".join((HERE / name).read_text(encoding="utf-8") for name in FUNCTIONS)
QUESTION = "what color is the star"
W = len(WEIGHTS)


@cache
def explained():
    explainer = Explainer(tiny.model(), tiny.processor(), "tiny", Card())
    media = [tiny.image(seed) for seed in range(3)]
    return explainer, as_media_input(media), explainer.look(media)


@cache
def chosen(method="rediprune", budget="frame"):
    """(what is sent, the Selection) of three frames, every weight."""
    explainer, shown, look = explained()
    config = PruneConfig(method=method, budget=budget)
    asked = explainer.ask(look, QUESTION, config)
    selection = explainer.select(look, asked, config, [alpha_from_weight(w) for w in WEIGHTS])
    relevance = explainer.select(look, asked, PruneConfig(method="relevance")).relevance.numpy()
    setting = {"method": method, "budget": budget}
    sent = explorer.explorer_payload(shown, look.vision, selection, relevance, "", "", setting)
    return sent, selection


@pytest.fixture(scope="module")
def blank(browser):
    page = browser.new_page()
    yield page
    page.close()


def worked_out(page, sent, what):
    """What the browser makes of the message; `what` is JavaScript that returns something, with `run`."""
    given = {name: value for name, value in sent.items() if name != "pictures"}
    return json.loads(
        page.evaluate(
            f"value => {{ {PURE}; const run = unpackRun(value);"
            "const plain = (_, v) => ArrayBuffer.isView(v) ? [...v] : Number.isNaN(v) ? null : v;"
            f"return JSON.stringify((() => {{ {what} }})(), plain); }}",
            given,
        )
    )


@pytest.mark.parametrize("budget", ["frame", "shared"])
def test_every_distance_in_the_browser_is_the_librarys_to_the_last_bit(blank, budget):
    sent, _ = chosen("rediprune", budget)
    features = explained()[2].vision.features
    tokens = features.flatten(0, 1)[None] if budget == "shared" else features
    between = distances(tokens)
    size = between.shape[-1]
    found = worked_out(
        blank,
        sent,
        "const out = []; for (let a = 0; a < run.all; a++) for (let b = 0; b < run.all; b++)"
        "if (groupOf(run, a) === groupOf(run, b)) out.push(cosineDistance(run, a, b)); return out;",
    )
    between.diagonal(dim1=-2, dim2=-1).zero_()
    assert np.array_equal(np.array(found, np.float32).reshape(-1, size, size), between.numpy())


@pytest.mark.parametrize("budget", ["frame", "shared"])
@pytest.mark.parametrize("keep", [0.03, 0.15, 0.5, 1.0])
def test_every_dropped_token_has_the_librarys_nearest_kept_one(blank, budget, keep):
    sent, selection = chosen("rediprune", budget)
    features = explained()[2].vision.features
    tokens = features.flatten(0, 1)[None] if budget == "shared" else features
    groups, size = tokens.shape[:2]
    kept = selection.at(7).kept(keep)
    far = distances(tokens)
    inside = torch.zeros(groups * size, dtype=torch.bool)
    inside[kept] = True
    far = far.masked_fill(~inside.view(groups, 1, size), math.inf)
    nearest, who = far.min(dim=-1)
    who = who + torch.arange(groups)[:, None] * size
    dropped = ~inside
    found = worked_out(
        blank,
        sent,
        f"const picks = computePicks(run, {{keep: {keep}, weight: {WEIGHTS[7]}}});"
        "const made = run.frames.map((_, t) => findStandIns(run, picks, t));"
        "return Array.from({length: run.all}, (_, i) => {"
        " const m = made[Math.floor(i / run.n)]; return [m.token[i], m.distance[i]]; });",
    )
    assert [i for i, (w, _) in enumerate(found) if w < 0] == kept.tolist()
    far_found = torch.tensor([d for w, d in found if w >= 0])
    assert torch.equal(far_found.float(), nearest.flatten()[dropped])
    assert [w for w, _ in found if w >= 0] == who.flatten()[dropped].tolist()


@pytest.mark.parametrize("budget", ["frame", "shared"])
@pytest.mark.parametrize("w", [0, 7, W - 1])
def test_every_pick_has_the_librarys_numbers_and_its_runner_up_the_next_best_score(blank, budget, w):
    sent, selection = chosen("rediprune", budget)
    one, alpha = selection.at(w), alpha_from_weight(WEIGHTS[w])
    groups, size = one.order.shape
    found = worked_out(
        blank,
        sent,
        "return run.counts.map((count, g) => Array.from({length: count}, (_, i) => "
        f"pickAt(run, {w}, g, i + 1)));",
    )
    features = explained()[2].vision.features
    between = distances(features.flatten(0, 1)[None] if budget == "shared" else features)
    relevance = one.relevance.reshape(groups, size)
    for g in range(groups):
        base, order = g * size, one.order[g]
        for step, made in enumerate(found[g]):
            assert made["token"] - base == order[step]
            assert made["score"] == one.score[g, step].item()
            assert made["relevance"] == relevance[g, order[step]].item()
            waiting, earlier = order[step + 1 :], order[:step]
            if step:
                assert made["distance"] == one.distance[g, step].item()
            if not len(waiting):
                assert made["runnerUp"] is None
                continue
            scores = relevance[g, waiting].clone()
            if step and math.isfinite(alpha):
                nearest = between[g][waiting][:, earlier].amin(-1)
                scores = alpha * scores + nearest
                here = between[g][order[step], earlier]
                assert made["nearestEarlier"] - base in earlier[here == here.min()].tolist()
            assert made["runnerUp"]["score"] == pytest.approx(scores.max().item(), abs=1e-6)
            assert scores[waiting == made["runnerUp"]["token"] - base].item() == pytest.approx(
                scores.max().item(), abs=1e-6
            )
            assert made["runnerUp"]["score"] <= made["score"] + 1e-6


@pytest.mark.parametrize("method", [name for name in METHODS if name in explained()[0].methods])
def test_every_method_says_why_in_words_and_never_what_it_did_not_measure(blank, method):
    sent, selection = chosen(method)
    lines = worked_out(
        blank,
        sent,
        "return [1, 2, run.counts[0]].map((i) => "
        "describePick(run, pickAt(run, 7, 0, i), 9, (flat) => placeName(run, flat, 0)));",
    )
    for count, said in zip((1, 2, tiny.N), lines, strict=True):
        assert said[0].startswith(f"Pick {count} of 9: row ")
        text = " ".join(said)
        assert "NaN" not in text and "null" not in text and "undefined" not in text
        if selection.score is None:
            assert said[1:] == ["This method measures no score."]
        else:
            assert f"{selection.score[7, 0, count - 1]:.3f}" in text
    if method == "rediprune":
        assert "0.50 × relevance" in lines[1][1] and "Runner-up: row" in lines[1][-1]


def test_a_step_shows_the_first_picks_of_its_group_alone(blank):
    sent, selection = chosen()
    found = worked_out(
        blank,
        sent,
        "const picks = computePicks(run, {keep: .5, weight: 1/3}, null, {group: 1, count: 4});"
        "return Array.from({length: run.all}, (_, i) => i).filter(picks.inside);",
    )
    order = selection.at(WEIGHTS.index(1 / 3)).order
    half = [order[g, : tiny.N // 2] + g * tiny.N for g in (0, 2)]
    assert found == torch.cat([half[0], order[1, :4] + tiny.N, half[1]]).sort().values.tolist()


def test_the_histogram_counts_as_numpy_does(blank):
    sent, selection = chosen()
    values = selection.relevance[0].numpy()
    counts = worked_out(
        blank,
        sent,
        "const first = run.relevance.subarray(0, run.n); return histogram(first, finiteRange(first), 24);",
    )
    assert sum(counts) == tiny.N
    assert counts == np.histogram(values.astype(np.float64), 24)[0].tolist()


def test_a_lasso_takes_the_patches_whose_middle_it_holds(blank):
    found = worked_out(
        blank,
        chosen()[0],
        """const side = [0, 1, 2, 3].map((i) => [i * 10, i * 10 + 10]);
        const layers = { x: side, y: side, cols: 4, n: 16 };
        return cellsInLasso(layers, [[2, 2], [28, 2], [28, 12], [2, 12]]);""",
    )
    assert found == [0, 1, 2]


def test_the_evidence_is_sent_as_it_is_and_many_distances_only_when_asked_for(monkeypatch):
    sent, selection = chosen()
    _, shown, look = explained()
    assert len(sent["between"]) == 4 * math.ceil(4 * 3 * tiny.N * (tiny.N - 1) / 2 / 3)
    assert evidence.count_pairs(look.vision, "frame") == 3 * tiny.N * (tiny.N - 1) // 2
    assert evidence.count_pairs(look.vision, "shared") == 3 * tiny.N * (3 * tiny.N - 1) // 2
    monkeypatch.setattr(explorer, "MOST_SENT", 0)
    assert explorer.explorer_payload(shown, look.vision, selection, None, "", "", {})["between"] == ""
