"""Takes secrets and names out of what a machine answered, so that it can be shown to others."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import replace

from paddock.deploy.host.frames import Frame

_USERINFO = re.compile(r"://[^/@\s\"']*@")
_QUERY = re.compile(
    r"([?&][\w-]*(?:token|key|secret|password|sig)[\w-]*=)[^&\s\"']*", re.IGNORECASE
)


def credentials(text: str) -> str:
    """The text with ``user:password@`` and keys in queries of addresses replaced by ``***``."""
    return _QUERY.sub(r"\1***", _USERINFO.sub("://***@", text))


_ADDRESSED = re.compile(
    r"environment|first environment|interfaces|ss |hccn_tool|docker|podman|isula|startup|pip files"
    r"|apt sources|yum sources|proxy files|file \S*\.(json|conf)\b"
)
"""Frames that hold network addresses. Elsewhere four numbers with points are a version."""

_SERIAL = re.compile(
    r"^(\s*(?:[\w ]*serial number|[VN]?Die ID|chassis id|uuid)\s*:\s*)(\S.*)$",
    re.MULTILINE | re.IGNORECASE,
)
_UUID = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE
)
_MAC = re.compile(r"\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b", re.IGNORECASE)
_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.IGNORECASE)
_KERNEL_IP = re.compile(r"(?<= )([0-9A-F]{8}|[0-9A-F]{32})(?=:[0-9A-F]{4} )")


class Mask:
    """Replaces what tells one machine from another: the same thing by the same stand-in throughout.

    Host name and user become ``host`` and ``user`` (root stays), network addresses those kept for
    documentation (RFC 5737, RFC 3849) except loopback and "any", serial numbers, MAC addresses
    and UUIDs zeros. Versions, sizes and PCI addresses stay.
    """

    def __init__(self, frames: Iterable[Frame]) -> None:
        """Learns the names from the answer itself."""
        self._frames = tuple(frames)
        self._addresses: dict[str, str] = {}
        text = {frame.name: frame.text for frame in self._frames}
        node = text.get("uname -snrm", "").split()[1:2]
        user = re.search(r"^name=(.*)$", text.get("user", ""), re.MULTILINE)
        self._names = {name: "host" for name in node if len(name) > 2}
        if user and user[1] not in ("", "root"):
            self._names[user[1]] = "user"

    def frames(self) -> list[Frame]:
        """All frames with the stand-ins."""
        return [replace(f, name=self._named(f.name), text=self._text(f)) for f in self._frames]

    def _named(self, text: str) -> str:
        for name, other in self._names.items():
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", other, text)
        return text

    def _text(self, frame: Frame) -> str:
        if frame.name == "uname -snrm":
            # A name of two letters would be found in other words; here it stands alone.
            return re.sub(r"^(\S+) \S+", r"\1 host", frame.text)
        text = credentials(self._named(frame.text))
        text = _SERIAL.sub(lambda m: m[1] + re.sub(r"\w", "0", m[2]), text)
        text = _UUID.sub("00000000-0000-0000-0000-000000000000", text)
        text = _MAC.sub("02:00:00:00:00:00", text)
        if frame.name == "listening":
            # Where a port is bound is worth keeping only as "here alone" or "everywhere".
            return _KERNEL_IP.sub(lambda m: _bound(m[1]), text)
        if _ADDRESSED.match(frame.name):
            text = _IPV4.sub(self._address, text)
            text = _IPV6.sub(self._address, text)
        return text

    def _address(self, match: re.Match[str]) -> str:
        try:
            address = ipaddress.ip_address(match[0])
        except ValueError:
            return match[0]
        if address.is_loopback or address.is_unspecified or match[0].startswith("255."):
            return match[0]
        number = len(self._addresses) + 1
        stand_in = f"192.0.2.{number % 256}" if address.version == 4 else f"2001:db8::{number:x}"
        return self._addresses.setdefault(match[0], stand_in)


def _bound(digits: str) -> str:
    loopback = ("0100007F", "00000000000000000000000001000000")
    return digits if digits in loopback else "0" * len(digits)
