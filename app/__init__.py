"""The page: a thin Gradio skin over `rediprune`.

Read ui, layout, wiring, then handlers, answering, picture, then the web files.
"""
