"""The environment of every session: driver libraries, CANN, the Python that the stack lives in.

Interactive logins, ``ssh host command`` and programs that Paddock starts are to see the same. A
login shell reads profile.d; a command over SSH reads nothing of a shell's, but PAM reads
/etc/environment; the loader's own list needs no variable at all.
"""

from __future__ import annotations

import shlex

from paddock.deploy.provision.context import Context
from paddock.deploy.provision.job import AS_ROOT, JobStep
from paddock.deploy.provision.python import environment
from paddock.deploy.step import CONTAINER, FileStep, Step

DRIVER_LIBRARIES = (
    "/usr/local/Ascend/driver/lib64",
    "/usr/local/Ascend/driver/lib64/common",
    "/usr/local/Ascend/driver/lib64/driver",
)
"""Where the driver's libraries are, libdrvdsmi_host.so among them. The toolkit's set_env.sh does
not name them. Source: https://github.com/vllm-project/vllm-ascend/issues/1440 and MindCluster's
list of mounts."""

CONF = "/etc/ld.so.conf.d/paddock-ascend-driver.conf"

SET_ENV = (
    "/usr/local/Ascend/ascend-toolkit/set_env.sh",
    "/usr/local/Ascend/cann/set_env.sh",
    "/usr/local/Ascend/nnal/atb/set_env.sh",
)
"""What CANN leaves to be sourced: up to 8.3, from 8.5 on, and NNAL's, which must come last."""

VARIABLES = r"PATH|LD_LIBRARY_PATH|PYTHONPATH|ASCEND_[A-Z_]*|ATB_[A-Z_]*|TOOLCHAIN_HOME|VIRTUAL_ENV"
"""What /etc/environment gets of it; nothing else, and no secret is among these names."""


def steps(context: Context) -> list[Step]:
    """What can be set before anything is installed.

    A container gets them for every session. On a bare host only the file in Paddock's folder is
    written, for whoever sources it: its logins are not Paddock's to change.
    """
    place = environment(context)
    prefix = place.prefix if place else None
    ascend = context.host.ascend is not None
    if prefix is None and not ascend:
        return []
    file = path(context)
    found: list[Step] = []
    if ascend and context.place == CONTAINER:
        found.append(
            FileStep(
                id="environment.libraries",
                title="the loader knows the driver's libraries",
                why="a session over SSH has no LD_LIBRARY_PATH, and npu-smi fails there with"
                " 'libdrvdsmi_host.so: cannot open shared object file'",
                path=CONF,
                text="\n".join(DRIVER_LIBRARIES) + "\n",
                on=context.place,
                then="ldconfig",
            )
        )
    found.append(
        FileStep(
            id="environment.file",
            title=f"{file} sets the environment of the stack",
            why="CANN, driver tools and the Python environment, in the order that they need",
            path=file,
            text=script(prefix, ascend=ascend),
            on=context.place,
        )
    )
    if context.place == CONTAINER:
        found.append(_login(context, file))
    return found


def path(context: Context) -> str:
    """The file that sets the environment, on the target."""
    return f"{context.folder}/environment.sh"


def script(prefix: str | None, *, ascend: bool) -> str:
    """The file that sets the environment; sourced by any POSIX shell, as often as one likes."""
    lines = ["# Written by Paddock. Source it: . environment.sh"]
    if ascend:
        lines += [
            *_SOURCE.strip("\n").splitlines(),
            "for paddock_file in " + " ".join(SET_ENV) + "; do",
            '  [ ! -r "$paddock_file" ] || paddock_source "$paddock_file"',
            "done",
            "unset paddock_file",
            'case ":$PATH:" in',
            "  *:/usr/local/Ascend/driver/tools:*) ;;",
            '  *) PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/local/Ascend/driver/tools" ;;',
            "esac",
            'case ":${LD_LIBRARY_PATH:-}:" in',
            "  *:/usr/local/Ascend/driver/lib64/driver:*) ;;",
            f'  *) LD_LIBRARY_PATH="${{LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}}'
            f'{":".join(DRIVER_LIBRARIES)}" ;;',
            "esac",
            "export PATH LD_LIBRARY_PATH",
        ]
    if prefix is not None:
        quoted = shlex.quote(f"{prefix}/bin")
        lines += [
            'case ":$PATH:" in',
            f"  *:{quoted}:*) ;;",
            f"  *) PATH={quoted}:$PATH ;;",
            "esac",
            f"export PATH VIRTUAL_ENV={shlex.quote(prefix)}",
        ]
    return "\n".join(lines) + "\n"


# NNAL's set_env.sh is written for bash: ${BASH_SOURCE[0]} ends every other shell that reads it. So
# another shell has bash read it and takes over what it set.
_SOURCE = f"""
paddock_source() {{
  if [ -n "${{BASH_VERSION:-}}" ]; then . "$1" || :; return 0; fi
  while IFS= read -r paddock_line; do
    [ -z "$paddock_line" ] || export "${{paddock_line?}}"
  done <<PADDOCK_SET
$(bash -c '. "$1" >/dev/null 2>&1; env' bash "$1" 2>/dev/null | grep -E '^({VARIABLES})=')
PADDOCK_SET
}}
"""


def _login(context: Context, file: str) -> Step:
    return FileStep(
        id="environment.login",
        title="login shells have the stack's environment",
        why="an IDE opens a login shell; .bashrc is read by others, and not by all of those",
        path="/etc/profile.d/paddock.sh",
        text=f"# Written by Paddock.\n[ ! -r {file} ] || . {file}\n",
        on=context.place,
    )


_BLOCK = r"""
begin='# Paddock: begin' end='# Paddock: end'
others() { sed "/^$begin\$/,/^$end\$/d" /etc/environment 2>/dev/null || :; }
block() { sed -n "/^$begin\$/,/^$end\$/p" /etc/environment 2>/dev/null || :; }
values() { # what the file adds to the variables of an empty session
  env -i HOME="$HOME" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    sh -c '. "$1" >/dev/null 2>&1; env' sh "$file" | grep -E "^($names)=" | sort
}
wanted() { printf '%s\n' "$begin"; values; printf '%s\n' "$end"; }
put() { # whole or not at all; root's and readable by all, as it was
  cat >/etc/environment.paddock
  chmod 644 /etc/environment.paddock
  mv /etc/environment.paddock /etc/environment
}
"""


def commands(context: Context) -> list[Step]:
    """What sessions without a shell's files see; after CANN, whose set_env.sh tells the values."""
    if context.place != CONTAINER or not steps(context):
        return []
    return [block(path(context), context.place)]


def block(file: str, on: str) -> Step:
    """The step that copies what ``file`` sets into /etc/environment.

    Computed there, because only set_env.sh knows what it sets.
    """
    head = f"file={shlex.quote(file)} names={shlex.quote(VARIABLES)}\n{AS_ROOT}{_BLOCK}"
    return JobStep(
        id="environment.commands",
        title="commands over SSH have the stack's environment",
        why="'ssh host command' reads no shell's files; PAM reads /etc/environment",
        on=on,
        what="block of Paddock in /etc/environment",
        after="the variables of environment.sh",
        checks=head + 'block | grep . || echo none; [ "$(block)" = "$(wanted)" ] || exit 1',
        applies=head + '{ others; wanted; } | put\necho "wrote /etc/environment"',
        undoes=head + "others | put",
    )
