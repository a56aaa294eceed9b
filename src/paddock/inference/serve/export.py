"""A server written down for those who start it: a systemd unit, a container image recipe."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from paddock._version import __version__
from paddock.errors import UsageError


def systemd(arguments: Sequence[str], *, executable: str, user: str = "paddock") -> str:
    """A unit that runs ``paddock serve`` with ``arguments`` as ``user``, hardened.

    Its stop waits for accepted requests (the server drains on SIGTERM). Models are looked for in
    the service's own state folder. Source of the directives: systemd.exec(5), systemd.service(5).
    """
    command = " ".join(_unit_word(word) for word in (executable, "serve", *arguments))
    return f"""\
# /etc/systemd/system/paddock.service, written by paddock {__version__}
# useradd --system --home-dir /var/lib/paddock {user}   # once
# systemctl daemon-reload && systemctl enable --now paddock

[Unit]
Description=Paddock, an OpenAI-compatible server for Llama models
After=network-online.target
Wants=network-online.target
# Five failed starts in five minutes are no accident.
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=exec
User={user}
ExecStart={command}
Environment=PADDOCK_HOME=/var/lib/paddock
StateDirectory=paddock
WorkingDirectory=/var/lib/paddock
Restart=on-failure
RestartSec=5
# Longer than --drain-timeout, so that accepted requests end.
TimeoutStopSec=330
KillMode=mixed
LimitNOFILE=65536
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes

[Install]
WantedBy=multi-user.target
"""


def containerfile(arguments: Sequence[str], *, extra: str = "serve") -> str:
    """A recipe for docker build or podman build, to be run in a clone of the project.

    The server in the image listens on all addresses of the container, so it wants a key file
    (mounted at /etc/paddock/keys) unless ``arguments`` say --insecure. Raises UsageError for words
    that cannot stand in a recipe.
    """
    # --name=value as two words, so that both spellings are found.
    given = [
        part
        for word in arguments
        for part in (word.split("=", 1) if word.startswith("--") else [word])
    ]
    if "--host" not in given:
        given += ["--host", "0.0.0.0"]  # noqa: S104 - the container's own network
    if "--insecure" not in given and "--api-key-file" not in given:
        given += ["--api-key-file", "/etc/paddock/keys"]
    if "--port" not in given:
        given += ["--port", "8000"]
    port = given[given.index("--port") + 1 : given.index("--port") + 2]
    if not port or not port[0].isdecimal() or port == ["0"]:
        raise UsageError(
            f"--port is {port[0] if port else 'not given'}", hint="an image needs one fixed port"
        )
    for word in given:
        if "\n" in word:
            raise UsageError(f"{word!r} has a line end in it", hint="it cannot stand in a recipe")
    command = ", ".join(_json_word(word) for word in ("paddock", "serve", *given))
    (number,) = port
    return f"""\
# Written by paddock {__version__}. In a clone of the project:
#   docker build -t paddock -f Containerfile .
#   paddock key new alice --file keys
#   docker run --rm -p 127.0.0.1:{number}:{number} --user "$(id -u)" \\
#     -v "$PWD/keys:/etc/paddock/keys:ro" paddock
# Only its owner can read the key file, so the server runs as that user.
FROM python:3.11-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ \\
    && rm -rf /var/lib/apt/lists/*
COPY . /src
RUN python -m venv /opt/paddock && /opt/paddock/bin/pip install --no-cache-dir '/src[{extra}]'

FROM python:3.11-slim
COPY --from=build /opt/paddock /opt/paddock
ENV PATH=/opt/paddock/bin:$PATH PADDOCK_HOME=/var/lib/paddock
RUN useradd --system --create-home --home-dir /var/lib/paddock paddock
USER paddock
WORKDIR /var/lib/paddock
EXPOSE {number}
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s CMD \\
    ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:{number}/ready')"]
CMD [{command}]
"""


def _unit_word(word: str) -> str:
    """A word as ExecStart= reads it: % and $ doubled, quoted where a shell would."""
    if "\n" in word:
        raise UsageError(f"{word!r} has a line end in it", hint="it cannot stand in a unit")
    return shlex.quote(word.replace("%", "%%").replace("$", "$$").replace("\\", "\\\\"))


def _json_word(word: str) -> str:
    import json

    return json.dumps(word)
