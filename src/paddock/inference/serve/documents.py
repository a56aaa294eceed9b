"""What the OpenAPI document says of responses; the bodies of requests come from schema.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_ERRORS = {
    400: "A field or value that cannot be honoured, named.",
    401: "No API key, or a wrong one.",
    404: "No such model.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    415: "The body is not JSON by its type.",
    422: "A value of the wrong type or outside its range.",
    429: "The queue is full; Retry-After says when to come back.",
    503: "Loading, draining, or the worker died.",
}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _json(_ERRORS[status], _ERROR_SCHEMA) for status in statuses}


_STRING, _INTEGER = {"type": "string"}, {"type": "integer"}
_USAGE = _object(prompt_tokens=_INTEGER, completion_tokens=_INTEGER, total_tokens=_INTEGER)
_MODEL = _object(id=_STRING, object=_STRING, created=_INTEGER, owned_by=_STRING)
_FINISH = {"type": "string", "enum": ["stop", "length"]}
_HEAD = {"id": _STRING, "object": _STRING, "created": _INTEGER, "model": _STRING, "usage": _USAGE}


def _completion(**choice: Any) -> dict[str, Any]:
    choices = {"type": "array", "items": _object(index=_INTEGER, finish_reason=_FINISH, **choice)}
    whole = _json("The answer, or with stream its pieces.", _object(choices=choices, **_HEAD))
    whole["content"]["text/event-stream"] = {"schema": _STRING}
    return whole


HEALTH: dict[int | str, dict[str, Any]] = {200: _json("It lives.", _object(status=_STRING))}
READY: dict[int | str, dict[str, Any]] = {
    200: _json("It can answer.", _object(status=_STRING)),
    503: _json("Loading, draining or failed, in a word.", _object(status=_STRING)),
}
METRICS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Prometheus' text format.",
        "content": {"text/plain": {"schema": _STRING}},
    },
    **_errors(401),
}
MODELS: dict[int | str, dict[str, Any]] = {
    200: _json("The one model.", _object(object=_STRING, data={"type": "array", "items": _MODEL})),
    **_errors(401),
}
MODEL: dict[int | str, dict[str, Any]] = {200: _json("The model.", _MODEL), **_errors(401, 404)}
TOKENIZED = _json("The ids.", _object(tokens={"type": "array", "items": _INTEGER}, count=_INTEGER))
SPELLED = _json("The text.", _object(prompt=_STRING))
COMPLETED = _completion(text=_STRING)
ANSWERED = _completion(message=_object(role=_STRING, content=_STRING))


def described(
    schema: type[BaseModel], success: dict[str, Any], dependencies: Sequence[Any]
) -> dict[str, Any]:
    """Arguments of a POST route whose body is read by ourselves, for its errors' sake."""
    # Definitions are put inside: the document's common place is filled by FastAPI alone.
    body = schema.model_json_schema(
        ref_template=f"#/components/schemas/{schema.__name__}.{{model}}"
    )
    parts = body.pop("$defs", {})
    REQUESTS.update({f"{schema.__name__}.{name}": part for name, part in parts.items()})
    return {
        "dependencies": list(dependencies),
        "response_model": None,
        "responses": {200: success, **_errors(*_ERRORS)},
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": body}},
            }
        },
    }


REQUESTS: dict[str, Any] = {}
"""Parts of request schemas, for the document's components."""
