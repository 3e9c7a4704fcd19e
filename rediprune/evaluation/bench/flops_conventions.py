"""Count part 3: the headline claims ("six times less") under each way of counting FLOPs. Nothing is timed.

The four ways, from the one that flatters most:

    visual       the papers' formula (4nd^2 + 2n^2d + 2ndm multiply-adds a layer) over the visual tokens alone
    prompt       that formula over the whole prompt, text included
    prefill      counted: the LLM over the whole prompt, with all three FFN matrices and the output layer
    end to end   counted: encoder, selection, projector, prefill and decoding; what a user pays

How long the prompts of the benchmarks were when the claims were made is not published. So every claim is
counted for several lengths of text and, for clips, several numbers of frames; and for each way the longest
text with which the claim still holds is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...config import kept_count
from ...costs.estimate import ModelShapes, estimate, visual_only_macs
from ...draw import palette
from ...models import adapter_for
from ...models.checkpoints.catalog import find
from .chart import Curve, Panel, chart
from .record import BenchRun, Case, Estimate

WAY_LABELS = {  # the ways of counting, as tables and chart call them
    "visual": "papers' formula, visual tokens alone",
    "prompt": "papers' formula, whole prompt",
    "prefill": "counted: prefill",
    "end to end": "counted: end to end",
}
WAYS = tuple(WAY_LABELS)
COLOURS = {
    "visual": palette.DROPPED.light,
    "prompt": palette.NEXT_PICK.light,
    "prefill": palette.KEPT.light,
    "end to end": palette.METHODS["diversity"].light,
}
TEXTS = (0, 28, 64, 128, 196, 256)  # tokens; 28 is about the shortest chat prompt with a question
TEXTS_IN_TABLE = (28, 64, 196)  # tokens; EgoSchema's prompts have about 196
LONGEST = 4096  # tokens of text: Vicuna's whole context
N_NEW = 1  # an answer of one letter, which is what saves most end to end


@dataclass(frozen=True)
class Headline:
    """Hold one claim of the paper: `model` at ratio `keep` computes more than `claim` times less.

    Attributes:
        benchmark, model: where it was claimed, and for which checkpoint.
        keep: keep ratio, 0..1.
        claim: FLOPs without pruning over FLOPs with it.
        tokens: N, visual tokens of one frame.
        frames: the numbers of frames T that it is counted for; the first is the published default.
    """

    benchmark: str
    model: str
    keep: float
    claim: int
    tokens: int
    frames: tuple[int, ...] = (1,)


HEADLINES = (
    Headline("EgoSchema", "llava-hf/LLaVA-NeXT-Video-7B-hf", 0.15, 6, 144, (8, 16, 32)),
    Headline("NExT-QA", "llava-hf/LLaVA-NeXT-Video-7B-hf", 0.20, 5, 144, (8, 16, 32)),
    Headline("VQAv2", "llava-hf/llava-1.5-7b-hf", 0.20, 5, 576),
    Headline("ScienceQA-IMG", "llava-hf/llava-1.5-13b-hf", 0.20, 5, 576),
)


def measure(device: str, quick: bool) -> Iterator[Estimate]:
    """Yield the ratios full / pruned (x) of each headline, then the longest texts (tokens) it holds with.

    Where a claim holds with no text at all, there is no estimate of a longest text. All of it is arithmetic,
    so the device does not matter and `quick` leaves nothing out.
    """
    shapes = {name: adapter_for(find(name).on_meta()).shapes() for name in {h.model for h in HEADLINES}}
    for h in HEADLINES:
        for t in h.frames:
            case = {"benchmark": h.benchmark, "T": t, "N": h.tokens, "K": kept_count(h.tokens, h.keep)}
            for text in TEXTS:
                for way in WAYS:
                    value = ratio(way, shapes[h.model], case, text)
                    yield Estimate(way, case | {"L": text}, "x", value, "closed form")
            for way in WAYS:
                holds = find_longest_text(way, shapes[h.model], case, h.claim)
                if holds is not None:
                    found = case | {"claim": h.claim, "way": way}
                    yield Estimate("longest text", found, "tokens", holds, "closed form")


def ratio(way: str, shapes: ModelShapes, case: Case, text: int) -> float:
    """Compute full / pruned with `text` text tokens; `case` holds T, and N and K of one frame."""
    t, n, k = (case[name] for name in "TNK")
    if way in ("visual", "prompt"):
        beside = text if way == "prompt" else 0
        return visual_only_macs(shapes, t * n + beside) / visual_only_macs(shapes, t * k + beside)
    saved = estimate(shapes, t * n, t * k, text, N_NEW, n_frames=t)
    return saved.prefill if way == "prefill" else saved.end_to_end


def find_longest_text(way: str, shapes: ModelShapes, case: Case, claim: float) -> int | None:
    """Find the longest text, up to LONGEST tokens, at which the ratio exceeds `claim`; None if it never does.

    Text is read in both runs, so a longer text always makes the ratio smaller, and the border is bisected.
    """
    if ratio(way, shapes, case, 0) <= claim:
        return None
    low, high = 0, LONGEST + 1
    while high - low > 1:
        middle = (low + high) // 2
        if ratio(way, shapes, case, middle) > claim:
            low = middle
        else:
            high = middle
    return low


def tables(run: BenchRun) -> dict[str, str]:
    """Make the tables of texts with which each claim holds and of ratios at some lengths of text."""
    cases = [one.case for one in run.estimated if one.what == WAYS[0] and one.case["L"] == 0]
    head = f"| claim | frames | {' | '.join(WAY_LABELS.values())} |\n{'|---' * (len(WAYS) + 2)}|"
    holds = [head]
    ratios = [head.replace("frames |", "frames | text |") + "---|"]
    for case in cases:
        h = next(h for h in HEADLINES if h.benchmark == case["benchmark"])
        name = f"{h.benchmark}, {find(h.model).title}, {h.keep:.0%}: > {h.claim}x"
        mine = {key: case[key] for key in ("benchmark", "T")}
        holds.append(
            f"| {name} | {case['T']} | {' | '.join(_describe_longest_text(run, mine, way) for way in WAYS)} |"
        )
        for text in TEXTS_IN_TABLE:
            found = (run.estimate(way, **mine, L=text).value for way in WAYS)
            cells = (f"**{x:.2f}x**" if x > h.claim else f"{x:.2f}x" for x in found)
            ratios.append(f"| {name} | {case['T']} | {text} | {' | '.join(cells)} |")
    return {"claims-table": "\n".join(holds), "claims-ratios-table": "\n".join(ratios)}


def _describe_longest_text(run: BenchRun, case: Case, way: str) -> str:
    """Say in words with which texts a claim holds."""
    found = [one.value for one in run.estimated if one.case.items() >= (case | {"way": way}).items()]
    if not found:
        return "never"
    return "always" if found[0] == LONGEST else f"up to {found[0]:,.0f} tokens of text"


def figures(run: BenchRun) -> dict[str, str]:
    """Draw the ratios over the length of the text as SVG, a panel for each claim."""
    panels = []
    for h in HEADLINES:
        curves = []
        for t in dict.fromkeys((h.frames[0], h.frames[-1])):
            for way in WAYS:
                mine = {"benchmark": h.benchmark, "T": t}
                points = tuple((text, run.estimate(way, **mine, L=text).value) for text in TEXTS)
                curves.append(Curve(points, COLOURS[way], dashed=t != h.frames[0]))
        panels.append(Panel(f"{h.benchmark}, {h.keep:.0%}: > {h.claim}x claimed", tuple(curves), h.claim))
    key = [(WAY_LABELS[way], COLOURS[way]) for way in WAYS]
    note = (
        "Estimated from the models' shapes; an answer of one token. Clips: solid 8 frames, dashed 32. "
        "Dotted: what is claimed. Orange lies under blue where they agree."
    )
    axes = "text tokens in the prompt", "FLOPs without pruning over FLOPs with it"
    return {"claims.svg": chart("How many times less? Four ways of counting", panels, key, note, axes)}
