"""The server's log on standard error: lines for people or JSON objects, never a prompt unasked."""

from __future__ import annotations

import json
import sys
import time
import traceback
from datetime import datetime, timezone
from typing import Any, TextIO


class Log:
    """``form`` is text or json; ``prompts`` allows what users said and were told."""

    def __init__(self, form: str, *, prompts: bool = False, out: TextIO | None = None) -> None:
        self.prompts = prompts
        self._json = form == "json"
        self._out = out or sys.stderr
        self._begin = time.monotonic()

    def uptime(self) -> float:
        """Seconds since the log was opened."""
        return time.monotonic() - self._begin

    def event(self, message: str, **values: Any) -> None:
        """One line."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        if self._json:
            line = json.dumps({"time": now, "message": message, **values}, ensure_ascii=False)
        else:
            told = "".join(f" {name}={_plain(value)}" for name, value in values.items())
            line = f"{now} {message}{told}"
        self._out.write(line + "\n")
        self._out.flush()

    def access(self, scope: Any, status: int, seconds: float) -> None:
        """One request: no query, no body, no header but the key's owner."""
        client = scope.get("client") or ("-", 0)
        values = {
            "client": client[0],
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "seconds": round(seconds, 4),
        }
        owner = scope.get("state", {}).get("owner")
        if owner is not None:
            values["key"] = owner
        self.event("request", **values)

    def said(self, **values: Any) -> None:
        """Prompt and answer, only where the operator asked for it."""
        if self.prompts:
            self.event("said", **values)

    def exception(self, message: str, request: Any, error: BaseException) -> None:
        """A fault of ours, with its trace and without what the client sent."""
        trace = "".join(traceback.format_exception(error))
        self.event(message, path=request.url.path, trace=trace)


def _plain(value: Any) -> str:
    text = str(value)
    # A path with a line end in it must not make a line of its own.
    return text if text.isprintable() and " " not in text else json.dumps(text)
