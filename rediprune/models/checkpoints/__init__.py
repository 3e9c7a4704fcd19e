"""Get a model: the catalog of public checkpoints, memory estimates, download and loading."""
