"""What an expression may name: known words, and steps that come before where it stands."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from controlplane.kit.expressions import Expression, ExpressionError, compile_condition
from workflows.graph.collector import Collector
from workflows.graph.shape import Shape

ROOTS = frozenset(("input", "steps", "run", "env"))
_OF_A_STEP = frozenset(("output", "status", "error"))
_OF_THE_ENVIRONMENT = frozenset(("variables", "name"))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a body sees of what is around it: the steps before its owner, the ids that are taken,
    and the words of map and loop."""

    steps: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    words: frozenset[str] = field(default=ROOTS)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who names steps: a step (`own` tells whether it may name itself), or with no step the
    output, which may name every one."""

    shape: Shape
    around: Surroundings
    node: str | None = None
    own: bool = False

    def sees(self, step: str) -> bool:
        """Whether the step comes before."""
        if self.node is None:
            return step in self.shape.numbers or step in self.around.steps
        if step == self.node:
            return self.own
        return step in self.around.steps or self.shape.is_ancestor(self.node, step)

    def knows(self, step: str) -> bool:
        """Whether there is such a step at all."""
        return step in self.shape.numbers or step in self.around.ids


def wrong_names(expression: Expression, reader: Reader) -> Iterator[tuple[str, str]]:
    """Each name that is wrong, as (code, message)."""
    for name in sorted(expression.names - reader.around.words):
        known = ", ".join(sorted(reader.around.words))
        yield "unknown_name", f"There is no '{name}' here; an expression knows {known}."
    if expression.names_all_steps:
        yield "step_by_computation", "Name a step by its id: steps.<id>.output."
    for step in sorted(expression.steps):
        if not reader.knows(step):
            yield "unknown_step", f"There is no step '{step:.80}'."
        elif not reader.sees(step):
            yield "not_an_ancestor", f"The step '{step}' does not come before this place."
    for reference in sorted(expression.references):
        words = reference.split(".")
        if words[0] == "steps" and len(words) > 2 and words[2] not in _OF_A_STEP:
            yield "unknown_field", f"A step has output, status and error, not '{words[2]:.80}'."
        if words[0] == "env" and len(words) > 1 and words[1] not in _OF_THE_ENVIRONMENT:
            yield "unknown_field", f"env has variables, not '{words[1]:.80}'."


def explain(error: ExpressionError) -> tuple[str, str]:
    """Code and sentence of an expression that cannot be compiled, with the place in its text."""
    codes = {"too_long": "expression_too_long", "nested_comprehension": "nested_comprehension"}
    where = "" if error.position is None else f" At character {error.position + 1}"
    shown = f" of '{error.expression:.60}'." if error.expression and where else "." if where else ""
    return codes.get(error.reason, "expression_invalid"), f"{error.message}{where}{shown}"


def check_condition(
    found: Collector, node: str | None, place: str, text: Any, reader: Reader
) -> None:
    """Report what is wrong with a bare condition."""
    try:
        condition = compile_condition(text)
    except ExpressionError as error:
        found.add(node, place, *explain(error))
        return
    for code, message in wrong_names(condition, reader):
        found.add(node, place, code, message)
