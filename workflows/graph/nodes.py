"""Faults of single steps: ids, kinds, fields, and the conditions inside them."""

from collections.abc import Iterator
from typing import Any

from workflows.graph.collector import Collector
from workflows.graph.edges import EdgeCheck
from workflows.graph.kinds import KINDS, fields_of
from workflows.graph.naming import Reader, Surroundings, check_condition
from workflows.graph.rules import ID, MAX_ID, is_dynamic

MAX_CASES = 100


def split_nodes(
    found: Collector, graph: dict[str, Any], around: Surroundings, owner: str | None, prefix: str
) -> dict[str, dict[str, Any]]:
    """The steps of a graph by id; those without a usable id are faults and left out."""
    field = f"{prefix}nodes"
    nodes = graph.get("nodes")
    if not isinstance(nodes, list) or not nodes:
        code = "required" if not nodes else "type"
        found.add(owner, field, code, "A graph has a list of nodes, at least one.")
        return {}
    by_id: dict[str, dict[str, Any]] = {}
    for number, node in enumerate(nodes):
        place = f"{field}.{number}"
        if not isinstance(node, dict):
            found.add(owner, place, "type", "A step is an object.")
            continue
        node_id = node.get("id")
        if not isinstance(node_id, str) or not ID.fullmatch(node_id) or len(node_id) > MAX_ID:
            message = "An id is small letters, digits and _, begins with a letter, 63 at most."
            found.add(owner, f"{place}.id", "invalid_id", message)
        elif node_id in by_id:
            found.add(node_id, "id", "duplicate_id", f"There is another step '{node_id}'.")
        elif node_id in around.ids:
            message = f"There is a step '{node_id}' outside this body."
            found.add(node_id, "id", "duplicate_id", message)
        else:
            by_id[node_id] = node
    return by_id


class NodeCheck:
    """The faults of one step."""

    def __init__(self, found: Collector, node_id: str, node: dict[str, Any]) -> None:
        self.found = found
        self.id = node_id
        self.node = node

    def check_fields(self) -> Iterator[str]:
        """Report wrong fields; yields the names of those that may hold expressions."""
        kind = self.node.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            code = "required" if kind is None else "unknown_kind"
            self.found.add(self.id, "kind", code, f"A kind is one of {', '.join(KINDS)}.")
            return
        fields = fields_of(kind)
        for name, value in self.node.items():
            field = fields.get(name)
            if field is None:
                message = f"A {kind} step has no field '{name:.80}'."
                self.found.add(self.id, name[:80], "unknown_field", message)
            elif value is None and not field.takes_null:
                if field.required:
                    self.found.add(self.id, name, "required", "This is required.")
            elif field.template and is_dynamic(value):
                yield name
            else:
                self.found.add_below(self.id, name, field.rule(value))
                if field.template:
                    yield name
        for name, field in fields.items():
            if field.required and name not in self.node:
                self.found.add(self.id, name, "required", "This is required.")

    def check_conditions(self, reader: Reader, edges: EdgeCheck) -> None:
        """Report what is wrong with cases, `while`, and the two ways to wait."""
        kind = self.node.get("kind")
        if kind == "decision":
            self._cases(reader, edges)
        elif kind == "loop" and self.node.get("while") is not None:
            words = reader.around.words | {"previous", "index"}
            around = Surroundings(reader.around.steps, reader.around.ids, words)
            inside = Reader(reader.shape, around, reader.node)
            check_condition(self.found, self.id, "while", self.node["while"], inside)
        elif kind == "wait":
            given = [name for name in ("seconds", "until") if self.node.get(name) is not None]
            if len(given) != 1:
                message = "A wait has either seconds or until."
                self.found.add(self.id, "seconds", "required", message)

    def _cases(self, reader: Reader, edges: EdgeCheck) -> None:
        cases = self.node.get("cases")
        if cases is None:
            return
        if not isinstance(cases, list) or not cases or len(cases) > MAX_CASES:
            message = f"A decision has a list of 1 to {MAX_CASES} cases."
            self.found.add(self.id, "cases", "type", message)
            return
        for number, case in enumerate(cases):
            self._case(f"cases.{number}", case, reader, edges)
        if isinstance(self.node.get("default"), str):
            edges.check_choice(self.id, "default", self.node["default"])

    def _case(self, place: str, case: Any, reader: Reader, edges: EdgeCheck) -> None:
        if not isinstance(case, dict):
            self.found.add(self.id, place, "type", "A case is an object with when and to.")
            return
        for name in case:
            if name not in ("when", "to"):
                message = "A case has when and to only."
                self.found.add(self.id, f"{place}.{name:.80}", "unknown_field", message)
        if case.get("when") is None:
            self.found.add(self.id, f"{place}.when", "required", "This is required.")
        else:
            check_condition(self.found, self.id, f"{place}.when", case["when"], reader)
        if not isinstance(case.get("to"), str):
            self.found.add(self.id, f"{place}.to", "required", "This is the id of a step.")
        else:
            edges.check_choice(self.id, f"{place}.to", case["to"])
