"""``paddock ssh-config``: what an IDE needs to enter a deployment over SSH."""

from __future__ import annotations

from typing import Annotated

import typer

from paddock.cli import deployment, options, render

EXAMPLES = """
paddock ssh-config >> ~/.ssh/config
paddock ssh-config --known-hosts >> ~/.ssh/known_hosts
paddock ssh-config --on npu1 --identity ~/.ssh/id_ed25519
"""


def ssh_config(
    file: deployment.File = None,
    on: deployment.OneHost = None,
    identity: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="The private key that is to be used.", show_default=False
        ),
    ] = None,
    known_hosts: Annotated[
        bool,
        typer.Option("--known-hosts", help="Print the server's key for ~/.ssh/known_hosts."),
    ] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Prints the block for VS Code, MindStudio and ssh, to be put into ~/.ssh/config.

    The container is entered through its host. --known-hosts fetches the server's public key over
    that same way, so that the first connection asks nothing.
    """
    from paddock.deploy.provision import ssh, sshconfig
    from paddock.errors import PaddockError

    found = deployment.opened(file)
    entry = deployment.one_host(found, on)
    text = sshconfig.block(found.file, entry, identity=identity)
    if known_hosts:
        path = f"{ssh.FOLDER}/ssh_host_ed25519_key.pub"
        key = found.place(entry).read(path)
        if key is None:
            raise PaddockError(f"there is no {path} on {entry.name}", hint="run: paddock up")
        text = sshconfig.known_hosts(found.file, entry, key)
    if json:
        name = "known_hosts" if known_hosts else "config"
        render.emit({"host": sshconfig.alias(found.file, entry), name: text})
    else:
        render.text(text)
