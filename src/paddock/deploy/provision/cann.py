"""CANN: toolkit, kernels and NNAL by the vendor's installers; the host's driver is not touched."""

from __future__ import annotations

import shlex

from paddock.deploy import catalog
from paddock.deploy.bundle import MANIFEST
from paddock.deploy.provision.context import Context
from paddock.deploy.provision.job import AS_ROOT, FETCH, JobStep
from paddock.deploy.provision.pip import PipStep, Wanted
from paddock.deploy.provision.python import environment
from paddock.deploy.provision.requirements import constraints, wanted
from paddock.deploy.resolve.stack import File
from paddock.deploy.step import Step

ROOT = "/usr/local/Ascend"
"""Where the installers put what root installs."""

PARTS = {
    "cann": ("CANN toolkit", "the compilers and libraries that every framework on Ascend calls"),
    "kernels": ("CANN kernels", "operators compiled for this chip; without them EZ1001"),
    "nnal": ("CANN NNAL", "vLLM on Ascend calls its libatb.so"),
}
"""The parts in the order of their installation: the others stand on the toolkit."""


def steps(context: Context) -> list[Step]:
    """The installations that the stack names, each by its own installer."""
    stack = context.stack
    if stack is None or stack.version("cann") is None:
        return []
    runs = {file.component: file for file in stack.files if file.kind == "run"}
    found: list[Step] = [*_python(context)]
    for part in PARTS:
        version = stack.version("cann" if part == "kernels" else part)
        if version is not None and part in runs:
            found.append(_install(context, part, version, runs[part]))
    return found


def _python(context: Context) -> list[Step]:
    """The distributions that CANN's own tools import, in the environment of the stack."""
    place = environment(context)
    if place is None:
        return []
    asked = catalog.load().needs("cann", "pip")
    pinned = wanted(context, ("numpy", "protobuf"))
    names = {each.name for each in pinned}
    return [
        PipStep(
            id="cann.python",
            title="the Python packages that CANN's operator compiler imports",
            why="where one is missing, operators fail to compile with error 500001; numpy and"
            " protobuf in the versions that this CANN bears",
            python=place.python,
            wanted=(
                *pinned,
                *(Wanted(_bare(each), source=each) for each in asked if _bare(each) not in names),
            ),
            constraints=constraints(context),
            folder=context.folder,
            artifacts=context.artifacts,
            on=context.place,
        )
    ]


def _bare(requirement: str) -> str:
    from packaging.requirements import Requirement

    return Requirement(requirement).name


# What each installer leaves. Up to 8.3 below ascend-toolkit/latest, from 8.5 on below cann; in
# kernels Version= is a number of its own kind and version_dir= the release.
_VERSION = r"""
version_of() {
  case $part in
    cann) sed -n 's/^version=//p' "$root"/cann/*-linux/ascend_*_install.info \
      "$root"/ascend-toolkit/latest/*-linux/ascend_toolkit_install.info ;;
    kernels) sed -n 's/^version_dir=//p' "$root"/ascend-toolkit/latest/opp_kernel/version.info \
      "$root"/cann/share/info/ops*/version.info "$root"/cann/opp_kernel/version.info ;;
    nnal) sed -n 's/^Ascend-cann-atb *: *//p' "$root"/nnal/atb/latest/version.info ;;
  esac 2>/dev/null | sed -n '1s/^CANN-//p;1s/^\([0-9].*\)/\1/p' | head -n 1
}
lower() { printf '%s' "$1" | tr '[:upper:]' '[:lower:]'; }
right() { [ "$(lower "$(version_of)")" = "$(lower "$version")" ]; }
"""

_CHECK = r"""
now=$(version_of)
echo "${now:-none}"
right || exit 1
"""

# A package may lie in the artifacts, also below run/, or is fetched. SHA256SUMS beside it is
# compared; the package's own --check is its own checksum. What it needs while it unpacks is about
# three times its size.
_APPLY = r"""
package=
for folder in "$artifacts" "$artifacts/run" "$downloads"; do
  if [ -n "$folder" ] && [ -e "$folder/$file" ]; then package=$folder/$file; break; fi
done
if [ -z "$package" ]; then
  if [ -z "$address" ] || [ -e "$artifacts/$manifest" ]; then
    echo "paddock: $file is not in ${artifacts:-any folder of artifacts}" >&2
    exit 1
  fi
  fetch "$address" "$downloads/$file"
  package=$downloads/$file
fi
sums=$(dirname "$package")/SHA256SUMS
if [ -e "$sums" ] && grep -q "[ *]$file\$" "$sums"; then
  if ! (cd "$(dirname "$package")" && grep "[ *]$file\$" SHA256SUMS | sha256sum -c -); then
    echo "paddock: the SHA-256 of $file is not the one in SHA256SUMS" >&2
    exit 1
  fi
fi
need=$(($(wc -c <"$package") * 3 / 1024))
there=$root
while [ ! -d "$there" ]; do there=$(dirname "$there"); done
free=$(df -Pk "$there" | awk 'NR == 2 { print $4 }')
if [ "$free" -lt "$need" ]; then
  echo "paddock: no space left on device: $there has $free KiB free, $file needs about $need" >&2
  exit 1
fi
if [ -r "$environment" ]; then # set_env.sh of some versions reads variables that are not set
  set +eu
  . "$environment"
  set -eu
fi
if ! bash "$package" --check; then
  echo "paddock: $package is damaged: its own --check fails" >&2
  case $package in "$downloads"/*) rm -f "$package" ;; esac # so that the next try fetches it anew
  exit 1
fi
# shellcheck disable=SC2086 # one word or none
as_root bash "$package" --install --quiet $for_all
right || {
  echo "paddock: the installer ended well, but the version files say '$(version_of)'" >&2
  exit 1
}
case $package in "$downloads"/*) rm -f "$package" ;; esac
echo "$part $(version_of)"
"""

# stdin is what was there before: another version is nothing that can be put back from here.
_UNDO = r"""
before=$(cat)
rmdir "$downloads" 2>/dev/null || :
if ! right; then exit 0; fi
if [ "$before" != none ] && [ -n "$before" ]; then
  echo "there was $part $before before; it cannot be put back from here, so $version stays"
  exit 0
fi
case $part in
  cann) set -- "$root/ascend-toolkit/$version"/*-linux/script/uninstall.sh \
    "$root/ascend-toolkit/$version"/cann_uninstall.sh "$root/cann-$version"/cann_uninstall.sh ;;
  kernels) set -- "$root/ascend-toolkit/$version"/opp_kernel/script/uninstall.sh \
    "$root/cann-$version"/share/info/ops*/script/uninstall.sh \
    "$root/cann-$version"/opp_kernel/script/uninstall.sh ;;
  nnal) set -- "$root/nnal/atb/$version"/scripts/uninstall.sh \
    "$root/nnal/atb/$version"/script/uninstall.sh "$root/nnal/nnal_uninstall.sh" ;;
esac
for script; do
  [ -e "$script" ] || continue
  as_root bash "$script"
  break
done
if right; then
  echo "paddock: no uninstall script of $part took it away; looked at: $*" >&2
  exit 1
fi
"""


def _install(context: Context, part: str, version: str, file: File) -> Step:
    title, why = PARTS[part]
    others = [u for u in (context.file.ssh.users if context.file.ssh else ()) if u != "root"]
    words = {
        "part": part,
        "root": ROOT,
        "version": version,
        "file": file.name,
        "address": file.url,
        "artifacts": context.artifacts or "",
        "downloads": f"{context.folder}/downloads",
        "manifest": MANIFEST,
        "environment": f"{context.folder}/environment.sh",
        "for_all": "--install-for-all" if others else "",
    }
    head = "\n".join(f"{k}={shlex.quote(v)}" for k, v in words.items())
    head = f"{head}\n{AS_ROOT}{FETCH}{_VERSION}"
    return JobStep(
        id=f"cann.{'toolkit' if part == 'cann' else part}",
        title=f"{title} {version}",
        why=why,
        on=context.place,
        what=title,
        after=version,
        checks=head + _CHECK,
        applies=head + _APPLY,
        undoes=head + _UNDO,
        timeout=7200,
        hint=f"put {file.name} into the folder stack.artifacts of paddock.yaml"
        if not context.artifacts
        else None,
    )
