"""ModelScope by its public HTTP API, without its library.

Source of the API's form: the paths and fields that the ``modelscope`` client's own source uses.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from paddock.errors import FetchError, GatedModel, PaddockError
from paddock.inference.checkpoint.hubs.base import (
    Listing,
    Policy,
    RemoteFile,
    safe_path,
    sha256_or_none,
    unknown_model,
)
from paddock.inference.checkpoint.hubs.http import Session
from paddock.inference.checkpoint.store import KNOWN
from paddock.settings import Settings

SITE = "https://www.modelscope.cn"


class ModelScope:
    """``paddock pull`` from modelscope.cn."""

    def __init__(self, settings: Settings, policy: Policy) -> None:
        self._endpoint = settings.endpoint or SITE
        self._token = settings.token
        auth = {}
        if settings.token:
            # The cookie is what older parts of the site look at.
            auth = {
                "Authorization": f"Bearer {settings.token}",
                "Cookie": f"m_session_id={settings.token}",
            }
        self.session = Session(self._endpoint, auth, policy)

    def listing(self, name: str, revision: str) -> Listing:
        """The files of a model at a branch or tag; ``main`` means ModelScope's ``master``."""
        repo = hub_id(name)
        branch = "master" if revision == "main" else revision
        api = f"{self._endpoint}/api/v1/models/{quote(repo)}"
        query = urlencode({"Revision": branch, "Recursive": "True"})
        answer = self.session.json(f"{api}/repo/files?{query}", f"listing {repo}")
        files = tuple(
            RemoteFile(
                path=safe_path(entry["Path"]),
                url=f"{api}/repo?{urlencode({'Revision': branch, 'FilePath': entry['Path']})}",
                size=entry["Size"] if isinstance(entry.get("Size"), int) else None,
                sha256=sha256_or_none(entry.get("Sha256")),
            )
            for entry in _entries(answer, repo, branch)
        )
        return Listing(f"{self._endpoint}/models/{repo}", branch, files)

    def measured(self, file: RemoteFile) -> RemoteFile:
        """The file as it is: the listing tells sizes."""
        return file

    def refusal(self, status: int, name: str) -> PaddockError:
        """404 is an unknown model, 401 and 403 one that needs a token."""
        repo = hub_id(name)
        if status == 404:
            return unknown_model(name, f"{self._endpoint} (asked for {repo})")
        return GatedModel(
            f"{self._endpoint} does not give {repo} to everybody (HTTP {status})",
            hint=f"accept its licence at {SITE}/models/{repo}, make a token at"
            f" {SITE}/my/myaccesstoken, then run: PADDOCK_HUB_TOKEN=... paddock pull {name}",
        )


def hub_id(name: str) -> str:
    """The hub's id of a canonical name."""
    return KNOWN[name].modelscope if name in KNOWN else name


def _entries(answer: Any, repo: str, branch: str) -> list[dict[str, Any]]:
    """The files, without folders, of an answer ``{"Code": 200, "Data": {"Files": [...]}}``."""
    if not isinstance(answer, dict) or answer.get("Code") != 200:
        said = answer.get("Message") if isinstance(answer, dict) else None
        raise FetchError(
            f"ModelScope gives no listing of {repo} at {branch!r}: {said or 'no reason given'}",
            hint="a revision is a branch or a tag; the default is master",
        )
    files = (answer.get("Data") or {}).get("Files") or []
    return [
        entry
        for entry in files
        if isinstance(entry, dict)
        and isinstance(entry.get("Path"), str)
        and entry.get("Type") != "tree"
    ]
