"""Making one JSON value of another by an expression."""

from typing import Any

from controlplane.kit.expressions import (
    MAX_LENGTH,
    ExpressionError,
    compile_expression,
    compile_template,
)
from tools.calls import ToolError
from tools.functions.registry import ToolContext, function


@function(
    "json_transform",
    effect_class="read",
    stakes="read",
    is_instant=True,
    input_schema={
        "type": "object",
        "properties": {
            "data": {},
            "expression": {"type": "string", "maxLength": MAX_LENGTH},
            "template": {},
        },
        "required": ["data"],
        "oneOf": [{"required": ["expression"]}, {"required": ["template"]}],
        "additionalProperties": False,
    },
    output_schema={"type": "object", "properties": {"result": {}}, "required": ["result"]},
)
def json_transform(arguments: dict[str, Any], context: ToolContext) -> Any:
    """Compute a JSON value from `data`: by a CEL expression over `data`, such as
    `data.items.filter(i, i.price > 10).map(i, i.name)`, or by a template, a JSON value whose texts
    hold `${…}`. Gives {result}."""
    given = {"data": arguments["data"]}
    try:
        if "template" in arguments:
            return {"result": compile_template(arguments["template"]).render(given)}
        return {"result": compile_expression(arguments["expression"]).evaluate(given)}
    except ExpressionError as exc:
        raise ToolError(exc.message, code=exc.code) from None
