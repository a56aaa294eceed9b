"""The Python environment that the frameworks live in: by conda, uv or venv."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from paddock.deploy.provision.context import Context
from paddock.deploy.provision.job import AS_ROOT, CERTIFICATES, FETCH, JobStep
from paddock.deploy.provision.mirrors import base
from paddock.deploy.provision.packages import INSTALL, UNDO, head
from paddock.deploy.step import FileStep, Step

CONDA = ("conda", "mamba", "micromamba")
"""Programs that make environments of a Python that the system does not have."""

HINT = (
    "give python: {manager: conda, installer: PATH OR ADDRESS} in paddock.yaml, or put uv there,"
    " or take an image whose system has it"
)


@dataclass(frozen=True, slots=True)
class Environment:
    """Where the environment is (``prefix``), who makes it and which Python it has.

    ``version`` is ``3.9`` or ``3.9.7``, None where any will do. ``exact``: 3.11.4 means this patch
    release and not merely a 3.11.
    """

    prefix: str
    manager: str
    version: str | None
    exact: bool

    @property
    def python(self) -> str:
        """Its interpreter."""
        return f"{self.prefix}/bin/python"


def environment(context: Context) -> Environment | None:
    """The environment of a deployment; None where nothing is installed into one."""
    wish = context.file.python
    stack = context.stack
    extras = context.file.extras
    if stack is None and extras.jupyter is None and extras.tensorboard is None:
        return None
    chosen = wish.version if wish.version != "auto" else stack and stack.version("python")
    exact = wish.version != "auto" and wish.version.count(".") == 2
    return Environment(context.environment, manager(context), chosen or None, exact)


def steps(context: Context) -> list[Step]:
    """The steps that make the environment."""
    found = environment(context)
    if found is None:
        return []
    return [*made(context, found), *index(context, found.prefix, "python.index")]


def made(context: Context, found: Environment, subject: str = "python") -> list[Step]:
    """The steps that make an environment, by its manager; ``subject`` begins their ids."""
    if found.manager == "conda":
        return _by_conda(context, found, subject)
    if found.manager == "uv":
        return [_by_uv(context, found, subject)]
    return _by_venv(context, found, subject)


def index(context: Context, prefix: str, step: str) -> list[Step]:
    """The step that makes an environment's pip fetch from the mirror, if one is named."""
    if not context.file.mirrors.pip:
        return []
    return [
        FileStep(
            id=step,
            title="pip fetches from the mirror",
            why="in this environment, for whoever uses pip in it",
            path=f"{prefix}/pip.conf",
            text=f"[global]\nindex-url = {base(context.file.mirrors.pip)}\n",
            on=context.place,
        )
    ]


def manager(context: Context) -> str:
    """Who makes environments: as asked for, else what is there."""
    wish = context.file.python
    if wish.manager != "auto":
        return wish.manager
    if wish.installer or any(context.inside.tool(name) for name in CONDA):
        return "conda"
    return "uv" if context.inside.tool("uv") else "venv"


# version is empty where any will do. A patch release counts only where it was asked for by hand:
# wheels are the same for all of a minor release.
_FITS = r"""
fits() { # PYTHON: whether it is there, has the version and can make environments
  have=$("$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || return 1
  [ -n "$version" ] || { [ "$have" != "${have#3.}" ] && return 0; return 1; }
  case $have. in "$version".*) return 0 ;; esac
  [ -z "$exact" ] || return 1
  case $have. in "$minor".*) return 0 ;; esac
  return 1
}
"""


def _head(found: Environment) -> str:
    version = found.version or ""
    words = {
        "prefix": found.prefix,
        "version": version,
        "minor": ".".join(version.split(".")[:2]),
        "exact": "yes" if found.exact else "",
    }
    return "\n".join(f"{k}={shlex.quote(v)}" for k, v in words.items()) + _FITS


_MADE = (
    'if fits "$prefix/bin/python"; then "$prefix/bin/python" --version; else echo none; exit 1; fi'
)

# Only what this step has made goes: a mark says so.
_GONE = '[ ! -e "$prefix/.paddock" ] || rm -rf "$prefix"'


def _make(
    context: Context, found: Environment, subject: str, make: str, *, timeout: float = 1800
) -> Step:
    """The step of the environment itself, made by the sh program ``make``."""
    apply = (
        # What was broken off half-way would pass for an environment to some tools.
        f'{CERTIFICATES}if [ -e "$prefix/.paddock" ]; then rm -rf "$prefix"; fi\n'
        'if [ -e "$prefix" ]; then\n'
        '  echo "$prefix exists and has another Python; it is not Paddock\'s to replace" >&2\n'
        "  exit 1\nfi\n"
        f'mkdir -p "$prefix"\n: >"$prefix/.paddock"\n{make}\n'
        '"$prefix/bin/python" --version\n'
    )
    return JobStep(
        id=f"{subject}.environment",
        title=f"Python {found.version or '3'} in {found.prefix}, by {found.manager}",
        why="the versions of the stack, apart from the system's own Python",
        on=context.place,
        what=f"environment {found.prefix}",
        after=f"Python {found.version or '3'}",
        checks=_head(found) + _MADE,
        applies=_head(found) + apply,
        undoes=_head(found) + _GONE,
        timeout=timeout,
        hint=HINT,
    )


# pyenv's and python.org's places last: an interpreter of the system serves longest.
_FIND = r"""
find_python() {
  for one in "python$version" "python$minor" python3 "/usr/local/bin/python$minor" \
    "/usr/local/python$minor"*/bin/python3 "/opt/python$minor"*/bin/python3 \
    /opt/python/cp3*/bin/python "$HOME/.pyenv/versions/$minor"*/bin/python \
    "/root/.pyenv/versions/$minor"*/bin/python; do
    one=$(command -v "$one" 2>/dev/null) || continue
    if fits "$one" && "$one" -c 'import venv, ensurepip' 2>/dev/null; then
      echo "$one"
      return 0
    fi
  done
  return 1
}
"""

_OFFERED = r"""
case $manager in
  apt)
    patient as_root apt-get update
    wanted=python3${minor#3}
    if [ -z "$minor" ]; then wanted=python3; fi
    if [ -z "$(apt-cache policy "$wanted-venv" | sed -n 's/^  Candidate: \([^(].*\)/\1/p')" ]; then
      # Debian and Ubuntu have one package for the Python of the release.
      echo "paddock: this system's packages have no $wanted-venv" >&2
      echo "paddock: no Python ${version:-3} can be had here" >&2
      exit 1
    fi
    apt="$wanted $wanted-venv" ;;
  *)
    dnf=python3
    if [ -n "$minor" ] && ! "$manager" -q list "python$minor" >/dev/null 2>&1; then
      echo "paddock: no Python $version can be had here" >&2
      exit 1
    fi
    [ -z "$minor" ] || dnf=python$minor ;;
esac
"""


def _by_venv(context: Context, found: Environment, subject: str) -> list[Step]:
    step = f"{subject}.interpreter"
    first = _head(found) + _FIND
    packages = head(step, (), (), context.folder, context.artifacts)
    interpreter = JobStep(
        id=step,
        title=f"an interpreter of Python {found.version or '3'}",
        why="the frameworks' wheels are made for one minor release each",
        on=context.place,
        after=f"Python {found.version or '3'} of the system's packages",
        checks=first + "find_python || { echo none; exit 1; }",
        applies=first + packages + _patient_first(INSTALL, _OFFERED) + "find_python >/dev/null",
        undoes=first + packages + UNDO,
        timeout=3600,
        hint=HINT,
    )
    make = _FIND + '"$(find_python)" -m venv "$prefix"'
    return [interpreter, _make(context, found, subject, make)]


def _patient_first(install: str, offered: str) -> str:
    """INSTALL with a look at what is offered where it has its tools and has not yet begun."""
    mark = (
        '# shellcheck disable=SC2086 # several words\nif [ "$manager" = apt ]; then\n  set -- $apt'
    )
    before, found, after = install.partition(mark)
    assert found, "INSTALL begins its work with this line"
    return before + offered + mark + after


def _by_uv(context: Context, found: Environment, subject: str) -> Step:
    there = context.inside.tool("uv")
    uv = there.path if there else f"{context.folder}/uv/bin/uv"
    # uv asks an own place for interpreters; what is on the machine goes first.
    make = (
        f"uv={shlex.quote(uv)}\n"
        f'if ! command -v "$uv" >/dev/null; then\n'
        f'  python3 -m venv "${{uv%/bin/uv}}"\n'
        f'  "${{uv%/uv}}/pip" install --disable-pip-version-check uv\n'
        "fi\n"
        "set -- venv --seed --allow-existing\n"
        'if [ -n "$exact" ]; then set -- "$@" --python "$version"\n'
        'elif [ -n "$minor" ]; then set -- "$@" --python "$minor"; fi\n'
        '"$uv" "$@" "$prefix"'
    )
    return _make(context, found, subject, make)


def _by_conda(context: Context, found: Environment, subject: str) -> list[Step]:
    tool = next(filter(None, map(context.inside.tool, CONDA)), None)
    steps: list[Step] = []
    conda = tool.path if tool else f"{context.folder}/conda/bin/conda"
    installer = context.file.python.installer
    if tool is None and installer and subject == "python":
        steps.append(_installer(context, installer))
    channels = ""
    if context.file.mirrors.conda:
        mirror = shlex.quote(base(context.file.mirrors.conda))
        channels = f" --override-channels -c {mirror}"
    make = (
        f"conda={shlex.quote(conda)}\n"
        'command -v "$conda" >/dev/null || {\n'
        '  echo "paddock: no conda at $conda" >&2\n  exit 1\n}\n'
        # conda refuses a folder that is there and is none of its own.
        'rm -f "$prefix/.paddock"; rmdir "$prefix"\n'
        f'"$conda" create -y -q -p "$prefix"{channels} "python${{version:+=$version}}" pip\n'
        ': >"$prefix/.paddock"'
    )
    return [*steps, _make(context, found, subject, make, timeout=3600)]


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
        undoes=head + 'rm -rf "$root"',
        timeout=3600,
    )
