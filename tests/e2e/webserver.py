"""A mirror on loopback that breaks downloads off when it is told to, and goes on with them."""

from __future__ import annotations

import contextlib
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path


@dataclass
class Mirror:
    """A web server of ``root`` at ``address``. Of files whose names end with ``cut`` it sends half
    of what was asked for and closes; ``asked`` are the paths, ``resumed`` those asked for in part.
    """

    root: Path
    address: str = ""
    cut: str | None = None
    asked: list[str] = field(default_factory=list)
    resumed: list[str] = field(default_factory=list)


@contextlib.contextmanager
def serving(root: Path) -> Iterator[Mirror]:
    """A mirror on a port of its own, while it is used."""
    mirror = Mirror(root)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            mirror.asked.append(self.path)
            file = root / self.path.partition("?")[0].lstrip("/")
            part = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            cut = mirror.cut is not None and self.path.endswith(mirror.cut)
            if not file.is_file() or not (part or cut):
                super().do_GET()
                return
            whole = file.read_bytes()
            first = int(part[1]) if part else 0
            data = whole[first:]
            self.send_response(206 if part else 200)
            if part:
                mirror.resumed.append(self.path)
                self.send_header("Content-Range", f"bytes {first}-{len(whole) - 1}/{len(whole)}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if cut else data)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = partial(Handler, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        mirror.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield mirror
        finally:
            server.shutdown()
            thread.join()
