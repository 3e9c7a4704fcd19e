"""`python -m rediprune bench`: what pruning costs and saves, measured on the machine at hand.

The reading order:

    machine       what it runs on
    record        one measured figure, one estimate, and the file that keeps them
    published     the published per-frame loop, transcribed from its description, to measure against
    selection     part 1: choosing tokens, against that loop and against the floor
    models        part 2: prefill, decode and memory at true shapes
    large         part 2 again, with models of 7B, where there is room for them
    answers       what part 2 says: tables of prompts that are read and of whole answers
    encoder       part 2, in front of pruning: what is free there
    standins      what a model that knows nothing is given
    memory        bytes that a call needs and a cache holds, counted
    conventions   part 3: what "6x less" means under four ways of counting; arithmetic, nothing is timed
    chart         small line charts as SVG
    report        the tables and charts of docs/speed.md, from the file alone

A part is a module, named in PARTS, with three functions: `measure(device, quick)` yields its figures and
estimates as they are made; `tables(run)` makes the page's tables of them, as Markdown by the name of the mark
that each stands between, and `figures(run)` its charts, as SVG by file name.
"""

# Name of a part, as records and the command line know it -> the module that measures it.
PARTS = {
    "selection": "selection",
    "models": "models",
    "large": "models_7b",
    "encoder": "encoder",
    "conventions": "flops_conventions",
}
