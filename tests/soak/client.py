"""Visit the page without a browser: send the requests of the page's own scripts over plain HTTP."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from gradio_client.utils import apply_diff

SLIDERS = {"keep": 0.15, "weight": 1 / 3}
RULE = ["rediprune", "prompt-tail", "frame"]  # method, query, budget, as every request ends
PATIENCE = httpx.Timeout(120, connect=30)


class RefusedError(Exception):
    """Report, in the server's words, a request that it did not take or that ended with an error."""


@dataclass
class PageSchema:
    """Hold number and outputs of the page's events, by name, as its /config lists them."""

    events: dict[str, int]
    outputs: dict[str, list[str]]

    @classmethod
    async def read(cls, http: httpx.AsyncClient) -> PageSchema:
        """Fetch /config once; a visitor's browser does so too."""
        config = (await http.get("config")).raise_for_status().json()
        names = {
            one["id"]: (one["props"] or {}).get("elem_id") or one["type"] for one in config["components"]
        }
        events = {str(one["api_name"]): one["id"] for one in config["dependencies"]}
        outputs = {
            str(one["api_name"]): [str(names[output]) for output in one["outputs"]]
            for one in config["dependencies"]
        }
        return cls(events, outputs)


@dataclass
class HttpVisitor:
    """Hold one open page: a session of its own, its tickets, and what the page would show.

    Attributes:
        http: a client whose base_url is the page's address.
        schema: the schema of that page.
        session, who: names of the session and of the visitor.
        ticket: number of the newest request.
        shows: what the newest cards say they belong to; it goes along with every request, as in the browser.
        values: the newest value of every output, by its element's id.
    """

    http: httpx.AsyncClient
    schema: PageSchema
    session: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    who: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    ticket: int = 0
    shows: object = None
    values: dict[str, object] = field(default_factory=dict)

    async def ask(self, question: str) -> dict:
        """Ask about the picture that the page shows; return the finished cards."""
        return await self._finish_answer("ask", [question, None, self._sliders(), *RULE])

    async def pick(self, seed: int, clip: bool = False, typed: str = "") -> dict:
        """Click an example, or type its number; return the finished cards."""
        data = [typed, None, self._sliders(), *RULE]
        return await self._finish_answer("pick", data, {"seed": seed, "clip": clip})

    async def slide(self, keep: float, weight: float) -> dict:
        """Release a slider; return the finished cards."""
        return await self._finish_answer("again", [None, self._sliders(keep, weight)])

    async def give(self, file: Path, typed: str = "") -> dict:
        """Upload a picture and show it; return the finished cards."""
        path = await self.upload(file)
        given = {"path": path, "meta": {"_type": "gradio.FileData"}}
        return await self._finish_answer("give", [given, 8, typed, None, self._sliders(), *RULE])

    async def upload(self, file: Path) -> str:
        """Send a file to the page; return the path that the server names it by."""
        reply = await self.http.post("gradio_api/upload", files={"files": (file.name, file.read_bytes())})
        if reply.status_code != 200:
            raise RefusedError(f"{reply.status_code} {reply.text[:300]}")
        return reply.json()[0]

    async def call(self, name: str, data: list, event_data: dict | None = None) -> dict[str, object]:
        """Run one event of the page to its end; return its last outputs by their elements' ids."""
        rounds = [values async for values in self.stream(name, data, event_data)]
        return rounds[-1] if rounds else {}

    async def stream(
        self, name: str, data: list, event_data: dict | None = None
    ) -> AsyncIterator[dict[str, object]]:
        """Yield an event's outputs as they come, by their elements' ids; skipped ones keep their value."""
        number = self.schema.events[name]
        body = {"data": data, "fn_index": number, "session_hash": self.session, "event_data": event_data}
        joined = await self.http.post("gradio_api/queue/join", json=body)
        if joined.status_code != 200:
            raise RefusedError(f"{joined.status_code} {joined.text[:300]}")
        event = joined.json()["event_id"]
        rows: list = []
        path = f"gradio_api/queue/data?session_hash={self.session}"
        async with self.http.stream("GET", path) as lines:
            async for line in lines.aiter_lines():
                if not line.startswith("data:"):
                    continue
                news = json.loads(line[5:])
                if news.get("event_id") not in (event, None):
                    continue
                if news["msg"] in ("process_generating", "process_completed"):
                    if not news["success"]:
                        raise RefusedError(str((news["output"] or {}).get("error")))
                    rows = self._merge_message(rows, news["output"].get("data") or [], news["msg"])
                    yield self._keep(name, rows)
                if news["msg"] in ("process_completed", "close_stream", "unexpected_error"):
                    if news["msg"] == "unexpected_error":
                        raise RefusedError(str(news.get("message")))
                    return

    def _merge_message(self, rows: list, data: list, kind: str) -> list:
        """Merge a message into the outputs: the first message is whole, later ones are differences."""
        if not rows or kind == "process_completed":
            return data or rows
        return [apply_diff(row, change) for row, change in zip(rows, data, strict=True)]

    def _keep(self, name: str, rows: list) -> dict[str, object]:
        """Remember the newest values; an update without a value leaves what was there."""
        for element, value in zip(self.schema.outputs[name], rows, strict=False):
            if not (isinstance(value, dict) and value.get("__type__") == "update"):
                self.values[element] = value
            elif "value" in value:
                self.values[element] = value["value"]
        return dict(self.values)

    async def _finish_answer(self, name: str, data: list, event_data: dict | None = None) -> dict:
        cards: dict = {}
        self.ticket += 1
        for part in data:
            if isinstance(part, dict) and "keep" in part:
                part |= {"ticket": self.ticket, "shows": self.shows, "who": self.who}
        async for values in self.stream(name, data, event_data):
            answers = values.get("rp-answers")
            if isinstance(answers, dict) and answers.get("ticket") == self.ticket and "full" in answers:
                cards = answers
                self.shows = answers.get("shows")
        if not cards or cards["busy"]:
            notice = self.values.get("rp-notice")
            raise RefusedError(str(notice.get("text") if isinstance(notice, dict) else notice))
        return cards

    @staticmethod
    def _sliders(keep: float = SLIDERS["keep"], weight: float = SLIDERS["weight"]) -> dict:
        return {"keep": keep, "weight": weight}


async def time_request(work) -> tuple[float, object]:
    """Await `work`; return its seconds and its result, or the exception that ended it."""
    began = time.perf_counter()
    try:
        result: object = await work
    except (RefusedError, httpx.HTTPError) as error:
        result = error
    return time.perf_counter() - began, result


async def crowd(address: str, visitors: int, seeds: list[int]) -> list[tuple[float, object]]:
    """Let that many visitors pick a scene each at one moment; return each one's seconds and cards."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=visitors)
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE, limits=limits) as http:
        schema = await PageSchema.read(http)
        crowd = [HttpVisitor(http, schema) for _ in range(visitors)]
        return await asyncio.gather(
            *(time_request(one.pick(seed)) for one, seed in zip(crowd, seeds, strict=True))
        )
