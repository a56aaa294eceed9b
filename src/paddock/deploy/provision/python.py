"""The Python environment that the frameworks live in: by conda, uv or venv."""

from __future__ import annotations

import shlex

from paddock.deploy.provision import conda, prefix
from paddock.deploy.provision.context import Context
from paddock.deploy.provision.job import JobStep
from paddock.deploy.provision.mirrors import base
from paddock.deploy.provision.packages import INSTALL, UNDO, head
from paddock.deploy.provision.prefix import Environment
from paddock.deploy.step import FileStep, Step


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
        return conda.made(context, found, subject)
    if found.manager == "uv":
        return [_by_uv(context, found, subject)]
    return _by_venv(context, found, subject)


def index(context: Context, folder: str, step: str) -> list[Step]:
    """The step that makes an environment's pip fetch from the mirror, if one is named."""
    if not context.file.mirrors.pip:
        return []
    return [
        FileStep(
            id=step,
            title="pip fetches from the mirror",
            why="in this environment, for whoever uses pip in it",
            path=f"{folder}/pip.conf",
            text=f"[global]\nindex-url = {base(context.file.mirrors.pip)}\n",
            on=context.place,
        )
    ]


def manager(context: Context) -> str:
    """Who makes environments: as asked for, else what is there."""
    wish = context.file.python
    if wish.manager != "auto":
        return wish.manager
    if wish.installer or any(context.inside.tool(name) for name in conda.PROGRAMS):
        return "conda"
    return "uv" if context.inside.tool("uv") else "venv"


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
    # The Python of the release is called python3, others by their number: python3.11, python39.
    dnf=python3
    if [ -n "$minor" ]; then
      dnf=
      for one in "python$minor" "python3${minor#3.}" python3; do
        if "$manager" -q list "$one" | grep -Eq "^$one\.[a-z0-9_]+ +([0-9]+:)?$minor\."; then
          dnf=$one
          break
        fi
      done
      if [ -z "$dnf" ]; then
        echo "paddock: no Python $version can be had here" >&2
        exit 1
      fi
    fi ;;
esac
"""


def _by_venv(context: Context, found: Environment, subject: str) -> list[Step]:
    step = f"{subject}.interpreter"
    first = prefix.head(found) + _FIND
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
        hint=prefix.HINT,
    )
    make = _FIND + '"$(find_python)" -m venv "$prefix"'
    return [interpreter, prefix.step(context, found, subject, make)]


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
    return prefix.step(context, found, subject, make)
