"""The system's packages with all that they stand on, as a small archive that apt installs from."""

from __future__ import annotations

import hashlib
import shlex
import shutil
from pathlib import Path

from paddock.deploy.bundle.contents import Contents
from paddock.deploy.step import Machine
from paddock.errors import BundleError

# apt with a state of its own and an empty list of installed packages: every dependency counts, and
# neither root nor this machine's own lists are needed. What it fetches is checked against the
# signed lists, and what was broken off goes on.
_FETCH = r"""
state=$work/apt
mkdir -p "$state/lists/partial" "$folder/partial"
: >"$state/status"
# shellcheck disable=SC2086 # several words
set -- -o Dir::State="$state" -o Dir::State::status="$state/status" -o Dir::Cache="$state/cache" \
  -o Dir::Cache::archives="$folder" -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)"
apt-get "$@" update
apt-get "$@" install -y --download-only --no-install-recommends $names
rmdir "$folder/partial" 2>/dev/null || rm -rf "$folder/partial"
rm -f "$folder/lock"
"""


def fetch(machine: Machine, folder: Path, contents: Contents, log: object) -> None:
    """The packages in ``folder``, and an index of them. Raises BundleError for another system."""
    here = f"{_os('ID')}:{_os('VERSION_CODENAME')}"
    arch = machine.run(["uname", "-m"]).stdout.strip()
    if shutil.which("apt-get") is None or (here, arch) != (contents.system, contents.arch):
        raise BundleError(
            f"packages of {contents.system} on {contents.arch} cannot be fetched on"
            f" {here} on {arch}: apt knows one release at a time",
            hint="run this command in a container of that release and processor, or leave them"
            " out: --no-packages",
        )
    folder.mkdir(exist_ok=True)
    words = {
        "work": machine.folder,
        "folder": str(folder),
        "names": " ".join(contents.packages),
    }
    head = "\n".join(f"{key}={shlex.quote(value)}" for key, value in words.items())
    machine.follow(
        "debs",
        head + _FETCH,
        step="bundle.packages",
        timeout=24 * 3600.0,
        log=log,  # type: ignore[arg-type]
    )
    index(machine, folder)


def index(machine: Machine, folder: Path) -> None:
    """Writes ``Packages``, which makes the folder an archive.

    Source: Debian's description of the repository format.
    """
    paragraphs = []
    for path in sorted(folder.glob("*.deb")):
        control = machine.run(["dpkg-deb", "--field", str(path)], timeout=60)
        if not control.ok:
            raise BundleError(f"{path.name} is not a package: {control.stderr.strip()}")
        data = path.read_bytes()
        paragraphs.append(
            f"{control.stdout.rstrip()}\nFilename: ./{path.name}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n"
        )
    (folder / "Packages").write_text("\n".join(paragraphs), encoding="utf-8")


def _os(key: str) -> str:
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return ""
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name == key:
            return value.strip('"')
    return ""
