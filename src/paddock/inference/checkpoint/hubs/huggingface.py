"""The Hugging Face hub, or a mirror that speaks its API: listing by its client, files by ours."""

from __future__ import annotations

import threading
from typing import Any

from paddock.errors import FetchError, GatedModel, MissingExtra, PaddockError
from paddock.inference.checkpoint.hubs.base import (
    Listing,
    Policy,
    RemoteFile,
    safe_path,
    sha256_or_none,
    unknown_model,
)
from paddock.inference.checkpoint.hubs.http import (
    RETRIED,
    Interrupted,
    Patience,
    Refused,
    Session,
)
from paddock.inference.checkpoint.store import KNOWN
from paddock.settings import Settings

SITE = "https://huggingface.co"


class HuggingFace:
    """``paddock pull`` from huggingface.co or an endpoint of the same API."""

    def __init__(self, settings: Settings, policy: Policy) -> None:
        self._endpoint = settings.endpoint or SITE
        self._token = settings.token
        auth = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
        self.session = Session(self._endpoint, auth, policy)

    def listing(self, name: str, revision: str) -> Listing:
        """The files of a model at a branch, tag or commit, with sizes and digests."""
        try:
            from huggingface_hub import HfApi, hf_hub_url
        except ModuleNotFoundError as error:
            raise MissingExtra("huggingface_hub", "models") from error

        repo = hub_id(name)
        # False and not None: the client would look for a token of its own.
        api = HfApi(endpoint=self._endpoint, token=self._token or False)
        info = self._info(api, repo, revision, name)
        commit = info.sha or revision
        files = []
        for sibling in info.siblings or []:
            lfs = sibling.lfs
            files.append(
                RemoteFile(
                    path=safe_path(sibling.rfilename),
                    # By commit, so that a push during the download cannot mix two versions.
                    url=hf_hub_url(
                        repo, sibling.rfilename, revision=commit, endpoint=self._endpoint
                    ),
                    size=lfs.size if lfs else sibling.size,
                    sha256=sha256_or_none(lfs.sha256) if lfs else None,
                    # Of a file in LFS, the blob is the pointer.
                    git_sha1=None if lfs else sibling.blob_id,
                )
            )
        return Listing(f"{self._endpoint}/{repo}", commit, tuple(files))

    def measured(self, file: RemoteFile) -> RemoteFile:
        """The file as it is: the listing tells sizes."""
        return file

    def refusal(self, status: int, name: str) -> PaddockError:
        """404 is an unknown model; 401 and 403 a gated one, or one the hub does not admit to."""
        repo = hub_id(name)
        if status == 404:
            return unknown_model(name, self._endpoint)
        if self._token:
            what = f"{self._endpoint} does not give {repo} to the owner of this access token"
            todo = f"accept its licence at {SITE}/{repo} (or correct the name), then run"
            return GatedModel(what, hint=f"{todo}: paddock pull {name}")
        return GatedModel(
            f"{repo} is gated, private or does not exist (HTTP {status})",
            hint=f"accept its licence at {SITE}/{repo}, make a token at {SITE}/settings/tokens,"
            f" then run: PADDOCK_HUB_TOKEN=hf_... paddock pull {name}",
        )

    def _info(self, api: Any, repo: str, revision: str, name: str) -> Any:
        """The hub's answer about one model. Raises Refused or FetchError."""
        from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

        policy = self.session.policy
        patience = Patience(policy, threading.Event(), f"listing {repo}")
        while True:
            try:
                return api.model_info(
                    repo, revision=revision, files_metadata=True, timeout=policy.timeout
                )
            except RevisionNotFoundError as error:
                raise FetchError(
                    f"{repo} has no revision {revision!r} at {self._endpoint}",
                    hint="a revision is a branch, a tag or a commit; the default is main",
                ) from error
            except HfHubHTTPError as error:
                failure = self._http_failure(error, name)
            except _transport_errors() as error:
                failure = Interrupted(f"cannot reach {self._endpoint}: {error}", cost=2)
            except ValueError as error:
                # An answer that is not JSON, or an id that the client refuses.
                raise FetchError(
                    f"{self._endpoint} gives no listing of {repo}: {str(error).splitlines()[0]}",
                    hint="check the endpoint, and whether a proxy or login page answers instead",
                ) from error
            patience.wait(failure)

    def _http_failure(self, error: Any, name: str) -> Interrupted:
        status = error.response.status_code
        if status in (401, 403, 404):
            raise Refused(status) from error
        reason = f"{self._endpoint} answers HTTP {status}"
        if status not in RETRIED:
            raise FetchError(f"{reason} to the listing of {name}") from error
        wait = error.response.headers.get("Retry-After", "")
        return Interrupted(reason, wait=float(wait) if wait.isdecimal() else None)


def hub_id(name: str) -> str:
    """The hub's id of a canonical name."""
    return KNOWN[name].huggingface if name in KNOWN else name


def _transport_errors() -> tuple[type[Exception], ...]:
    """What the client raises when there is no answer: it has used three HTTP libraries so far.

    Those of requests, and the client's own for its offline mode, are OSErrors.
    """
    import httpx

    found: list[type[Exception]] = [OSError, httpx.HTTPError]
    try:
        import httpx2

        found.append(httpx2.HTTPError)
    except ModuleNotFoundError:
        pass
    return tuple(found)
