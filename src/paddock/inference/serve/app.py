"""The HTTP application: paths to what answers them, every error in OpenAI's shape."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from paddock._version import __version__
from paddock.errors import PaddockError
from paddock.inference.serve import documents
from paddock.inference.serve.completions import complete
from paddock.inference.serve.errors import ApiError, error_body, from_paddock, refused
from paddock.inference.serve.middleware import BodyLimit, Watch
from paddock.inference.serve.schema import (
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
    TokenizeRequest,
    check_meaning,
    without_ignorable,
)
from paddock.inference.serve.state import State

Schema = TypeVar("Schema", bound=BaseModel)
_bearer = HTTPBearer(auto_error=False, description="An API key, if the server asks for one.")


def build(state: State, *, wait: bool = False) -> FastAPI:
    """The application over ``state``, which it starts and stops.

    With ``wait`` its start includes the loading of the model and raises what that raises.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        state.start()
        if wait:
            await state.supervisor.until_ready()
        yield
        await state.stop()

    app = FastAPI(
        title="Paddock",
        version=__version__,
        description="OpenAI-compatible completions by a Llama on this machine.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    _errors(app, state)
    _open_routes(app, state)
    _model_routes(app, state)
    _completion_routes(app, state)
    app.add_middleware(BodyLimit, config=state.config)
    if state.config.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(state.config.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    app.add_middleware(Watch, state=state)
    document = app.openapi()
    document.setdefault("components", {}).setdefault("schemas", {}).update(documents.REQUESTS)
    return app


def _guards(state: State) -> list[Any]:
    """What routes depend on: a key, where the server asks for one; the document says so too."""
    if state.keys is None:
        return []

    async def check(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
        request: Request,
    ) -> None:
        request.state.owner = state.owner(credentials.credentials if credentials else None)

    return [Depends(check)]


def _errors(app: FastAPI, state: State) -> None:
    @app.exception_handler(ApiError)
    async def api_error(_: Request, error: ApiError) -> Response:
        return JSONResponse(error.body(), error.status, error.headers)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        message = str(error.detail)
        if error.status_code == 404:
            message = f"there is no {request.url.path} here; see /openapi.json for what there is"
        elif error.status_code == 405:
            message = f"{request.method} is not possible on {request.url.path}"
        return JSONResponse(
            error_body(error.status_code, message), error.status_code, error.headers
        )

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        state.log.exception("fault", request, error)
        body = error_body(500, "this is a fault of the server; its log says more")
        return JSONResponse(body, 500)


def _open_routes(app: FastAPI, state: State) -> None:
    page = files("paddock.inference.serve").joinpath("static/chat.html").read_text("utf-8")

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def chat_page() -> Response:
        # Self-contained: nothing is fetched from elsewhere, nothing may frame it.
        policy = (
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline';"
            " connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none';"
            " frame-ancestors 'none'"
        )
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}
        return HTMLResponse(page, headers=headers)

    @app.get("/health", responses=documents.HEALTH, summary="Whether the server process lives")
    async def health() -> Response:
        return JSONResponse({"status": "ok"})

    @app.get("/ready", responses=documents.READY, summary="Whether it can answer now")
    async def ready() -> Response:
        why = state.why_not_ready()
        if why is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": why}, 503, {"Retry-After": "1"})


def _model_routes(app: FastAPI, state: State) -> None:
    guarded = _guards(state)

    def described() -> dict[str, Any]:
        limits = state.supervisor.limits
        return {
            "id": state.served.name,
            "object": "model",
            "created": state.served.created,
            "owned_by": "paddock",
            "max_model_len": limits.max_seq_len if limits else None,
        }

    @app.get("/metrics", dependencies=guarded, responses=documents.METRICS, summary="Prometheus")
    async def metrics() -> Response:
        return Response(state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/v1/models", dependencies=guarded, responses=documents.MODELS, summary="The model")
    async def models() -> Response:
        return JSONResponse({"object": "list", "data": [described()]})

    @app.get(
        "/v1/models/{name:path}",
        dependencies=guarded,
        responses=documents.MODEL,
        summary="The model by its name",
    )
    async def model(name: str) -> Response:
        state.check_model(name)
        return JSONResponse(described())

    @app.post("/tokenize", **documents.described(TokenizeRequest, documents.TOKENIZED, guarded))
    async def tokenize(request: Request) -> Response:
        """Counts the tokens of a text or a conversation."""
        asked = await _read(request, TokenizeRequest)
        state.check_model(asked.model)
        if (asked.prompt is None) == (asked.messages is None):
            raise refused("prompt", "or messages must be given, and not both")
        if asked.messages is not None:
            ids = state.served.conversation(asked.messages, None)
        else:
            try:
                bos = asked.add_special_tokens and state.served.tokenizer.bos_id is not None
                ids = state.served.tokenizer.encode(asked.prompt or "", bos=bos)
            except PaddockError as error:
                raise from_paddock(error, "prompt") from None
        room = state.supervisor.limits.max_seq_len if state.supervisor.limits else None
        return JSONResponse({"tokens": ids, "count": len(ids), "max_model_len": room})

    @app.post("/detokenize", **documents.described(DetokenizeRequest, documents.SPELLED, guarded))
    async def detokenize(request: Request) -> Response:
        """Spells token ids."""
        asked = await _read(request, DetokenizeRequest)
        state.check_model(asked.model)
        try:
            text = state.served.tokenizer.decode(asked.tokens)
        except PaddockError as error:
            raise from_paddock(error, "tokens") from None
        return JSONResponse({"prompt": text})

    @app.post("/v1/embeddings", dependencies=guarded, include_in_schema=False)
    async def embeddings() -> Response:
        raise ApiError(
            400,
            "/v1/embeddings is not supported: this server runs a text generator",
            code="unsupported_endpoint",
        )


def _completion_routes(app: FastAPI, state: State) -> None:
    guarded = _guards(state)

    @app.post(
        "/v1/completions", **documents.described(CompletionRequest, documents.COMPLETED, guarded)
    )
    async def completions(request: Request) -> Response:
        """Goes on from a text."""
        asked = await _read(request, CompletionRequest)
        check_meaning(asked)
        state.check_model(asked.model)
        limits = state.limits()
        prompts = state.served.prompts(asked, limits)
        return await complete(state, request, asked, prompts)

    @app.post(
        "/v1/chat/completions", **documents.described(ChatRequest, documents.ANSWERED, guarded)
    )
    async def chat_completions(request: Request) -> Response:
        """Answers a conversation."""
        asked = await _read(request, ChatRequest)
        check_meaning(asked)
        state.check_model(asked.model)
        limits = state.limits()
        prompts = [state.served.conversation(asked.messages, limits)]
        return await complete(state, request, asked, prompts)


async def _read(request: Request, schema: type[Schema]) -> Schema:
    """The request's body, checked. Raises ApiError: 400, 415, 422."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, f"the body's type is {kind or 'not given'}; send application/json")
    try:
        body = json.loads(await request.body(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body is no JSON: {error}", code="invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError(422, "the body must be a JSON object", code="invalid_type")
    body = without_ignorable(body)
    try:
        return schema.model_validate(body)
    except ValidationError as error:
        raise _explained(error) from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _explained(error: ValidationError) -> ApiError:
    """The first thing that is wrong: 400 for a field that does not exist, else 422."""
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    # Names of the alternatives of a union stand among the keys; they are no fields.
    path = [str(part) for part in first["loc"] if not _is_alternative(part)]
    param = ".".join(path)
    if first["type"] == "extra_forbidden":
        return refused(param)
    message = f"{param}: {first['msg'][:1].lower()}{first['msg'][1:]}"
    return ApiError(422, message, code=first["type"], param=param)


def _is_alternative(part: int | str) -> bool:
    return isinstance(part, str) and (
        "[" in part or part in ("str", "constrained-str", "function-after", "StreamOptions")
    )
