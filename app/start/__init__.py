"""Start and end of the page's process: what is checked before the model is loaded, and what is left behind.

Nothing here imports Gradio, which reads where files go when it is first imported.
"""
