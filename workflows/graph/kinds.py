"""The kinds of step as data: which fields each takes, and what may be in them."""

from dataclasses import dataclass
from typing import Any

from workflows.graph import rules
from workflows.graph.model import MAX_ITERATIONS

DAY = rules.DAY


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a step. `template`: its texts take `${…}`. Null means the default, except where
    null is a value of its own."""

    rule: rules.Rule
    required: bool = False
    default: Any = None
    template: bool = False
    takes_null: bool = False


_SLUG = Field(rules.text(63, empty=False), required=True)
_DUE = Field(rules.number(0, 366 * DAY, above=True), template=True)
_TITLE = Field(rules.text(1_000, empty=False), required=True, template=True)

COMMON: dict[str, Field] = {
    "id": Field(rules.anything, required=True),
    "kind": Field(rules.anything, required=True),
    "name": Field(rules.text(200)),
    "retry": Field(rules.retry),
    "timeout_seconds": Field(rules.number(0, 30 * DAY, above=True)),
    "on_error": Field(rules.text(rules.MAX_ID), default="fail"),
    "join": Field(rules.choice("all", "any"), default="all"),
    "position": Field(rules.position),
}

KINDS: dict[str, dict[str, Field]] = {
    "tool": {
        "tool": _SLUG,
        "arguments": Field(rules.objects, default={}, template=True),
    },
    "agent": {
        "agent": _SLUG,
        "prompt": Field(rules.text(), required=True, template=True),
        "output_schema": Field(rules.schema),
    },
    "transform": {"set": Field(rules.objects, required=True, template=True)},
    "decision": {
        "cases": Field(rules.anything, required=True),
        "default": Field(rules.text(rules.MAX_ID)),
    },
    "map": {
        "over": Field(rules.listed, required=True, template=True),
        "body": Field(rules.objects, required=True),
        "max_concurrency": Field(rules.number(1, 10_000, whole=True), default=10, template=True),
        "allow_failures": Field(rules.number(0, 10_000, whole=True), default=0, template=True),
    },
    "loop": {
        "body": Field(rules.objects, required=True),
        "while": Field(rules.anything, required=True),
        "max_iterations": Field(
            rules.number(1, MAX_ITERATIONS, whole=True), default=MAX_ITERATIONS
        ),
    },
    "approval": {
        "title": _TITLE,
        "show": Field(rules.anything, template=True),
        "arguments": Field(rules.anything, template=True),
        "assignees": Field(rules.people, template=True),
        "quorum": Field(rules.number(1, 100, whole=True), default=1, template=True),
        "due_seconds": _DUE,
        "on_timeout": Field(rules.choice("reject", "escalate", "continue"), default="reject"),
    },
    "form": {
        "title": _TITLE,
        "schema": Field(rules.schema, required=True),
        "due_seconds": _DUE,
    },
    "wait": {
        "seconds": Field(rules.number(0, 366 * DAY), template=True),
        "until": Field(rules.moment, template=True),
    },
    "signal": {
        "name": Field(rules.text(100, empty=False), required=True, template=True),
        "due_seconds": _DUE,
    },
    "workflow": {
        "workflow": _SLUG,
        "input": Field(rules.anything, default={}, template=True, takes_null=True),
        "wait": Field(rules.flag, default=True),
    },
    "fail": {"message": Field(rules.text(4_000), required=True, template=True)},
}


def fields_of(kind: str) -> dict[str, Field]:
    """The fields of a kind, its own ones over the common ones (a signal's `name`)."""
    return _FIELDS[kind]


_FIELDS = {kind: {**COMMON, **own} for kind, own in KINDS.items()}
