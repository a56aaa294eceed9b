"""A base image for containers where no registry can be reached: a small Debian, kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path

from paddock.errors import RehearsalError
from paddock.shell import LocalRunner

PACKAGES = (
    *("ca-certificates", "iproute2", "openssh-server", "procps", "python3", "python3-venv"),
)
"""What the image has beside apt: as much as the usual images for these machines have."""

_LEFT_OUT = ("man", "doc", "locale", "info")

BUILD = 1200.0
"""Seconds that building the image may take: half a minute on a quiet machine, most of it dpkg."""


def build(folder: Path, release: str = "") -> Path:
    """The image's file system as a tar file in ``folder``, made only if it is not there.

    ``release`` is a codename of Debian, which counts where this machine is one; its own release
    otherwise. It is fetched from where this machine's apt fetches. Raises RehearsalError where
    that is not possible.
    """
    machine = LocalRunner()
    if not machine.run(["sh", "-c", "command -v mmdebstrap"]).ok:
        raise RehearsalError(
            "there is no program to make a base image with",
            hint="Debian and Ubuntu: apt-get install mmdebstrap",
        )
    own = release_of("VERSION_CODENAME")
    if not release or release_of("ID") != "debian":
        release = own
    sources = list(lines(_source_files(), own, release))
    if not sources:
        raise RehearsalError(
            f"this machine's apt has no source for {release!r}: no base image can be made",
            hint="a line for it in /etc/apt/sources.list.d, and apt-get update",
        )
    hook = resources.files("paddock.deploy.rehearse") / "files" / "image-hook.sh"
    key = hashlib.sha256("\n".join([*PACKAGES, *sources, hook.read_text("utf-8")]).encode())
    image = folder / f"{release}-{key.hexdigest()[:12]}.tar"
    if image.exists():
        return image
    folder.mkdir(parents=True, exist_ok=True)
    part = image.with_suffix(f".part{_pid()}")
    script = folder / "image-hook.sh"
    script.write_text(hook.read_text("utf-8"), encoding="utf-8")
    script.chmod(0o755)
    output = machine.run(
        [
            *("mmdebstrap", "--quiet", "--variant=apt", "--mode=root", "--format=tar"),
            *(f"--include={name}" for name in PACKAGES),
            "--dpkgopt=force-unsafe-io",
            *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT),
            *(f"--customize-hook={script}", release, str(part), *sources),
        ],
        timeout=BUILD,
    )
    if not output.ok:
        part.unlink(missing_ok=True)
        raise RehearsalError(
            f"mmdebstrap could not make the base image {release}: {output.stderr.strip()[-600:]}",
            hint=f"it fetches {release} from where this machine's apt fetches: is it there?",
        )
    part.rename(image)
    return image


def _pid() -> str:
    return Path("/proc/self").readlink().name


def release_of(wanted: str) -> str:
    """A value of this machine's /etc/os-release, empty where it has none."""
    for line in Path("/etc/os-release").read_text().splitlines():
        key, _, value = line.partition("=")
        if key == wanted:
            return value.strip('"')
    return ""


def _source_files() -> Iterator[str]:
    folder = Path("/etc/apt")
    for file in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        if file.suffix in (".list", ".sources") and file.is_file():
            yield file.read_text(errors="replace")


def lines(files: Iterable[str], own: str, release: str) -> Iterator[str]:
    """``deb URI SUITE COMPONENT...`` lines for ``release`` out of apt's files for ``own``.

    Only suites of the distribution itself count (own, own-updates, own-security), not others'.
    """
    seen = set()
    for text in files:
        for uri, suite, components in (*_one_line(text), *_deb822(text)):
            if own and suite in (own, f"{own}-updates", f"{own}-security"):
                line = f"deb {uri} {suite.replace(own, release)} {components}"
                if line not in seen:
                    seen.add(line)
                    yield line


def _one_line(text: str) -> Iterator[tuple[str, str, str]]:
    for line in text.splitlines():
        words = line.split("#")[0].replace("[", " [").split()
        if not words or words[0] != "deb":
            continue
        rest = words[1:]
        while rest and (rest[0].startswith("[") or "=" in rest[0]):
            rest = rest[1:]
        if len(rest) >= 3:
            yield rest[0], rest[1], " ".join(rest[2:])


def _deb822(text: str) -> Iterator[tuple[str, str, str]]:
    for paragraph in text.split("\n\n"):
        pairs = (line.partition(":") for line in paragraph.splitlines() if line[:1].isalpha())
        fields = {key.lower(): value.strip() for key, _, value in pairs}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes") == "no":
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield uri, suite, fields.get("components", "")
