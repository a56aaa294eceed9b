"""What every stack stands on: certificates, package lists, and the packages that CANN needs."""

from __future__ import annotations

import shlex

from paddock.deploy import catalog
from paddock.deploy.provision import mirrors
from paddock.deploy.provision.context import Context
from paddock.deploy.provision.job import AS_ROOT, JobStep
from paddock.deploy.provision.packages import PackagesStep
from paddock.deploy.step import CONTAINER, HOST, Step

TOOLS = ("ca-certificates", "curl")
"""What fetching needs; bare images have neither."""


def steps(context: Context) -> list[Step]:
    """Certificates of the host, the mirror if one is named, the packages."""
    found: list[Step] = []
    if context.place == CONTAINER:
        found.append(_certificates(context))
    if context.file.mirrors.apt:
        found.append(mirrors.system(context.file.mirrors.apt, on=context.place))
    cann = context.stack is not None and context.stack.version("cann") is not None
    apt, dnf = (packages(manager) if cann else () for manager in ("apt", "dnf"))
    tools = TOOLS if _fetches(context) else ()
    if cann or tools:
        found.append(
            PackagesStep(
                id="base.packages",
                title="the packages that " + ("CANN needs" if cann else "fetching needs"),
                why="CANN's installers check for them, its operator compiler calls them"
                if cann
                else "bare images trust no certificate and fetch nothing",
                apt=tuple(dict.fromkeys((*tools, *apt))),
                dnf=tuple(dict.fromkeys((*tools, *dnf))),
                folder=context.folder,
                on=context.place,
                artifacts=context.artifacts,
            )
        )
    if cann:
        found.append(_user(context))
    return found


def _fetches(context: Context) -> bool:
    """Whether a later step fetches by curl: CANN without artifacts, an installer by its address."""
    installers = context.stack is not None and any(
        file.kind == "run" and file.component != "driver" for file in context.stack.files
    )
    return (installers and context.artifacts is None) or "://" in (
        context.file.python.installer or ""
    )


def packages(manager: str, component: str = "cann") -> tuple[str, ...]:
    """The packages that a component asks for, by ``apt``, ``dnf`` or ``pip``, as sources say."""
    return catalog.load().needs(component, manager)


# Through the engine, because the files are the host's. Only what somebody put there by hand is
# taken: /usr/local/share/ca-certificates (Debian), /etc/pki/ca-trust/source/anchors (openEuler).
_THERE = r"""
inside() { "$engine" exec -i "$name" sh -c "$@"; }
sources() {
  ls /usr/local/share/ca-certificates/*.crt /etc/pki/ca-trust/source/anchors/* 2>/dev/null || :
}
kept=/usr/local/share/ca-certificates/paddock-
"""

_UPDATE = r"""
if command -v update-ca-certificates >/dev/null; then update-ca-certificates
elif command -v update-ca-trust >/dev/null; then
  mkdir -p /etc/pki/ca-trust/source/anchors
  cp /usr/local/share/ca-certificates/paddock-*.crt /etc/pki/ca-trust/source/anchors/
  update-ca-trust
else
  # A bare image: the package ca-certificates takes the file in when it comes.
  echo "no ca-certificates yet"
fi
"""


def _certificates(context: Context) -> Step:
    name = context.file.container_name
    head = f"engine={shlex.quote(context.file.container.engine)} name={shlex.quote(name)}\n{_THERE}"
    check = r"""
if [ -z "$(sources)" ]; then echo none; exit 0; fi
here=$(sources | while read -r file; do cat "$file"; done | sha256sum)
there=$(inside "cat $kept*.crt 2>/dev/null" </dev/null | sha256sum)
echo "another set"
[ "$here" = "$there" ] || exit 1
"""
    apply = r"""
inside 'mkdir -p "${1%/*}" && rm -f "$1"*.crt' sh "$kept" </dev/null
sources | while read -r file; do
  file_name=${file##*/}
  inside 'cat >"$1"' sh "$kept${file_name%.crt}.crt" <"$file"
done
"""
    update = f"inside {shlex.quote(_UPDATE)} </dev/null\n"
    return JobStep(
        id="base.certificates",
        title="the container trusts the authorities that its host was told to trust",
        why="behind a proxy with an authority of its own, pip and curl fail in a bare image with"
        " CERTIFICATE_VERIFY_FAILED",
        on=HOST,
        what="authorities of the host",
        after="the host's",
        checks=head + check,
        applies=head + apply + update,
        # A container of this deployment's is removed next, and takes them along.
        undoes=head + 'inside : </dev/null 2>/dev/null || { echo "$name does not run"; exit 0; }\n'
        'inside "rm -f $kept*.crt" </dev/null\n' + update,
    )


# A home is what useradd made it of, or holds somebody's files by now.
_USER_GONE = r"""
home=$(getent passwd HwHiAiUser | cut -d: -f6) || :
if id HwHiAiUser >/dev/null 2>&1; then as_root userdel HwHiAiUser; fi
# Somebody else may have the number for theirs (-o), and then only force removes the name.
if getent group HwHiAiUser >/dev/null; then
  as_root groupdel HwHiAiUser 2>/dev/null || as_root groupdel -f HwHiAiUser
fi
if [ -n "$home" ] && [ -d "$home" ]; then
  if as_root diff -r /etc/skel "$home" >/dev/null 2>&1; then as_root rm -rf "$home"
  else echo "$home stays: there are files in it"; fi
fi
"""


def _user(context: Context) -> Step:
    """The user that the installers look for, with the ids of the device nodes' owner."""
    owner = next(
        (n for n in (context.host.ascend.nodes if context.host.ascend else ()) if n.gid), None
    )
    gid, uid = (str(owner.gid), str(owner.uid or owner.gid)) if owner else ("1000", "1000")
    # -o: images give 1000 to a user of their own, and the nodes care for the number alone.
    return JobStep(
        id="base.user",
        title="the user HwHiAiUser",
        why="CANN's installers refuse to run without it, and the device nodes belong to its group",
        on=context.place,
        what="user HwHiAiUser",
        after=f"uid {uid}, gid {gid}",
        checks="id HwHiAiUser 2>/dev/null || { echo none; exit 1; }",
        applies=f"{AS_ROOT}getent group HwHiAiUser >/dev/null ||"
        f" as_root groupadd -o -g {gid} HwHiAiUser\n"
        f"id HwHiAiUser >/dev/null 2>&1 ||"
        f" as_root useradd -o -u {uid} -g HwHiAiUser -m -s /bin/bash HwHiAiUser",
        undoes=AS_ROOT + _USER_GONE,
    )
