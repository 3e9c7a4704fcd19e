"""Start and end the page's process: checks before the model is loaded, and the removal of visitors' files.

Nothing here imports Gradio, which reads where files go when it is first imported.
"""
