"""A hub on 127.0.0.1 that speaks three dialects and misbehaves on request.

Hugging Face's API under /api/models and /<id>/resolve, ModelScope's under /api/v1/models, a plain
mirror under /mirror. ``script[path]`` is a list of faults, one for each successive GET of that file
(the last stays if it says ``always``); without one, the answer is correct, Range and If-Range
included.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    file: str | None
    headers: Message
    at: float


@dataclass
class FakeHub:
    models: dict[str, dict[str, bytes]]
    token: str | None = None
    lists_sums: bool = True
    heads: bool = True
    etags: bool = True
    listing_faults: list[dict[str, Any]] = field(default_factory=list)
    claims: dict[str, int] = field(default_factory=dict)  # path -> size in the listing
    script: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    version: str = "v1"
    seen: list[Seen] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> FakeHub:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.hub = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.server.shutdown()
        self.server.server_close()

    def endpoint(self, kind: str) -> str:
        return self.url + ("/mirror" if kind == "mirror" else "")

    def gets(self, file: str) -> list[Seen]:
        return [s for s in self.seen if s.file == file and s.method == "GET"]

    def fault(self, file: str) -> dict[str, Any]:
        faults = self.script[file]
        if not faults:
            return {}
        return faults[0] if faults[0].get("always") else faults.pop(0)


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are written apart

    @property
    def hub(self) -> FakeHub:
        return self.server.hub  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # clients of these tests hang up on purpose
            super().handle()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        model, file = self.route(path, query)
        self.hub.seen.append(Seen(self.command, self.path, file, self.headers, time.monotonic()))
        if self.command == "HEAD" and not self.hub.heads:
            return self.say(405)
        if file is None and self.hub.listing_faults:
            fault = self.hub.listing_faults.pop(0)
            if "body" in fault:
                return self.say(200, fault["body"].encode())
            return self.say(fault["status"], headers=fault.get("headers", {}))
        if model not in self.hub.models:
            return self.missing()
        if file is None:
            return self.say(200, json.dumps(self.listing(path, model)).encode())
        return self.file(model, file)

    def route(self, path: str, query: dict[str, list[str]]) -> tuple[str, str | None]:
        """The model and file that a path means; no file for a listing."""
        words = path.strip("/").split("/")
        if words[:3] == ["api", "v1", "models"]:
            return "/".join(words[3:5]), query.get("FilePath", [None])[0]
        if words[:2] == ["api", "models"]:
            return "/".join(words[2:4]), None
        if words[0] == "mirror":
            known = [m for m in self.hub.models if path.startswith(f"/mirror/{m}/")]
            return (known[0], path[len(f"/mirror/{known[0]}/") :]) if known else ("", "?")
        if "resolve" in words:
            return "/".join(words[:2]), "/".join(words[4:])
        return "", "?"

    def missing(self) -> None:
        self.say(404, headers={"X-Error-Code": "RepoNotFound"})

    def listing(self, path: str, model: str) -> dict[str, Any]:
        files = self.hub.models[model]
        if path.startswith("/api/v1/"):
            entries: list[dict[str, Any]] = [{"Path": "sub", "Type": "tree", "Size": 0}]
            entries += [
                {
                    "Name": name.split("/")[-1],
                    "Path": name,
                    "Type": "blob",
                    "Size": self.hub.claims.get(name, len(data)),
                    "Sha256": hashlib.sha256(data).hexdigest(),
                    "IsLFS": len(data) > 5000,
                }
                for name, data in files.items()
            ]
            return {"Code": 200, "Success": True, "Message": "", "Data": {"Files": entries}}
        siblings = []
        for name, data in files.items():
            size = self.hub.claims.get(name, len(data))
            entry: dict[str, Any] = {"rfilename": name, "size": size, "blobId": git_sha1(data)}
            if len(data) > 5000:
                entry["blobId"] = "f" * 40  # of the pointer
                digest = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"sha256": digest, "size": size, "pointerSize": 134}
            siblings.append(entry)
        return {"id": model, "modelId": model, "sha": COMMIT, "siblings": siblings, "tags": []}

    def file(self, model: str, name: str) -> None:
        files = self.hub.models[model]
        if name == "SHA256SUMS" and self.hub.lists_sums and name not in files:
            sums = [f"{hashlib.sha256(d).hexdigest()}  {n}\n" for n, d in files.items()]
            return self.say(200, "".join(sums).encode())
        if name not in files:
            return self.missing()
        sent = self.headers.get("Authorization")
        if self.hub.token and sent != f"Bearer {self.hub.token}":
            return self.say(403 if sent else 401, headers={"X-Error-Code": "GatedRepo"})
        fault = {} if self.command == "HEAD" else self.hub.fault(name)
        if "status" in fault:
            return self.say(fault["status"], headers=fault.get("headers", {}))
        if "redirect" in fault:
            return self.say(302, headers={"Location": fault["redirect"] + self.path})
        return self.body(name, files[name], fault)

    def body(self, name: str, data: bytes, fault: dict[str, Any]) -> None:
        kind, after = fault.get("fault"), fault.get("after", 0)
        etag = f'"{self.hub.version}-{name}"'
        total, start, status = len(data), 0, 200
        wanted = self.headers.get("Range")
        guard = self.headers.get("If-Range")
        if wanted and kind != "ignore_range" and (guard in (None, etag) or kind == "ignore_if"):
            start, status = int(wanted.removeprefix("bytes=").rstrip("-")), 206
            if start >= total:
                self.say(416, headers={"Content-Range": f"bytes */{total}"})
                return
        body = bytearray(data[start:])
        headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Length": str(len(body))}
        if not self.hub.etags:
            del headers["ETag"]
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        if kind == "wrong_range":
            headers["Content-Range"] = f"bytes {start - 1}-{total - 2}/{total}"
        elif kind == "wrong_total":
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total + 1}"
        elif kind == "no_range":
            headers.pop("Content-Range", None)
        elif kind == "part_as_200":
            status = 200
        elif kind == "flip":
            body[fault["at"] - start] ^= 1
        elif kind == "length":
            headers["Content-Length"] = str(len(body) + fault["by"])
            body = body[: len(body) + fault["by"]]
        elif kind == "more":
            del headers["Content-Length"]
            body += b"x"
        elif kind == "gzip":
            headers["Content-Encoding"] = "gzip"
        elif kind == "untold":
            del headers["Content-Length"]
            body = body[:after]
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if kind == "drip":
            for i in range(len(body)):
                if self.hub.stop.wait(0.02):
                    break
                self.wfile.write(body[i : i + 1])
        elif kind == "slow":
            for i in range(0, len(body), 2000):
                self.wfile.write(body[i : i + 2000])
                if self.hub.stop.wait(0.02):
                    break
        else:
            self.wfile.write(body[:after] if kind in ("drop", "stall") else body)
        if kind == "stall":
            self.hub.stop.wait(3)
        if kind in ("drop", "stall", "length", "untold", "more"):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def say(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
