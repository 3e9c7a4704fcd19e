"""Serve a Hugging Face hub of one repository on 127.0.0.1, for the real huggingface_hub client."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

NAME, COMMIT = "owner/tiny", "c0ffee" + 34 * "0"


class FakeHub:
    """Serve `files` (path -> bytes) as NAME.

    Attributes:
        asked: every "METHOD path" that came in.
        gated: files are refused, as the hub refuses them before its terms are accepted.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.asked, self.gated = files, [], False

    @classmethod
    def of(cls, folder: Path) -> FakeHub:
        """Serve the files of a folder."""
        return cls({path.name: path.read_bytes() for path in folder.iterdir()})

    def fetched(self) -> set[str]:
        """Return the names of the files whose content was asked for."""
        return {
            line.rsplit("/", 1)[1] for line in self.asked if line.startswith("GET") and "/resolve/" in line
        }

    @contextmanager
    def running(self, cache: Path) -> Iterator[FakeHub]:
        """Run the server; inside, the client is online, knows only this hub and keeps files in `cache`."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = unquote(urlsplit(self.path).path)
                hub.asked.append(f"{self.command} {path}")
                status, headers, body = hub.answer(path)
                self.send_response(status)
                for key, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(key, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(constants, "HF_HUB_OFFLINE", False)
                patch.setattr(constants, "ENDPOINT", url)
                template = constants.HUGGINGFACE_CO_URL_TEMPLATE
                patch.setattr(
                    constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + template[template.index("/{") :]
                )
                patch.setattr(constants, "HF_HUB_CACHE", str(cache))
                yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Return (status, headers, body) for a path of the hub's API."""
        if path == f"/api/models/{NAME}/revision/main":
            return self._json({"id": NAME, "sha": COMMIT, "siblings": []})
        if path == f"/api/models/{NAME}/tree/{COMMIT}":
            return self._json(
                [
                    {"type": "file", "path": name, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}
                    for name, body in self.files.items()
                ]
            )
        name = path.removeprefix(f"/{NAME}/resolve/{COMMIT}/")
        if name == path:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        if self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        if name not in self.files:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        body = self.files[name]
        etag = hashlib.sha1(body).hexdigest()
        return 200, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, body

    @staticmethod
    def _json(value: object) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()
