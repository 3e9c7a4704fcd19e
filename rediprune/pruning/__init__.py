"""Prune inside `model.generate`: the block, what it puts on the model, and its report."""
