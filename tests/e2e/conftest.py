"""A real Docker engine for the end-to-end tests: the one that answers, or one of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from engine import base_image, base_tar, engine, images, needs_root, site

__all__ = ["base_image", "base_tar", "engine", "images", "needs_root", "site"]


@pytest.fixture(scope="session")
def docker_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    """``docker`` answers while this is in use; skips, with the reason, where it cannot."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    if _answers():
        yield
        return
    own = request.getfixturevalue("engine")
    before = os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = own.host
    try:
        yield
    finally:
        if before is None:
            del os.environ["DOCKER_HOST"]
        else:
            os.environ["DOCKER_HOST"] = before


def _answers() -> bool:
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=60, check=False)
    except OSError:
        return False
    return done.returncode == 0
