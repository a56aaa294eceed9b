"""The places models are pulled from, and the transfer of one file from any of them."""

from __future__ import annotations

from paddock.errors import MissingExtra
from paddock.inference.checkpoint.hubs.base import Hub, Policy
from paddock.settings import Settings


def connect(settings: Settings, policy: Policy) -> Hub:
    """The hub that the settings name. Raises MissingExtra where its library is absent.

    Nothing is sent yet. The caller closes the hub's ``session``.
    """
    try:
        import httpx  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("httpx", "models") from error
    if settings.hub == "modelscope":
        from paddock.inference.checkpoint.hubs.modelscope import ModelScope

        return ModelScope(settings, policy)
    if settings.hub == "mirror":
        from paddock.inference.checkpoint.hubs.mirror import Mirror

        return Mirror(settings, policy)
    from paddock.inference.checkpoint.hubs.huggingface import HuggingFace

    return HuggingFace(settings, policy)
