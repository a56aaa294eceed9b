"""The bundle that a deployment was installed from: its next commands go on with it."""

from __future__ import annotations

from pathlib import Path

from paddock.deploy import typed
from paddock.deploy.bundle import Source
from paddock.deploy.plan import private
from paddock.errors import BundleError

NAME = "bundle.json"


def read(folder: Path) -> Source | None:
    """The bundle of the deployment in ``folder``, None without one. Raises BundleError."""
    import msgspec

    path = folder / NAME
    try:
        return typed.decode(path.read_bytes(), Source)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise BundleError(
            f"cannot read which bundle the deployment comes from: {path}: {error}",
            hint="remove it; then: paddock bundle install FOLDER",
        ) from error


def write(folder: Path, source: Source) -> None:
    """Remembers it."""
    import msgspec

    private.write(folder / NAME, msgspec.json.encode(source))


def forget(folder: Path) -> None:
    """Remembers none."""
    (folder / NAME).unlink(missing_ok=True)
