"""`{x}` in texts: where it stands decides how the argument is written."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from controlplane.kit.errors import FieldProblem
from tools.calls import ToolError

# {{x}} stands for a literal {x}; other braces are just braces.
_PLACE = re.compile(r"\{\{([A-Za-z_][\w.-]*)\}\}|\{([A-Za-z_][\w.-]*)\}")

ABSENT: Any = object()


def names(value: Any) -> Iterator[str]:
    """The arguments that a text, or any text inside a JSON value, takes."""
    if isinstance(value, str):
        for found in _PLACE.finditer(value):
            if found[2]:
                yield found[2]
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from names(item)
    elif isinstance(value, list):
        for item in value:
            yield from names(item)


def as_text(value: Any) -> str:
    """A value inside a text: null is empty, numbers and booleans plain, the rest compact JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def invalid(field: str, message: str, code: str = "invalid_argument") -> ToolError:
    """The refusal of one argument."""
    return ToolError(message, code=code, errors=[FieldProblem(f"arguments.{field}", code, message)])


def fill(
    text: str, arguments: Mapping[str, Any], write: Callable[[str, Any], str] | None = None
) -> str:
    """The text with every `{x}` replaced by `write(name, value)`, plain text by default.
    ToolError `missing_argument` names the one that was not given."""

    def replace(found: re.Match[str]) -> str:
        if found[1]:
            return f"{{{found[1]}}}"
        name = found[2]
        if name not in arguments:
            raise invalid(name, f"The argument {name} is needed here.", "missing_argument")
        value = arguments[name]
        return write(name, value) if write else as_text(value)

    return _PLACE.sub(replace, text)


def value_of(template: Any, arguments: Mapping[str, Any]) -> Any:
    """A JSON value with its texts filled. A text that is one whole `{x}` keeps the argument's
    type, and is ABSENT where the argument was not given: its key or item is left out."""
    if isinstance(template, str):
        whole = _PLACE.fullmatch(template)
        if whole and whole[2]:
            return arguments.get(whole[2], ABSENT)
        return fill(template, arguments)
    if isinstance(template, Mapping):
        filled = {key: value_of(item, arguments) for key, item in template.items()}
        return {key: item for key, item in filled.items() if item is not ABSENT}
    if isinstance(template, list):
        return [i for i in (value_of(item, arguments) for item in template) if i is not ABSENT]
    return template
