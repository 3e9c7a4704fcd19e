"""The page: a thin Gradio skin over `rediprune`. Read ui, then handlers, then views, then the web files."""
