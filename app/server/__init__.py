"""Protect the page from its callers: set the limits that Gradio 6.31 leaves open.

    sessions       what the server keeps for each visitor
    refusals       every failure becomes one sentence for the caller and one line in the log
    waiting        who waits, at which place, for how long; what a full queue says
    departures     whether the caller of an endpoint is still there
    hosts          whose requests are taken: Host and Origin
    closed_routes  which routes of Gradio are not served, as they would fill the disk
    uploads        how much and how many files a visitor may bring
    fetching       how large and how slow a file behind an address may be

`protect` puts the limits of a built page in place, and of what it fetches; `middleware` gives the page's
launch those of its requests.
"""

from __future__ import annotations

import gradio as gr
from starlette.middleware import Middleware

from .closed_routes import ClosedRoutes
from .fetching import bound_fetches
from .hosts import HostCheck, HostRules
from .refusals import FailedRequests, refuse_in_sentences
from .sessions import bound_sessions
from .uploads import RequestLimits
from .waiting import PlaceRoute, answer_when_full

__all__ = ["HostRules", "middleware", "protect"]


def protect(demo: gr.Blocks) -> gr.Blocks:
    """Return the page after its limits were put in place; it must be queued already and not yet launched."""
    bound_sessions(demo)
    refuse_in_sentences(demo)
    answer_when_full(demo)
    bound_fetches()
    return demo


def middleware(rules: HostRules) -> list[Middleware]:
    """Return what every request passes before it reaches the page, outermost first."""
    return [
        Middleware(HostCheck, rules=rules),
        Middleware(ClosedRoutes),
        Middleware(FailedRequests),
        Middleware(RequestLimits),
        Middleware(PlaceRoute),
    ]
