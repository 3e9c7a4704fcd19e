"""Report a run of the answer command as text."""

from __future__ import annotations

from ..costs.stopwatch import Timing, find_doubt
from ..trace import Trace


def report(trace: Trace, timings: dict[str, Timing], knows: str = "") -> str:
    """Return the run as text: answers, kept tokens, estimates, measurements, agreement, notes."""
    s = trace.savings
    a = trace.agreement
    on_full = (a.full_on_full, a.pruned_on_full)
    on_pruned = (a.full_on_pruned, a.pruned_on_pruned)
    n = s.n_visual_full
    k = s.n_visual_pruned
    mib = 2**20
    lines = [
        f"Question        {trace.question}",
        f"All {n:<11} {trace.full.text or '(no words)'}",
        f"Kept {k:<10} {trace.pruned.text or '(no words)'}",
        "",
        f"Kept {k} of {n} tokens{_kept_per_frame(trace)}: {trace.config.rule}",
        "",
        "Estimated from the model's shapes (1 multiply-add = 2 FLOPs), full / pruned:",
        f"  visual tokens only, the papers' formula   {s.visual_only:6.2f}x",
        f"  LLM prefill with its text                 {s.prefill:6.2f}x",
        f"  end to end, encoder and decoding too      {s.end_to_end:6.2f}x   "
        f"{_si(s.full.total)}FLOP -> {_si(s.pruned.total)}FLOP",
        f"  KV cache after prefill                    {s.kv_bytes_full / s.kv_bytes_pruned:6.2f}x   "
        f"{s.kv_bytes_full / mib:.2f} MiB -> {s.kv_bytes_pruned / mib:.2f} MiB",
    ]
    if timings:
        full = timings["full"]
        pruned = timings["pruned"]
        parts = (("prefill", "prefill"), ("per token", "per_token"))
        runs = f"median of {full.repeats} after {full.warmup} warm-up, taken in turns (fastest..slowest)"
        lines += [
            "",
            f"Measured on {full.device}, {runs}:",
            *(f"  {name:<11} {_spread(full, part)} -> {_spread(pruned, part)}" for name, part in parts),
        ]
        if why := find_doubt(full, pruned, s.prefill):
            lines.append(f"  Not reliable: {why}. The machine was busy: measure again when it is idle.")
    lines += [
        "",
        "Agreement, log-probability in nats (0 is certain) full model   pruned model",
        f"  of the full model's answer                      {on_full[0]:11.3f} {on_full[1]:14.3f}",
        f"  of the pruned model's answer                    {on_pruned[0]:11.3f} {on_pruned[1]:14.3f}",
        f"  KL divergence of the first answer token         {a.kl_first:11.3f}",
        f"  {'Both answers read the same.' if a.same_text else 'The answers differ.'}",
    ]
    notes = [*trace.notes, *([f"What this model knows: {knows}"] if knows else [])]
    return "\n".join([*lines, *([""] if notes else []), *(f"Note: {note}" for note in notes)])


def _kept_per_frame(trace: Trace) -> str:
    """Return the number of kept tokens of every frame or tile; empty if there is only one."""
    counts = [len(mine) for mine in trace.vision.per_frame(trace.kept)]
    return f" ({' + '.join(map(str, counts))})" if len(counts) > 1 else ""


def _spread(timing: Timing, part: str) -> str:
    """Return a median and its range, in milliseconds."""
    low, high = getattr(timing, f"{part}_spread")
    return f"{getattr(timing, part) * 1e3:.1f} ms ({low * 1e3:.1f}..{high * 1e3:.1f})"


def _si(flops: float) -> str:
    """Return a number with its SI prefix, three digits; the unit is put behind it."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if flops >= size:
            return f"{flops / size:.3g} {unit}"
    return f"{flops:.0f} "
