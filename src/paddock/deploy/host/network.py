"""Network and where packages come from: ports, interfaces, proxies, package indexes."""

from __future__ import annotations

import ipaddress
import re

from paddock.deploy.host.facts import NOT_ASKED, Index, Interface, Note, Port, Proxy
from paddock.deploy.host.frames import Answer
from paddock.deploy.host.redact import credentials

_PROXY_VARIABLES = frozenset({"http_proxy", "https_proxy", "all_proxy", "ftp_proxy", "no_proxy"})


def ports(answer: Answer, notes: list[Note]) -> tuple[Port, ...]:
    """TCP ports that something listens on, from the kernel's table; ss only adds names.

    Source of the table's form: proc_net_tcp in the kernel's documentation.
    """
    if answer.get("listening") is None:
        notes.append(Note("listening", "ports in use", NOT_ASKED))
    names: dict[int, str] = {}
    for line in answer.lines("ss -Hltnp"):
        words = line.split()
        name = re.search(r'users:\(\("([^"]+)"', line)
        if name and len(words) > 3 and (port := words[3].rpartition(":")[2]).isdecimal():
            names[int(port)] = name[1]
    found = set()
    for line in answer.lines("listening"):
        match = re.match(r"\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ", line)
        if match:
            found.add((int(match[2], 16), _address(match[1])))
    return tuple(Port(port, address, names.get(port)) for port, address in sorted(found))


def _address(digits: str) -> str:
    """An address as the kernel prints it: 32-bit words, each in the machine's byte order.

    Every machine this runs on is little-endian.
    """
    words = [bytes.fromhex(digits[i : i + 8])[::-1] for i in range(0, len(digits), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def interfaces(answer: Answer) -> tuple[Interface, ...]:
    """Network interfaces with their addresses; from ``ip -o addr``, else names alone."""
    found: dict[str, list[str]] = {}
    for line in answer.lines("interfaces"):
        match = re.match(r"\d+: ([^\s:@]+)(?:@\S+)?:?(?:\s+inet6?\s+(\S+))?", line)
        if match:
            addresses = found.setdefault(match[1], [])
            if match[2]:
                addresses.append(match[2])
    return tuple(Interface(name, tuple(addresses)) for name, addresses in found.items())


def proxies(answer: Answer, environment: dict[str, str]) -> tuple[Proxy, ...]:
    """Proxy settings of the environment and of the files that tools read, without secrets."""
    found = [
        Proxy(name, credentials(value), "environment")
        for name, value in environment.items()
        if name.lower() in _PROXY_VARIABLES and value
    ]
    for line in answer.lines("proxy files"):
        path, _, text = line.partition(":")
        if text.lstrip().startswith(("#", "//", ";")):
            continue
        for match in re.finditer(
            r"(?P<name>[A-Za-z:_]*proxy)[\"']?\s*[=:\s]\s*[\"']?(?P<value>[^\s\"';]+)",
            text,
            re.IGNORECASE,
        ):
            proxy = Proxy(match["name"], credentials(match["value"].rstrip(",")), path)
            if proxy not in found:
                found.append(proxy)
    return tuple(found)


def indexes(answer: Answer, environment: dict[str, str]) -> tuple[Index, ...]:
    """Where pip, uv, conda, apt and yum fetch from, as far as files and variables say."""
    found: list[Index] = []
    for name, value in environment.items():
        if re.fullmatch(r"(PIP|UV)_(EXTRA_|DEFAULT_)?INDEX(_URL)?", name):
            tool = name.partition("_")[0].lower()
            found += [Index(tool, credentials(url), name) for url in value.split()]
    for line in answer.lines("pip files"):
        path, _, text = line.partition(":")
        tool = "uv" if path.endswith("uv.toml") else "conda" if "condarc" in path else "pip"
        if tool == "conda":
            match = re.search(r"(?:-|:)\s*(\S+)\s*$", text)
            found += [Index(tool, credentials(match[1]), path)] if match else []
        elif not re.match(r"\s*proxy\b", text):
            urls = text.partition("=")[2].replace('"', " ").split()
            found += [Index(tool, credentials(url), path) for url in urls]
    found += _apt(answer.lines("apt sources"))
    for line in answer.lines("yum sources"):
        match = re.match(r"([^:]+):\s*(?:baseurl|mirrorlist|metalink)\s*=\s*(\S+)", line)
        found += [Index("yum", credentials(match[2]), match[1])] if match else []
    return tuple(dict.fromkeys(found))


def _apt(lines: list[str]) -> list[Index]:
    """One-line and deb822 sources, one entry for each suite. Source: sources.list(5)."""
    found: list[Index] = []
    stanza: dict[str, list[str]] = {}

    def close(path: str) -> None:
        if stanza.get("Enabled", ["yes"])[0].lower() != "no":
            for url in stanza.get("URIs", []):
                suites: list[str | None] = [*stanza.get("Suites", [])] or [None]
                found.extend(Index("apt", credentials(url), path, suite) for suite in suites)
        stanza.clear()

    last = ""
    for line in lines:
        path, _, text = line.partition(":")
        words = re.sub(r"\[[^\]]*\]", "", text).split()
        if path != last or not words or words[0] == "Types:":
            close(last)
        last = path
        if words and words[0] == "deb" and len(words) >= 3:
            found.append(Index("apt", credentials(words[1]), path, words[2]))
        elif words and words[0].endswith(":"):
            stanza[words[0].rstrip(":")] = words[1:]
    close(last)
    return found
