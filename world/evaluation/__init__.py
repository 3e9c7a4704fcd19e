"""Measure accuracy, pointing and overlap of every method on held-out questions."""
