"""Hold the commands of `python -m rediprune`, one file each.

Each has `add(commands)`, which declares its arguments, and `run(args)`, which runs it and returns the exit
code. Modules that need a model are imported where they are used, so that a mistyped path is refused at once.
"""
