"""Faults of what a step calls: does it exist, do constant arguments fit, is there a cycle."""

from collections.abc import Iterator
from typing import Any

from workflows.graph.arguments import misfits
from workflows.graph.catalogue import MAX_CALL_DEPTH, Catalogue, call_depth, way_back
from workflows.graph.rules import Problem, is_dynamic


class CallCheck:
    """Asks the catalogue, once for each slug."""

    def __init__(self, catalogue: Catalogue, slug: str) -> None:
        self._catalogue = catalogue
        self._slug = slug
        self._answers: dict[tuple[str, str], Any] = {}
        self._tried: dict[str, list[Problem]] = {}

    def problems(self, node: dict[str, Any]) -> Iterator[Problem]:
        """What is wrong with the call of one step, field by field."""
        kind = node.get("kind")
        called = node.get(kind) if kind in ("tool", "agent", "workflow") else None
        if not isinstance(called, str) or not called.strip():
            return
        info = self._info(str(kind), called)
        if info is None:
            yield (
                str(kind),
                f"unknown_{kind}",
                f"There is no {kind} '{called:.80}' in this project.",
            )
        elif kind == "tool":
            yield from _below("arguments", misfits(info.input_schema, node.get("arguments") or {}))
        elif kind == "workflow":
            yield from self._of_workflow(called)
            given = node.get("input", {})
            if not is_dynamic(given):
                yield from _below("input", misfits(info.input_schema, given))

    def _info(self, kind: str, slug: str) -> Any:
        key = (kind, slug)
        if key not in self._answers:
            self._answers[key] = getattr(self._catalogue, kind)(slug)
        return self._answers[key]

    def _of_workflow(self, called: str) -> list[Problem]:
        if called not in self._tried:
            self._tried[called] = list(self._cycles(called))
        return self._tried[called]

    def _cycles(self, called: str) -> Iterator[Problem]:
        way = way_back(self._catalogue, called, self._slug) if self._slug else None
        if way:
            shown = " → ".join([self._slug, *way])
            yield "workflow", "workflow_cycle", f"A cycle of workflows: {shown}."
        elif call_depth(self._catalogue, called) >= MAX_CALL_DEPTH:
            message = f"Workflows call each other at most {MAX_CALL_DEPTH} deep."
            yield "workflow", "workflow_too_deep", message


def _below(field: str, problems: Iterator[Problem]) -> Iterator[Problem]:
    for place, code, message in problems:
        yield f"{field}.{place}" if place else field, code, message
