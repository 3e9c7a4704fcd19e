"""Build the page: layout, events, and how web files become Gradio components."""
