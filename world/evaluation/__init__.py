"""Measure accuracy, pointing and token overlap of every selection method on held-out questions."""
