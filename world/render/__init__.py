"""Render scenes and clips with their ground truth from a seed."""
