"""A Hugging Face Hub on 127.0.0.1, with the part of its HTTP API that downloads use."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(kw_only=True)
class FakeHub:
    """The repositories to serve, and the requests received.

    `claimed_sizes` overrides the sizes listed for files. `refused` files get a 403 response.
    """

    repositories: dict[str, dict[str, bytes]]
    gated: set[str] = field(default_factory=set)
    claimed_sizes: dict[str, int] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    served: list[str] = field(default_factory=list)
    endpoint: str = ""


@contextmanager
def running(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve on a free port; `hub.endpoint` is the URL."""

    class Handler(_Handler):
        served_hub = hub

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    served_hub: FakeHub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.served_hub.requests.append(f"{self.command} {path}")
        words = path.strip("/").split("/")
        if words[:2] == ["api", "models"]:
            self._about("/".join(words[2:4]), words[4:])
        else:
            self._file("/".join(words[:2]), "/".join(words[4:]))

    def _about(self, repo_id: str, rest: list[str]) -> None:
        hub = self.served_hub
        if repo_id in hub.gated:
            self._fail(403, "GatedRepo")
        elif repo_id not in hub.repositories:
            self._fail(404, "RepoNotFound")
        elif rest[:1] == ["revision"] and rest[1] not in ("main", COMMIT):
            self._fail(404, "RevisionNotFound")
        else:
            files = hub.repositories[repo_id]
            sizes = {name: hub.claimed_sizes.get(name, len(data)) for name, data in files.items()}
            self._json(_tree(files) if rest[:1] == ["tree"] else _info(repo_id, sizes))

    def _file(self, repo_id: str, name: str) -> None:
        hub = self.served_hub
        if name not in hub.repositories.get(repo_id, {}):
            self._fail(404, "EntryNotFound")
            return
        if self.command == "GET" and name in hub.refused:
            self._fail(403, "")
            return
        data = hub.repositories[repo_id][name]
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        self._send(200, headers, data)
        if self.command == "GET":
            hub.served.append(name)

    def _json(self, value: object) -> None:
        self._send(200, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _fail(self, status: int, code: str) -> None:
        self._send(status, {"X-Error-Code": code}, b"")

    def _send(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


def _info(repo_id: str, sizes: dict[str, int]) -> dict[str, object]:
    siblings = [{"rfilename": name, "size": size} for name, size in sizes.items()]
    return {"id": repo_id, "sha": COMMIT, "siblings": siblings}


def _tree(files: dict[str, bytes]) -> list[dict[str, object]]:
    return [
        {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
        for name, data in files.items()
    ]
