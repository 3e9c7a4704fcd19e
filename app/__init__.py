"""The page: a thin Gradio skin over `rediprune`. Reading order: ui (layout, wiring), handlers, views, the web files."""
