"""Do the page's work for programs: endpoints for gradio_client and curl; with --mcp, tools for LLMs.

    endpoints    the functions below as endpoints of the page, with types, defaults and words
    parameters   what goes into them, each said once
    arguments    the arguments of an endpoint -> media and a PruneConfig; refused early
    fetch        files by their addresses
    mcp          the endpoints as tools for language models
    answer, select, overlay, sweep, about      one endpoint each: (state, arguments) -> plain data

They keep no state and work with the model that is open. What cannot be used is refused in one sentence.
"""

from .endpoints import add_endpoints

__all__ = ["add_endpoints"]
