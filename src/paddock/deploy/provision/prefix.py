"""A Python environment in its folder, whoever makes it: what it must be, its step, its end."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from paddock.deploy.provision.context import Context
from paddock.deploy.provision.job import CERTIFICATES, JobStep
from paddock.deploy.step import Step

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


def head(found: Environment) -> str:
    """sh: the variables of an environment, and ``fits`` for an interpreter."""
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

# Only what this step has made or begun goes: marks say so. The one beside the folder is for makers
# that begin with no folder (conda), so that what was broken off is not taken for somebody else's.
_OURS = '[ -e "$prefix/.paddock" ] || [ -e "$prefix.making" ]'
_GONE = f'if {_OURS}; then rm -rf "$prefix" "$prefix.making"; fi\n'


def step(
    context: Context,
    found: Environment,
    subject: str,
    make: str,
    *,
    gone: str = "",
    timeout: float = 1800,
) -> Step:
    """The step of an environment that the sh program ``make`` makes; ``gone`` is what its maker
    keeps of it elsewhere and is to forget.
    """
    apply = (
        # What was broken off half-way would pass for an environment to some tools.
        f'{CERTIFICATES}if {_OURS}; then rm -rf "$prefix"; fi\n'
        'if [ -e "$prefix" ]; then\n'
        '  echo "$prefix exists and has another Python; it is not Paddock\'s to replace" >&2\n'
        "  exit 1\nfi\n"
        'mkdir -p "${prefix%/*}"\n: >"$prefix.making"\n'
        f'mkdir "$prefix"\n: >"$prefix/.paddock"\n{make}\n'
        ': >"$prefix/.paddock"\nrm "$prefix.making"\n'
        '"$prefix/bin/python" --version\n'
    )
    return JobStep(
        id=f"{subject}.environment",
        title=f"Python {found.version or '3'} in {found.prefix}, by {found.manager}",
        why="the versions of the stack, apart from the system's own Python",
        on=context.place,
        what=f"environment {found.prefix}",
        after=f"Python {found.version or '3'}",
        checks=head(found) + _MADE,
        applies=head(found) + apply,
        undoes=head(found) + _GONE + gone,
        timeout=timeout,
        hint=HINT,
    )
