"""Export the rendered world for other programs: an lmms-eval task, and pictures for `rediprune check`."""
