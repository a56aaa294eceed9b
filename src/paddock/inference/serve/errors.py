"""Errors as OpenAI's clients expect them: a status, and an object that says which field and why."""

from __future__ import annotations

from typing import Any

from paddock.errors import PaddockError, PromptTooLong

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "service_unavailable_error",
}
"""``error.type`` by status; the official client chooses its exception by the status alone."""


class ApiError(Exception):
    """An answer other than 200. ``param`` is the field at fault, ``code`` a word for programs."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The JSON object that goes out."""
        return error_body(self.status, self.message, self.code, self.param)


def error_body(
    status: int, message: str, code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    """OpenAI's error object."""
    kind = TYPES.get(status, "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def refused(name: str, why: str = "is not supported by this server") -> ApiError:
    """400 for a field that would not be honoured."""
    return ApiError(400, f"{name} {why}", code="unsupported_parameter", param=name)


def from_paddock(error: PaddockError, param: str | None = None) -> ApiError:
    """What an exception of Paddock's own, raised while looking at a request, means to a client."""
    code = "context_length_exceeded" if isinstance(error, PromptTooLong) else "invalid_value"
    return ApiError(400, str(error), code=code, param=param)


def unavailable(message: str, *, retry_after: int = 1) -> ApiError:
    """503: loading, draining, or the worker died."""
    headers = {"Retry-After": str(retry_after)}
    return ApiError(503, message, code="unavailable", headers=headers)
