"""A plain web server that holds models as folders: the mirror of a machine room without internet.

``BASE/<name>/`` holds the files and, preferably, ``SHA256SUMS`` as ``sha256sum`` writes it. Without
it, the files are those that ``model.safetensors.index.json`` lists (or ``model.safetensors``) and
the well-known ones that are there; then sizes are checked, contents are not.
"""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from urllib.parse import quote

from paddock.errors import FetchError, GatedModel, PaddockError, UsageError
from paddock.inference.checkpoint.hubs.base import (
    Listing,
    Policy,
    RemoteFile,
    safe_path,
    sha256_or_none,
    unknown_model,
)
from paddock.inference.checkpoint.hubs.choose import BESIDES
from paddock.inference.checkpoint.hubs.http import Refused, Session
from paddock.settings import Settings

INDEX = "model.safetensors.index.json"

log = logging.getLogger(__name__)


class Mirror:
    """``paddock pull`` from a base URL."""

    def __init__(self, settings: Settings, policy: Policy) -> None:
        assert settings.endpoint, "settings.load refuses a mirror without an endpoint"
        self._base = settings.endpoint
        auth = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
        self.session = Session(self._base, auth, policy)

    def listing(self, name: str, revision: str) -> Listing:
        """The files of ``BASE/<name>/``. Raises UsageError for a revision: there is only one."""
        if revision != "main":
            raise UsageError(
                f"a mirror has no revision {revision!r}: it holds one version of a model"
            )
        root = f"{self._base}/{quote(name)}"
        files = self._from_sums(root, name) or self._from_index(root, name)
        if not files:
            raise Refused(404)
        return Listing(root, "", tuple(files))

    def measured(self, file: RemoteFile) -> RemoteFile:
        """The file with the size that a HEAD request tells."""
        if file.size is not None:
            return file
        return replace(file, size=self.session.size(file.url, file.path))

    def refusal(self, status: int, name: str) -> PaddockError:
        """404 is an unknown model, 401 and 403 a server that wants a token."""
        if status == 404:
            return unknown_model(name, self._base)
        return GatedModel(
            f"{self._base} refuses {name} (HTTP {status}): it wants an access token, or another",
            hint=f"PADDOCK_HUB_TOKEN=... paddock pull {name}",
        )

    def _from_sums(self, root: str, name: str) -> list[RemoteFile]:
        """The files that SHA256SUMS lists; none where there is no such file."""
        try:
            text = self.session.read(f"{root}/SHA256SUMS", f"listing {name}").text
        except Refused as refused:
            if refused.status == 404:
                return []
            raise
        files = []
        for line in filter(str.strip, text.splitlines()):
            found = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", line.rstrip())
            if not found:
                raise FetchError(
                    f"{root}/SHA256SUMS has a line that is not 'digest  file': {line[:80]!r}",
                    hint="make it in the model's folder with: sha256sum * > SHA256SUMS",
                )
            path = safe_path(found[2])
            if path != "SHA256SUMS":
                files.append(
                    RemoteFile(path, f"{root}/{quote(path)}", sha256=sha256_or_none(found[1]))
                )
        return files

    def _from_index(self, root: str, name: str) -> list[RemoteFile]:
        """The files of a folder in Hugging Face's layout that has no SHA256SUMS."""
        weights = ["model.safetensors"]
        try:
            index = self.session.json(f"{root}/{INDEX}", f"listing {name}")
            weights = [INDEX, *sorted(set(index["weight_map"].values()))]
        except Refused as refused:
            if refused.status != 404:
                raise
        except (KeyError, TypeError, AttributeError) as error:
            raise FetchError(f"{root}/{INDEX} has no weight_map of file names") from error
        files = []
        for path in [*map(safe_path, weights), *BESIDES]:
            file = RemoteFile(path, f"{root}/{quote(path)}")
            try:
                files.append(self.measured(file))
            except Refused as refused:
                if refused.status != 404 or path in weights[1:]:
                    raise
        if not any(file.path in weights for file in files):
            return []
        log.warning("%s has no SHA256SUMS: sizes are checked, contents are not", root)
        return files
