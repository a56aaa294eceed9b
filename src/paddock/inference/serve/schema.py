"""What clients may send, field by field; what they send and the server cannot do is named."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from paddock.inference.serve.errors import ApiError, refused

IGNORABLE: dict[str, tuple[Any, ...]] = {
    "best_of": (1,),
    "logit_bias": ({},),
    "suffix": ("",),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none",),
    "function_call": ("none",),
    "parallel_tool_calls": (),
    "store": (False,),
    "metadata": ({},),
    "service_tier": ("auto", "default"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": ("none",),
    "verbosity": (),
    "web_search_options": (),
    "safety_identifier": (),
    "prompt_cache_key": (),
    "use_beam_search": (False,),
    "length_penalty": (1,),
}
"""Fields of OpenAI's and vLLM's APIs that are not honoured: the values that ask for nothing."""

Tokens = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
Short = Annotated[str, StringConstraints(max_length=512)]


class _Strict(BaseModel):
    # Numbers are not read from strings, booleans not from numbers: what is sent is meant.
    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())


class StreamOptions(_Strict):
    """What a stream carries besides the text."""

    include_usage: bool = False
    """A last chunk with the token counts."""
    continuous_usage_stats: bool = False
    """Every chunk has the counts so far; vLLM's, and guidellm asks for it."""


class JsonSchema(_Strict):
    """A named JSON schema that the answer follows."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)] = "answer"
    description: Short | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(_Strict):
    """Free text, any JSON object, or JSON that follows a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class Generation(_Strict):
    """What both kinds of completion take."""

    model: str
    """The name that ``/v1/models`` lists."""
    n: Annotated[int, Field(ge=1, le=16)] = 1
    """How many answers."""
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    stop: Short | Annotated[list[Short], Field(max_length=16)] | None = None
    """Texts that end an answer; they are not part of it."""
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    """The same seed gives the same answer."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] | None = 1.0
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = 0.0
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = 0.0
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    response_format: ResponseFormat | None = None
    user: Short | None = None
    """A name for the log, if prompts are logged."""
    # Not OpenAI's; spelled as vLLM spells them.
    top_k: Annotated[int, Field(ge=-1)] | None = 0
    """Among the k likeliest; 0 and -1 are off."""
    min_p: Annotated[float, Field(ge=0, le=1)] | None = 0.0
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = 1.0
    ignore_eos: bool = False
    stop_token_ids: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=64)] | None = None


class CompletionRequest(Generation):
    """Goes on from a text or token ids, or from several."""

    prompt: (
        str
        | Tokens
        | Annotated[list[str], Field(min_length=1, max_length=64)]
        | Annotated[list[Tokens], Field(min_length=1, max_length=64)]
    )
    echo: bool | None = False
    """The prompt comes back in front of the answer."""
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


class TextPart(_Strict):
    """A piece of a message."""

    type: Literal["text"]
    text: str


class Message(_Strict):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[TextPart], Field(min_length=1)]
    name: Short | None = None

    def text(self) -> str:
        """The content, its parts put together."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class ChatRequest(Generation):
    """Answers a conversation."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    """The newer name of ``max_tokens``."""
    logprobs: bool | None = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


class TokenizeRequest(_Strict):
    """A text or a conversation to count."""

    model: str | None = None
    prompt: str | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    add_special_tokens: bool = True
    """The begin token in front of a text."""


class DetokenizeRequest(_Strict):
    """Token ids to spell."""

    model: str | None = None
    tokens: list[Annotated[int, Field(ge=0)]]


def without_ignorable(body: dict[str, Any]) -> dict[str, Any]:
    """``body`` less the fields that ask for nothing; left in are those of a schema and of nobody.

    Raises ApiError (400) for one that asks for what would not be done.
    """
    kept = {}
    for name, value in body.items():
        if name not in IGNORABLE:
            kept[name] = value
        elif value is not None and value not in IGNORABLE[name]:
            raise refused(name)
    return kept


def check_meaning(request: Generation) -> None:
    """Refuses combinations that would leave a field without effect. Raises ApiError (400)."""
    if request.stream_options is not None and not request.stream:
        raise refused("stream_options", "needs stream")
    options = request.stream_options
    if options is not None and options.continuous_usage_stats and not options.include_usage:
        raise refused("stream_options.continuous_usage_stats", "needs include_usage")
    form = request.response_format
    if form is not None and (form.type == "json_schema") != (form.json_schema is not None):
        raise refused("response_format", "needs json_schema for type json_schema, and only then")
    if isinstance(request, CompletionRequest):
        if request.echo and request.logprobs is not None:
            raise refused("echo", "with logprobs is not supported: prompts are not scored")
    elif isinstance(request, ChatRequest):
        if request.top_logprobs is not None and not request.logprobs:
            raise refused("top_logprobs", "needs logprobs")
        both = (request.max_tokens, request.max_completion_tokens)
        if None not in both and both[0] != both[1]:
            raise ApiError(
                400,
                f"max_tokens is {both[0]} and max_completion_tokens {both[1]}",
                code="invalid_value",
                param="max_tokens",
            )
        for message in request.messages:
            if message.name is not None:
                raise refused("messages.name", "is not part of this model's conversations")
