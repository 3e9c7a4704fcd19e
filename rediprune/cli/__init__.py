"""The commands of `python -m rediprune`, one file each.

Every one of them has `add(commands)`, which declares its arguments, and `run(args)`, which carries it out and
returns the exit code. What needs a model is imported where it is used: a mistyped path is refused at once.
"""
