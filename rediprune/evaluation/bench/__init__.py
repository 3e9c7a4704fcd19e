"""Measure what pruning costs and saves on the machine at hand: `python -m rediprune bench`.

The reading order:

    machine             the machine that is measured
    record              one measured figure, one estimate, and the file that keeps them
    published           the published per-frame loop, written from its description, to measure against
    selection           part 1: choosing tokens, against that loop and against the floor
    models              part 2: prefill, decode and memory at true shapes
    models_7b           part 2 again, with models of 7B, where there is memory for them
    answer_tables       the tables of part 2: prompts that are read, and whole answers
    encoder             part 2, in front of pruning: what is free there
    dummy_inputs        noise for pixels, a prompt of any words, tiny shapes
    memory              counted bytes: what a call needs and what a cache holds
    flops_conventions   part 3: what "6x less" means under four ways of counting; arithmetic, nothing is timed
    chart               small line charts as SVG
    report              the tables and charts of docs/speed.md, from the file alone

A part is a module named in PARTS with three functions: `measure(device, quick)` yields its figures and
estimates as they are made, `tables(run)` returns its tables as Markdown by the name of the mark that each
stands between, and `figures(run)` returns its charts as SVG by file name.
"""

# Name of a part, as records and the command line know it -> the module that measures it.
PARTS = {
    "selection": "selection",
    "models": "models",
    "large": "models_7b",
    "encoder": "encoder",
    "conventions": "flops_conventions",
}
