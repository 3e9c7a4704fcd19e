"""The page's work for programs: endpoints for gradio_client and curl; with --mcp, tools for language models.

    endpoints    the functions below as endpoints of the page, with types, defaults and words
    parameters   what goes into them, each said once
    dials        what was given -> what is shown to the model, and the PruneConfig; refused early
    answer, select, overlay, sweep, about      one endpoint each: (desk, what was given) -> plain data

They keep no state and work with the model that is open. What cannot be used is refused in one sentence.
"""

from .endpoints import offer

__all__ = ["offer"]
