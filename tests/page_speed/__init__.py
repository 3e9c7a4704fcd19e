"""Measure how long the page takes from an input event to the painted frame: `python -m tests.page_speed`.

docs/speed-of-the-page.md says what is measured and holds the table that this writes. No model is measured:
the page is the real one, and its explorer shows made-up tokens that reach it in the real message. The package
stands beside the tests because it drives the page as they do, with their browser, and with their tiny model
behind the parts that are not measured.
"""
