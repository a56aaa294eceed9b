"""All that decides how a server behaves, from options or a TOML file, checked in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from paddock.errors import UsageError, nearest

STREAM_INTERVAL_MS = 10
"""Nobody sees the difference, and a small model makes dozens of tokens in that time."""


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """How to serve one model.

    ``model`` None is the built-in one; ``name`` is what clients call it. ``options`` go to
    ``LLM.open``. Sizes in bytes, times in seconds. ``max_waiting`` answers may wait beside the
    ``max_batch`` that run; a request beyond that is told to come back (429).
    ``stream_interval_ms``, in milliseconds: what streams hold back at most, so that quick models'
    tokens go out several at a time; None is the server's own choice.
    """

    model: str | None = None
    name: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    api_key_file: Path | None = None
    insecure: bool = False
    max_batch: int = 32
    max_waiting: int = 256
    max_body: int = 4 << 20
    body_timeout: float = 30.0
    request_timeout: float = 600.0
    drain_timeout: float = 300.0
    stream_interval_ms: float | None = None
    cors_origins: tuple[str, ...] = ()
    log_format: str = "text"
    log_prompts: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check("port", self.port, 0 <= self.port <= 65535, "0 (any free one) to 65535")
        for name in ("max_batch", "max_body"):
            _check(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        _check("max_waiting", self.max_waiting, self.max_waiting >= 0, "0 or more")
        for name in ("body_timeout", "request_timeout", "drain_timeout"):
            _check(name, getattr(self, name), getattr(self, name) > 0, "above 0")
        interval = self.stream_interval_ms
        _check(
            "stream_interval_ms", interval, interval is None or 0 <= interval <= 1000, "0 to 1000"
        )
        if interval is not None and self.options.get("runtime") == "vllm":
            raise UsageError(
                "stream_interval_ms is not honoured by the vllm runtime",
                hint="vLLM's own counts tokens: --vllm-arg=--stream-interval --vllm-arg=N",
            )
        _check("log_format", self.log_format, self.log_format in ("text", "json"), "text or json")
        if not self.loopback and self.api_key_file is None and not self.insecure:
            raise UsageError(
                f"{self.host} can be reached from other machines, and no API key is asked for",
                hint="give --api-key-file, or --insecure if the network is trusted",
            )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def stream_interval_s(self) -> float:
        """What streams hold back at most, in seconds."""
        given = self.stream_interval_ms
        return (STREAM_INTERVAL_MS if given is None else given) / 1000

    @property
    def served_name(self) -> str:
        """What clients call the model."""
        return self.name or self.model or "demo"


def from_mapping(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Arguments of ServeConfig from a configuration file's table, checked.

    Keys are spelled with - or _. Raises UsageError for an unknown key or a value of a wrong type,
    naming ``where`` and the nearest key.
    """
    known = {one.name: one for one in fields(ServeConfig)}
    result: dict[str, Any] = {}
    for spelled, value in values.items():
        name = spelled.replace("-", "_")
        if name not in known:
            raise UsageError(f"{where}: unknown key {spelled!r}{nearest(name, known)}")
        result[name] = _typed(name, value, where)
    return result


_TYPES: dict[str, Any] = {
    "model": str, "name": str, "host": str, "api_key_file": str, "log_format": str,
    "port": int, "max_batch": int, "max_waiting": int, "max_body": int,
    "insecure": bool, "log_prompts": bool,
    "stream_interval_ms": (int, float),
    "body_timeout": (int, float), "request_timeout": (int, float), "drain_timeout": (int, float),
    "cors_origins": list, "options": dict,
}  # fmt: skip


def _typed(name: str, value: Any, where: str) -> Any:
    wanted: Any = _TYPES[name]
    wrong_bool = isinstance(value, bool) and wanted is not bool
    if wrong_bool or not isinstance(value, wanted):
        raise UsageError(f"{where}: {name} is {value!r}, which has the wrong type")
    if name == "api_key_file":
        return Path(value).expanduser()
    if name == "cors_origins":
        if not all(isinstance(one, str) for one in value):
            raise UsageError(f"{where}: cors_origins is {value!r}", hint="use a list of strings")
        return tuple(value)
    return value


def _check(name: str, value: object, ok: bool, allowed: str) -> None:
    if not ok:
        raise UsageError(f"{name} is {value}", hint=f"it must be {allowed}")
