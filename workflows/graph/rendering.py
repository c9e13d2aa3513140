"""The fields of a step with their expressions filled in, and checked again: data may be wrong."""

from collections.abc import Mapping
from typing import Any

from controlplane.kit.expressions import ExpressionError
from workflows.graph.kinds import KINDS
from workflows.graph.model import Node


def render_field(node: Node, name: str, context: Mapping[str, Any]) -> Any:
    """The value of one field of the kind, of the type the kind asks for. ExpressionError where an
    expression fails or gives what does not fit."""
    field = KINDS[node.kind][name]
    template = node.templates.get(name)
    if template is None:
        return node.fields[name]
    value = template.render(context)
    if template.is_constant:
        return value
    if value is None and not field.required and not field.takes_null:
        return field.default
    for place, _, message in field.rule(value):
        where = f"{name}.{place}" if place else name
        raise ExpressionError(f"{where}: {message}", reason="type")
    return value


def render_fields(node: Node, context: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of the kind by name, as `render_field` gives them; bodies, schemas and conditions
    stay as written."""
    return {name: render_field(node, name, context) for name in KINDS[node.kind]}
