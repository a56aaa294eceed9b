"""The bundle that a deployment was installed from: its next commands go on with it."""

from __future__ import annotations

from pathlib import Path

from paddock.deploy.bundle import Source
from paddock.errors import BundleError

NAME = "bundle.json"


def read(folder: Path) -> Source | None:
    """The bundle of the deployment in ``folder``, None without one. Raises BundleError."""
    import msgspec

    path = folder / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Source)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise BundleError(
            f"cannot read which bundle the deployment comes from: {path}: {error}",
            hint="remove it; then: paddock bundle install FOLDER",
        ) from error


def write(folder: Path, source: Source) -> None:
    """Remembers it, whole or not at all."""
    import msgspec

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = folder / f"{NAME}.part"
    part.write_bytes(msgspec.json.encode(source))
    part.replace(folder / NAME)


def forget(folder: Path) -> None:
    """Remembers none."""
    (folder / NAME).unlink(missing_ok=True)
