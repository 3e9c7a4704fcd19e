"""Prune inside `model.generate`: the prune block, the patch it puts on the model, and its report."""
