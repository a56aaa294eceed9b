"""Runs a chat template from a stranger without letting it reach out, hang or fill the memory."""

# ruff: noqa: N802, N815 - the names of Jinja's visitor

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from paddock.errors import TokenizerError, UsageError

MAX_SOURCE = 256 * 1024
"""Characters of a template; published ones have less than 32 thousand."""
MAX_TURNS = 100_000
"""Loop passes and macro calls in one rendering."""
MAX_SECONDS = 5.0
"""Wall-clock time of one rendering; checked at every counted step."""
SPARE = 1_000_000
"""Size that a value may have beyond four times the input: characters, elements, scalars."""

_METHODS = frozenset(
    """strip lstrip rstrip split rsplit splitlines partition rpartition join replace
    startswith endswith removeprefix removesuffix find rfind index count
    lower upper title capitalize isdigit isalpha isalnum isspace""".split()  # noqa: SIM905
)
_FILTERS = frozenset(
    """trim length count join replace upper lower title capitalize string int float default d
    first last list map select selectattr reject rejectattr items dictsort sort unique reverse
    min max sum round abs attr safe escape e""".split()  # noqa: SIM905
)


class _TooMuchError(Exception):
    """The template went over a limit."""


class Sandbox:
    """A compiled chat template. Rendering is serialised: one at a time, from any thread.

    Beyond Jinja's immutable sandbox (no access to Python's internals, no change of what is passed
    in) the size of every value that a template makes, the number of loop passes and calls, the
    text written and the time are bounded.
    """

    def __init__(self, source: str, origin: str) -> None:
        if len(source) > MAX_SOURCE:
            raise TokenizerError(f"{origin} is a template of {len(source)} characters",
                                 hint=f"at most {MAX_SOURCE} are accepted")  # fmt: skip
        self._origin = origin
        self._source_size = len(source)
        self._env = _Environment()
        self._lock = threading.Lock()
        try:
            tree = _Instrument().visit(self._env.parse(source))
            self._template = self._env.from_string(tree)
        except (TemplateSyntaxError, TemplateError, RecursionError, ValueError) as error:
            raise TokenizerError(f"{origin} is no usable Jinja template: {error}") from error

    def render(self, **variables: Any) -> str:
        """The text for ``variables``.

        Raises UsageError if the template itself refuses (``raise_exception``), TokenizerError if
        it fails, does what the sandbox forbids or goes over a limit.
        """
        with self._lock:
            self._env.start(4 * (self._source_size + _size(variables, 10**9)) + SPARE)
            try:
                return "".join(self._env.bounded(self._template.generate(**variables)))
            except _RefusalError as error:
                raise UsageError(f"{self._origin} refuses these messages: {error}") from error
            except _TooMuchError as error:
                raise TokenizerError(
                    f"{self._origin} does too much: {error}", hint="do not trust its source"
                ) from error
            except RecursionError as error:
                raise TokenizerError(f"{self._origin} calls itself without end") from error
            except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError,
                    AttributeError) as error:  # fmt: skip
                raise TokenizerError(f"{self._origin} fails: {error}") from error


class _RefusalError(TemplateError):
    """What a template says through raise_exception."""


class _Environment(ImmutableSandboxedEnvironment):
    """Settings and helpers as transformers offers them to chat templates, each bounded."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        self.filters = {
            name: self._guarded(function)
            for name, function in self.filters.items()
            if name in _FILTERS and name not in ("join", "replace")
        }
        self.filters["tojson"] = self._guarded(_tojson)
        self.filters["join"] = self._join
        self.filters["replace"] = self._replace
        del self.globals["lipsum"]
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = _strftime_now
        self.start(SPARE)

    def start(self, limit: int) -> None:
        """Begins a rendering in which no value may be larger than ``limit``."""
        self._limit = limit
        self._turns = 0
        self._written = 0
        self._deadline = time.monotonic() + MAX_SECONDS

    # Called by the instrumented template; Environment itself has a concat, so the long names.

    def count_turn(self, literals: int) -> str:
        """Counts a loop pass or call whose body writes ``literals`` characters of its own."""
        self._turns += 1
        self._count(literals)
        if self._turns > MAX_TURNS:
            raise _TooMuchError(f"more than {MAX_TURNS} loop passes")
        return ""

    def concat_values(self, *values: Any) -> str:
        """The ``~`` operator."""
        self._check_size(values)
        return "".join(map(str, values))

    def check_value(self, value: Any) -> Any:
        """A list, tuple or dict that the template made."""
        self._check_size(value)
        return value

    def count_output(self, value: Any) -> Any:
        """A value that the template writes."""
        self._count(self._check_size(value))
        return value

    # Hooks of Jinja's sandbox.

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuses arithmetic whose result would be huge."""
        if operator == "+":
            self._check_size((left, right))
        elif operator == "*":
            self._check_product(left, right)
        elif not all(isinstance(value, (int, float)) for value in (left, right)):
            raise SecurityError(f"{operator} on {type(left).__name__} is not allowed")
        elif operator == "**" and (abs(left) > 2**32 or abs(right) > 64):
            raise _TooMuchError(f"{left} ** {right}")
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Calls what the sandbox allows, with bounded arguments and result."""
        owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if owner is __self:
            return __obj(*args)  # the methods above, which check for themselves
        if isinstance(owner, str) and name == "join":
            return __self._join(args[0] if args else (), owner)
        if isinstance(owner, str) and name == "replace":
            return __self._replace(owner, *args)
        __self._check_size((args, kwargs))
        result = super().call(__context, __obj, *args, **kwargs)
        __self._check_size(result)
        return result

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Of a text's methods, those that cannot grow it out of proportion."""
        if isinstance(obj, (str, bytes)) and attr not in _METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Any:
        """Refuses ``str.format``, which pads to any width."""
        if super().wrap_str_format(value) is not None:
            raise SecurityError("str.format is not allowed")

    # Limits.

    def bounded(self, parts: Iterable[str]) -> Iterable[str]:
        """Passes on what is written until it is too much."""
        total = 0
        for part in parts:
            total += len(part)
            if total > self._limit:
                raise _TooMuchError(f"more than {self._limit} characters written")
            yield part

    def _count(self, characters: int) -> None:
        self._written += characters
        # Text captured in a variable and written later counts each time.
        if self._written > 4 * self._limit:
            raise _TooMuchError(f"more than {self._limit} characters written")
        if time.monotonic() > self._deadline:
            raise _TooMuchError(f"more than {MAX_SECONDS} s")

    def _check_size(self, value: Any) -> int:
        size = _size(value, self._limit)
        if size > self._limit:
            raise _TooMuchError(f"a value larger than {self._limit}")
        self._count(0)
        return size

    def _check_product(self, left: Any, right: Any) -> None:
        sizes = [
            abs(value) if isinstance(value, (int, float)) else _size(value, self._limit)
            for value in (left, right)
        ]
        numbers = all(isinstance(value, (int, float)) for value in (left, right))
        if sizes[0] * sizes[1] > (2**64 if numbers else self._limit):
            raise _TooMuchError(f"a product of {type(left).__name__} and {type(right).__name__}")

    def _guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The filter with bounded arguments and result."""

        def guarded(*args: Any, **kwargs: Any) -> Any:
            plain = [value for value in args if isinstance(value, (str, list, tuple, dict))]
            self._check_size((plain, kwargs))
            result = function(*args, **kwargs)
            self._check_size(result)
            return result

        # Jinja finds out here whether a filter wants the context or the environment first.
        guarded.__dict__.update(getattr(function, "__dict__", {}))
        return guarded

    def _join(self, value: Iterable[Any], d: str = "", attribute: Any = None) -> str:
        values = list(value)
        if attribute is not None:
            values = [self.getitem(entry, attribute) for entry in values]
        if self._check_size(values) + len(values) * len(str(d)) > self._limit:
            raise _TooMuchError("a joined text")
        return str(d).join(map(str, values))

    def _replace(self, s: Any, old: str, new: str, count: int | None = None) -> str:
        text, old, new = str(s), str(old), str(new)
        hits = text.count(old) if count is None or count < 0 else min(text.count(old), count)
        if self._check_size(text) + hits * len(new) > self._limit:
            raise _TooMuchError("a replacement")
        return text.replace(old, new, -1 if count is None else count)


def _size(value: Any, limit: int) -> int:
    """Characters, elements and scalars within a value; stops counting beyond ``limit``."""
    total, stack = 0, [value]
    while stack and total <= limit:
        entry = stack.pop()
        total += 1
        if isinstance(entry, (str, bytes)):
            total += len(entry)
        elif isinstance(entry, dict):
            stack += [*entry.keys(), *entry.values()]
        elif isinstance(entry, (list, tuple, set, frozenset)):
            stack += entry
    return total


class _Instrument(NodeTransformer):
    """Makes a parsed template report what it does to the ``_Environment``."""

    def _body(self, node: Any) -> Any:
        self.generic_visit(node)
        literals = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        node.body.insert(0, nodes.ExprStmt(_call("count_turn", [nodes.Const(literals)])))
        return _placed(node)

    visit_For = visit_Macro = visit_CallBlock = visit_Block = _body

    def _literal(self, node: Any) -> Any:
        self.generic_visit(node)
        # A target of an assignment is no value.
        if getattr(node, "ctx", "load") == "store":
            return node
        return _placed(_call("check_value", [node]), node)

    visit_List = visit_Tuple = visit_Dict = _literal

    def visit_Concat(self, node: Any) -> Any:
        self.generic_visit(node)
        return _placed(_call("concat_values", node.nodes), node)

    def visit_Output(self, node: Any) -> Any:
        self.generic_visit(node)
        node.nodes = [
            part if isinstance(part, nodes.TemplateData) else _call("count_output", [part])
            for part in node.nodes
        ]
        return _placed(node)


def _call(name: str, arguments: list[Any]) -> Any:
    return nodes.Call(nodes.EnvironmentAttribute(name), arguments, [], None, None)


def _placed(node: Any, old: Any = None) -> Any:
    """``node`` with line number and environment, which Jinja expects, in its new parts too."""
    old = node if old is None else old
    node.set_lineno(old.lineno)
    node.set_environment(old.environment)
    return node


def _raise_exception(message: str) -> None:
    raise _RefusalError(str(message))


def _strftime_now(form: str) -> str:
    if len(form) > 100:
        raise SecurityError("a date format of more than 100 characters is not allowed")
    return datetime.now().strftime(form)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    if isinstance(value, Undefined):
        raise ValueError(f"tojson of an undefined value: {value._undefined_message}")
    if indent is not None and not 0 <= indent <= 16:
        raise SecurityError(f"tojson with an indent of {indent} is not allowed")
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)  # fmt: skip
