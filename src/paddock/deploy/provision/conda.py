"""Environments by conda, mamba or micromamba: one that is there, or one by a given installer."""

from __future__ import annotations

import json
import shlex

from paddock.deploy.provision import prefix
from paddock.deploy.provision.context import Context
from paddock.deploy.provision.job import AS_ROOT, FETCH, JobStep
from paddock.deploy.provision.mirrors import base
from paddock.deploy.provision.prefix import Environment
from paddock.deploy.step import FileStep, Step

PROGRAMS = ("conda", "mamba", "micromamba")
"""Programs that make environments of a Python that the system does not have."""

# conda keeps a list of all environments, ours among them.
_FORGET = r"""
list=$HOME/.conda/environments.txt
if [ -e "$list" ] && grep -qxF "$prefix" "$list"; then
  grep -vxF "$prefix" "$list" >"$list.paddock" || :
  mv "$list.paddock" "$list"
  if [ ! -s "$list" ]; then
    rm "$list"
    rmdir "$HOME/.conda" 2>/dev/null || :
  fi
fi
"""


def made(context: Context, found: Environment, subject: str) -> list[Step]:
    """conda where there is none and its installer is given, the environment, and its channels."""
    tool = next(filter(None, map(context.inside.tool, PROGRAMS)), None)
    steps: list[Step] = []
    conda = tool.path if tool else f"{context.folder}/conda/bin/conda"
    installer = context.file.python.installer
    if tool is None and installer and subject == "python":
        steps.append(_installer(context, installer))
    mirror = base(context.file.mirrors.conda) if context.file.mirrors.conda else None
    channels = f" --override-channels -c {shlex.quote(mirror)}" if mirror else ""
    make = (
        f"conda={shlex.quote(conda)}\n"
        'command -v "$conda" >/dev/null || {\n'
        '  echo "paddock: no conda at $conda" >&2\n  exit 1\n}\n'
        # conda refuses a folder that is there and is none of its own.
        'rm -f "$prefix/.paddock"; rmdir "$prefix"\n'
        f'create() {{ "$conda" create -y -q -p "$prefix"{channels} "$1" pip; }}\n'
        'if [ -n "$exact" ] || [ "$version" = "$minor" ]; then\n'
        '  create "python${version:+=$version}"\n'
        # The very patch release of the stack where the channel has it, else another of its minor.
        'else create "python=$version" || create "python=$minor"; fi'
    )
    steps.append(prefix.step(context, found, subject, make, gone=_FORGET, timeout=3600))
    if mirror:
        steps.append(_channels(context, found, mirror, subject))
    return steps


def _channels(context: Context, found: Environment, mirror: str, subject: str) -> Step:
    """Source: https://docs.conda.io/projects/conda/en/stable/user-guide/configuration/"""
    word = json.dumps(mirror)  # quoted as YAML reads it
    return FileStep(
        id=f"{subject}.channels",
        title="conda fetches from the mirror",
        why="in this environment, for whoever uses conda in it",
        path=f"{found.prefix}/.condarc",
        text=f"channels: [{word}]\ndefault_channels: [{word}]\n",
        on=context.place,
    )


def _installer(context: Context, installer: str) -> Step:
    """conda itself, by its vendor's installer, into Paddock's folder."""
    root = f"{context.folder}/conda"
    name = installer.rpartition("/")[2]
    local = f"{context.folder}/downloads/{name}"
    get = (
        f"fetch {shlex.quote(installer)} {shlex.quote(local)}"
        if "://" in installer
        else f"ls {shlex.quote(installer)} >/dev/null"
    )
    path = local if "://" in installer else installer
    head = f"root={shlex.quote(root)}\n"
    return JobStep(
        id="python.conda",
        title=f"conda in {root}",
        why="it has every version of Python, whatever the system's release",
        on=context.place,
        checks=head + 'if [ -x "$root/bin/conda" ]; then echo there; else echo none; exit 1; fi',
        applies=f"{head}{AS_ROOT}{FETCH}{get}\n"
        # -u: over what a broken try has left; -b: without questions, its licence accepted.
        f'bash {shlex.quote(path)} -b -u -p "$root"',
        undoes=f'{head}rm -rf "$root" {shlex.quote(local)} {shlex.quote(local)}.part\n'
        f"rmdir {shlex.quote(context.folder)}/downloads 2>/dev/null || :",
        timeout=3600,
    )
