"""A container as a systemd unit, for who wants systemd and not the engine to start it."""

from __future__ import annotations

import shlex

from paddock._version import __version__
from paddock.deploy.container.spec import ContainerSpec


def unit(spec: ContainerSpec) -> str:
    """A unit that starts the container that ``paddock up`` made, and stops it.

    The engine stays attached, so that systemd sees it end. Source: systemd.service(5).
    """
    name = shlex.quote(spec.name)
    service = {"docker": "docker.service", "isula": "isulad.service"}.get(spec.engine)
    needs = f"Requires={service}\nAfter={service}\n" if service else ""
    return f"""\
# /etc/systemd/system/{spec.name}.service, written by paddock {__version__}
# The container itself is made by: paddock up, with container.restart: "no" in the stack file.
# systemctl daemon-reload && systemctl enable --now {spec.name}

[Unit]
Description=Paddock's container {spec.name}
{needs}After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=exec
ExecStart=/usr/bin/env {spec.engine} start -a {name}
ExecStop=/usr/bin/env {spec.engine} stop -t {spec.stop_seconds} {name}
Restart=on-failure
RestartSec=5
TimeoutStopSec={spec.stop_seconds + 30}

[Install]
WantedBy=multi-user.target
"""
