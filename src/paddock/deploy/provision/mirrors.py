"""Where packages are fetched from: apt and dnf from a mirror of the right release and processor."""

from __future__ import annotations

import shlex
from urllib.parse import urlsplit

from paddock.deploy.provision.job import AS_ROOT, JobStep
from paddock.deploy.provision.repositories import MOVED
from paddock.deploy.step import Step
from paddock.errors import UsageError

FOLDERS = ("ubuntu", "ubuntu-ports", "debian", "debian-security", "openeuler", "centos-vault")
"""What public mirrors call the trees of distributions, below one base address."""

# The machine's own /etc/os-release decides: a list for another release takes the system apart
# (Ubuntu-Ports-bionic on 20.04 in a well-known set of notes), and the main archive has no arm64.
# `keys` names the archive's own keyring where the system has it, because Debian 13 trusts no other.
WANTED = r"""
wanted() { # MIRROR OS_RELEASE ARCHITECTURE: the lines for sources.list
  ( . "$2"
  suite=${VERSION_CODENAME:-${UBUNTU_CODENAME:-}}
  if [ -z "$suite" ]; then
    echo "no release name in $2 (ID=${ID:-}): no list can be chosen" >&2
    exit 2
  fi
  case $ID in
    ubuntu)
      case $3 in amd64 | i386) tree=ubuntu ;; *) tree=ubuntu-ports ;; esac
      parts='main restricted universe multiverse' security="$1/$tree $suite-security" ;;
    debian)
      tree=debian parts=main security="$1/debian-security $suite-security"
      [ "$suite" != buster ] || security="$1/debian-security buster/updates" ;;
    *)
      echo "ID=$ID in $2: mirrors are known for Ubuntu, Debian, openEuler and CentOS 7 and 8" >&2
      exit 2 ;;
  esac
  keys=/usr/share/keyrings/$ID-archive-keyring.gpg
  if [ -e "$keys" ]; then keys=" [signed-by=$keys]"; else keys=; fi
  printf '# Written by Paddock: %s %s for %s.\n' "$ID" "${VERSION_ID:-}" "$3"
  printf 'deb%s %s %s\n' "$keys" "$1/$tree $suite" "$parts"
  printf 'deb%s %s %s\n' "$keys" "$1/$tree $suite-updates" "$parts"
  printf 'deb%s %s %s\n' "$keys" "$security" "$parts" )
}
"""

_PLACES = r"""
off=.paddock.disabled
if command -v apt-get >/dev/null; then
  list=/etc/apt/sources.list.d/paddock.list
  set -- /etc/apt/sources.list /etc/apt/sources.list.d/ubuntu.sources \
    /etc/apt/sources.list.d/debian.sources
  text() { wanted "$mirror" /etc/os-release "$(dpkg --print-architecture)"; }
else
  list=/etc/yum.repos.d/paddock.repo
  set --
  for file in /etc/yum.repos.d/*.repo /etc/yum.repos.d/*.repo"$off"; do
    plain=${file%"$off"}
    if [ "$plain" = "$list" ] || { [ "$file" != "$plain" ] && [ -e "$plain" ]; }; then continue; fi
    if distributions "$file"; then set -- "$@" "$plain"; fi
  done
  text() { moved "$mirror" /etc/os-release "$(uname -m)" "$@"; }
fi
"""

_CHECK = r"""
new=$(text "$@") || exit 2
cat "$list" 2>/dev/null || echo "the system's own lists"
for file in "$@"; do
  [ ! -e "$file" ] || exit 1
done
[ "$new" = "$(cat "$list" 2>/dev/null)" ] || exit 1
"""

# A name that ends so is neither read by apt nor complained of (Dir::Ignore-Files-Silently).
_APPLY = r"""
new=$(text "$@")
for file in "$@"; do
  [ ! -e "$file" ] || as_root mv "$file" "$file$off"
done
put() { printf '%s\n' "$1" | as_root tee "$list" >/dev/null; }
if [ "${mirror#https:}" != "$mirror" ] && command -v apt-get >/dev/null &&
  [ ! -e /etc/ssl/certs/ca-certificates.crt ]; then
  # A bare image trusts nobody. What apt fetches is signed, so the authorities may come by http.
  put "$(printf '%s\n' "$new" | sed 's#https://#http://#')"
  as_root apt-get update
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends ca-certificates
fi
put "$new"
echo "wrote $list"
"""

_UNDO = r"""
as_root rm -f "$list"
for file in "$@"; do
  [ ! -e "$file$off" ] || [ -e "$file" ] || as_root mv "$file$off" "$file"
done
"""


def base(address: str) -> str:
    """A mirror's base address: without a final slash and without a distribution's own folder.

    Raises UsageError for what is no address, and for one that holds a password: it would stand in
    files that everybody reads.
    """
    parts = urlsplit(address)
    if not (parts.scheme in ("http", "https") and parts.netloc) and parts.scheme != "file":
        raise UsageError(
            f"the mirror {address!r} is not an address", hint="as in https://repo.huaweicloud.com"
        )
    if parts.username is not None:
        raise UsageError(
            "the address of a mirror holds a user name or password",
            hint="put them into /etc/apt/auth.conf.d or ~/.netrc, and the bare address here",
        )
    bare = address.rstrip("/")
    head, _, last = bare.rpartition("/")
    return head if last in FOLDERS and head.count("/") >= 2 else bare


def system(mirror: str, *, on: str) -> Step:
    """The system's packages from ``mirror``; the lists that were there come back on undo."""
    head = f"mirror={shlex.quote(base(mirror))}\n{AS_ROOT}{WANTED}{MOVED}{_PLACES}"
    return JobStep(
        id="base.mirror",
        title=f"system packages come from {base(mirror)}",
        why="the release and the processor are this machine's own, not those of a copied list",
        on=on,
        what="package lists",
        after=base(mirror),
        checks=head + _CHECK,
        applies=head + _APPLY,
        undoes=head + _UNDO,
        timeout=900,
    )
