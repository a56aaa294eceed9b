"""``PackagesStep``: packages of the system, by apt or dnf; takes back only what it brought."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paddock.deploy.provision.job import AS_ROOT, follow, patient
from paddock.deploy.step import HOST, Ask, Change, Log, Machine, State, sh
from paddock.errors import StepFailed

LOCK_WAIT = 600
"""Seconds for which another program may hold apt's locks before it is a failure."""

TIMEOUT = 3600.0
"""Seconds that an installation may take: slow disks, slow mirrors, and LOCK_WAIT before."""

_WHICH = """
if command -v apt-get >/dev/null; then
  manager=apt
  present() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
  names() {
    dpkg-query -W -f='${db:Status-Status} ${Package}\\n' | sed -n 's/^installed //p' | sort -u
  }
elif command -v dnf >/dev/null || command -v yum >/dev/null; then
  manager=$(command -v dnf || command -v yum)
  present() { rpm -q --quiet "$1" || rpm -q --quiet --whatprovides "$1"; }
  names() { # a key that signs packages is one of them, and all keys have one name
    rpm -qa --qf '%{NAME} %{NAME}-%{VERSION}-%{RELEASE}\\n' |
      sed -e 's/^gpg-pubkey //' -e t -e 's/ .*//' | sort -u
  }
else
  echo 'neither apt-get nor dnf nor yum is here' >&2
  exit 2
fi
"""

_CHECK = """
all=0
# shellcheck disable=SC2086 # several words
if [ "$manager" = apt ]; then set -- $apt; else set -- $dnf; fi
for name; do
  present "$name" || { echo "$name"; all=1; }
done
exit $all
"""

# A snapshot is taken before the first try only, so that a broken one does not pass for "before".
# Locks are waited for by hand: DPkg::Lock::Timeout is not in apt 1.6 and not for the lists' lock.
INSTALL = """
records=$folder/packages
mkdir -p "$records"
if [ ! -e "$records/$id.before" ]; then
  names >"$records/$id.new"
  mv "$records/$id.new" "$records/$id.before"
fi
export DEBIAN_FRONTEND=noninteractive
patient() {
  waited=0
  while :; do
    code=0
    "$@" 2>"$records/$id.errors" || code=$?
    cat "$records/$id.errors" >&2
    [ $code -ne 0 ] || return 0
    grep -q 'Could not get lock\\|Unable to lock\\|frontend is locked\\|acquire the dpkg' \\
      "$records/$id.errors" || return $code
    [ "$waited" -lt "$wait" ] || {
      echo "paddock: the lock was held for $wait s" >&2
      return 75
    }
    waited=$((waited + 5))
    sleep 5
  done
}
# shellcheck disable=SC2086 # several words
if [ "$manager" = apt ]; then
  set -- $apt
  if [ -n "$(dpkg --audit)" ]; then as_root dpkg --configure -a; fi # an earlier try was broken off
  options='-o Dpkg::Use-Pty=0'
  if [ -n "$artifacts" ] && [ -e "$artifacts/debs/Packages" ]; then
    # From a bundle alone; its files were compared with the manifest.
    mkdir -p "$records/lists/partial"
    echo "deb [trusted=yes] file:$artifacts/debs ./" >"$records/bundle.list"
    options="$options -o Dir::Etc::SourceList=$records/bundle.list"
    options="$options -o Dir::Etc::SourceParts=/dev/null"
    options="$options -o Dir::State::Lists=$records/lists"
    # apt's own user could not read below a private folder.
    options="$options -o APT::Sandbox::User=root"
  fi
  patient as_root apt-get $options update
  patient as_root env DEBIAN_FRONTEND=noninteractive \\
    apt-get $options install -y --no-install-recommends "$@"
else
  set -- $dnf
  as_root "$manager" install -y --setopt=install_weak_deps=False "$@"
  for name; do # yum 3 passes over what it does not find
    present "$name" || { echo "No match for argument: $name" >&2; exit 1; }
  done
fi
names | comm -13 "$records/$id.before" - >"$records/$id.new"
cat "$records/$id.new" "$records/$id.installed" 2>/dev/null | sort -u >"$records/$id.all"
mv "$records/$id.all" "$records/$id.installed"
rm -f "$records/$id.before" "$records/$id.new" "$records/$id.errors"
"""

# What somebody else installed since and needs one of ours keeps it: ours is left, and said.
UNDO = """
records=$folder/packages
export DEBIAN_FRONTEND=noninteractive
if [ -e "$records/$id.before" ]; then
  names | comm -13 "$records/$id.before" - >"$records/$id.installed"
fi
[ -s "$records/$id.installed" ] || exit 0
remove=
while read -r name; do
  if present "$name"; then remove="$remove $name"; fi
done <"$records/$id.installed"
# shellcheck disable=SC2086 # several words
if [ "$manager" = apt ]; then
  goes() {
    apt-get -s purge "$@" 2>/dev/null | sed -n 's/^\\(Remv\\|Purg\\) \\([^ ]*\\).*/\\2/p' | sort -u
  }
  if [ -n "$remove" ] && [ -n "$(goes $remove | comm -23 - "$records/$id.installed")" ]; then
    kept=
    for name in $remove; do
      if [ -n "$(goes "$name" | comm -23 - "$records/$id.installed")" ]; then
        echo "$name is needed by packages that came later: it stays"
      else
        kept="$kept $name"
      fi
    done
    remove=$kept
  fi
  [ -z "$remove" ] || as_root env DEBIAN_FRONTEND=noninteractive apt-get purge -y $remove
else
  needing() { # NAME: the installed packages that need it
    { rpm -e --test "$1" 2>&1 || :; } | sed -n 's/.* is needed by (installed) //p' |
      while read -r package; do rpm -q --qf '%{NAME}\\n' "$package"; done | sort -u
  }
  rest='' keys=''
  for name in $remove; do
    case $name in gpg-pubkey-*) keys="$keys $name" ;; *) rest="$rest $name" ;; esac
  done
  remove=''
  while [ "$remove" != "$rest" ]; do # what stays needs others of ours in its turn
    remove=$rest rest=''
    printf '%s\\n' $remove | sort >"$records/$id.going"
    for name in $remove; do
      if [ -n "$(needing "$name" | comm -23 - "$records/$id.going")" ]; then
        echo "$name is needed by packages that came later: it stays"
      else
        rest="$rest $name"
      fi
    done
  done
  # By default what nothing needs any more goes along, whoever brought it.
  [ -z "$remove" ] ||
    as_root "$manager" remove -y --setopt=clean_requirements_on_remove=False $remove
  [ -z "$keys" ] || as_root rpm -e $keys
fi
rm -rf "$records/$id".* "$records/bundle.list" "$records/lists"
rmdir "$records" 2>/dev/null || :
"""


@dataclass(frozen=True, slots=True)
class PackagesStep:
    """Packages by their names in apt's and in dnf's world; the machine says which it is.

    ``folder`` is Paddock's there: it keeps the list of what came newly, dependencies too.
    ``artifacts`` is a folder there; if it is a bundle with packages, nothing else is asked.
    """

    id: str
    title: str
    why: str
    apt: tuple[str, ...]
    dnf: tuple[str, ...]
    folder: str
    on: str = HOST
    artifacts: str | None = None
    wait: int = LOCK_WAIT

    @property
    def asks(self) -> tuple[Ask, ...]:
        """See Step."""
        return (sh(self._head() + _CHECK),)

    def check(self, machine: Machine) -> State:
        """See Step."""
        output = patient(machine).sh(self._head() + _CHECK)
        if output.exit_code not in (0, 1):
            raise StepFailed(
                self.id,
                machine.target,
                output.stderr.strip() or f"its check ended with {output.exit_code}",
                hint="install by hand: " + " ".join(self.apt),
            )
        missing = output.stdout.split()
        changes = tuple(Change(f"package {name}", None, "installed") for name in missing)
        return State(changes, {"missing": missing})

    def apply(self, machine: Machine, log: Log) -> None:
        """See Step."""
        follow(machine, self.id, self._head() + INSTALL, timeout=TIMEOUT, log=log)

    def undo(self, machine: Machine, before: Mapping[str, Any], log: Log) -> None:
        """See Step."""
        if not before.get("missing"):
            return
        machine.follow(
            f"{self.id}.undo", self._head() + UNDO, step=self.id, timeout=TIMEOUT, log=log
        )

    def script(self) -> str:
        """See Step."""
        return f"{self._head()}if ! ({_CHECK}) >/dev/null; then{INSTALL}fi"

    def _head(self) -> str:
        return head(self.id, self.apt, self.dnf, self.folder, self.artifacts, self.wait)


def head(
    step: str,
    apt: tuple[str, ...],
    dnf: tuple[str, ...],
    folder: str,
    artifacts: str | None,
    wait: int = LOCK_WAIT,
) -> str:
    """The variables and functions that INSTALL and UNDO need."""
    words = {
        "id": step,
        "folder": folder,
        "artifacts": artifacts or "",
        "wait": str(wait),
        "apt": " ".join(apt),
        "dnf": " ".join(dnf),
    }
    lines = [f"{name}={shlex.quote(value)}" for name, value in words.items()]
    return "\n".join(lines) + f"\n{AS_ROOT}{_WHICH}"
