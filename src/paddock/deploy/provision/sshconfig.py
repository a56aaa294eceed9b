"""Lines for ~/.ssh: with them an IDE enters a deployment's container and knows its key."""

from __future__ import annotations

import re

from paddock.deploy.stackfile import HostEntry, Stackfile
from paddock.errors import UsageError
from paddock.shell import SshRunner


def alias(file: Stackfile, entry: HostEntry) -> str:
    """The name to connect to: of the deployment, and of the host where there are several."""
    name = file.name if len(file.hosts) == 1 else f"{file.name}-{entry.name}"
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name)


def block(file: Stackfile, entry: HostEntry, *, identity: str | None = None) -> str:
    """Lines for ~/.ssh/config. Raises UsageError where the stack file has no SSH server.

    The host is entered first (ProxyJump), with its own entry and keys, and the container's server
    is reached on the host's loopback or, on a bare host, on the host itself: the port need not be
    open to the network.
    """
    if file.ssh is None:
        raise UsageError(
            "the stack file has no ssh section", hint="add ssh: {port: 223, keys: [...]}"
        )
    wish = file.ssh
    lines = [f"Host {alias(file, entry)}", "    HostName 127.0.0.1", f"    Port {wish.port}"]
    lines.append(f"    User {wish.users[0]}")
    if entry.address != "local":
        # ProxyJump takes [user@]host[:port]; the scheme only from OpenSSH 7.8 on.
        runner = SshRunner.parse(entry.address)
        host = f"[{runner.host}]" if ":" in runner.host else runner.host
        user = f"{runner.user}@" if runner.user else ""
        lines.append(f"    ProxyJump {user}{host}{f':{runner.port}' if runner.port else ''}")
    if identity:
        lines += [f"    IdentityFile {identity}", "    IdentitiesOnly yes"]
    # Every container has 127.0.0.1: each deployment's key is known by its own name.
    lines += [
        f"    HostKeyAlias [{alias(file, entry)}]:{wish.port}",
        f"    ServerAliveInterval {wish.alive_interval}",
        f"    ServerAliveCountMax {wish.alive_count}",
    ]
    return "\n".join(lines) + "\n"


def known_hosts(file: Stackfile, entry: HostEntry, key: str) -> str:
    """The line for ~/.ssh/known_hosts of the server's public key, under its alias and port.

    ``key`` is the text of a host key's ``.pub`` file. A port other than 22 stands in the name.
    Source: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
    """
    words = key.split()
    if file.ssh is None or len(words) < 2:
        raise UsageError("there is no host key of the deployment's SSH server")
    return f"[{alias(file, entry)}]:{file.ssh.port} {words[0]} {words[1]}\n"
