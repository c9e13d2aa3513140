"""The parts of a compiled graph, immutable and shared by threads; and what a fault is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.kit.expressions import Condition, Template

MAX_NODES = 2_000
MAX_EDGES = 20_000
MAX_ITERATIONS = 1_000
MAX_NESTING = 5
MAX_DEFINITION_BYTES = 4 * 1024 * 1024
DEFAULT_INPUT_SCHEMA: dict[str, Any] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a definition: the step (None: the definition itself, or a step without a
    usable id), the dotted field, a code for machines and a sentence for people."""

    node: str | None
    field: str
    code: str
    message: str

    def as_dict(self) -> dict[str, str | None]:
        """The shape of the contract."""
        return {
            "node": self.node, "field": self.field, "code": self.code, "message": self.message
        }  # fmt: skip


class GraphError(ValueError):
    """A definition that `check` would have refused was compiled."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a step is tried in all, and how long it waits in between at most."""

    max_attempts: int = 1
    backoff_seconds: float = 1
    max_backoff_seconds: float = 60


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """From one step to another. One with `on_error` is taken only when its source fails."""

    source: str
    target: str
    when: Condition | None = None
    on_error: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One step. `fields` are its own fields as written with defaults filled in, `templates` those
    of them that take `${…}`; `conditions` the cases of a decision, or the `while` of a loop.
    `references` are the steps that its templates, conditions and outgoing edges read."""

    id: str
    kind: str
    name: str
    index: int
    join: str
    retry: Retry
    timeout_seconds: float | None
    on_error: str
    fields: Mapping[str, Any]
    templates: Mapping[str, Template]
    conditions: tuple[Condition, ...] = ()
    body: "Graph | None" = None
    references: frozenset[str] = frozenset()
    # An outgoing `when` reads this step: a rejected approval then goes on with `approved: false`.
    is_asked_about: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Steps and edges of a definition or a body. `out` and `into` have an entry for every step;
    `references` of a body are the steps outside that it reads."""

    nodes: Mapping[str, Node]
    order: tuple[str, ...]
    out: Mapping[str, tuple[Edge, ...]]
    into: Mapping[str, tuple[Edge, ...]]
    output: Template | None
    input_schema: Mapping[str, Any] = field(default_factory=lambda: DEFAULT_INPUT_SCHEMA)
    references: frozenset[str] = frozenset()

    @property
    def roots(self) -> tuple[str, ...]:
        """The steps that start at once."""
        return tuple(node for node in self.order if not self.into[node])

    @property
    def terminals(self) -> tuple[str, ...]:
        """The steps nothing follows."""
        return tuple(node for node in self.order if not self.out[node])
