"""A syntax tree into nested closures, once; and what it names, so that contexts stay small."""

import re
from collections.abc import Callable
from typing import Any

from controlplane.kit.expressions import nodes
from controlplane.kit.expressions.errors import ExpressionError, invalid
from controlplane.kit.expressions.functions import FUNCTIONS
from controlplane.kit.expressions.macros import MACROS
from controlplane.kit.expressions.operators import BINARY, negate
from controlplane.kit.expressions.scope import Scope, index, mismatch, select
from controlplane.kit.expressions.values import TYPES, TypeName, adopt, type_name

Evaluate = Callable[[Scope], Any]
_KNOWN = frozenset((type(None), bool, int, float, str, list, dict))
_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")


class Compiler:
    """Compiles one tree. `references` collects dotted paths, `steps` the ids behind `steps.`;
    `steps` used whole or by a computed id is told by `names_all_steps`."""

    def __init__(self) -> None:
        self.references: set[str] = set()
        self.names: set[str] = set()
        self.steps: set[str] = set()
        self.names_all_steps = False
        self._variable: str | None = None
        self._size = 0

    def compile(self, node: nodes.Node) -> Evaluate:
        """The closure that evaluates `node`."""
        self._size += 1
        return _BY_KIND[type(node)](self, node)

    def _literal(self, node: nodes.Literal) -> Evaluate:
        value = node.value
        return lambda scope: value

    def _path(self, node: nodes.Path) -> Evaluate:
        if node.name == self._variable:
            return _fields_of(lambda scope: scope.item, node)
        if node.name in TYPES and not node.fields:
            name = TypeName(node.name)
            return lambda scope: name
        self._refer(node)
        return _path(node)

    def _refer(self, node: nodes.Path) -> None:
        known = [node.name]
        for field in node.fields:
            if not _NAME.fullmatch(field):
                break
            known.append(field)
        self.references.add(".".join(known))
        self.names.add(node.name)
        if node.name == "steps":
            if node.fields:
                self.steps.add(node.fields[0])
            else:
                self.names_all_steps = True

    def _select(self, node: nodes.Select) -> Evaluate:
        target, field = self.compile(node.target), node.field
        return lambda scope: adopt(select(target(scope), field, "the value"))

    def _has(self, node: nodes.Has) -> Evaluate:
        parent, field = node.target, node.field
        if isinstance(parent, nodes.Path) and parent.name != self._variable:
            self._refer(nodes.Path(parent.position, parent.name, (*parent.fields, field)))
            target = _path(parent)
        else:
            target = self.compile(parent)

        def run(scope: Scope) -> bool:
            value = target(scope)
            if value is None:
                return False
            try:
                select(value, field, "the value")
            except ExpressionError:
                if not hasattr(value, "keys"):
                    raise mismatch(f"has() needs a map, not {type_name(value)}.") from None
                return False
            return True

        return run

    def _index(self, node: nodes.Index) -> Evaluate:
        target, key = self.compile(node.target), self.compile(node.key)
        return lambda scope: index(target(scope), key(scope))

    def _call(self, node: nodes.Call) -> Evaluate:
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise invalid(f"There is no function {node.name}().", node.position, "unknown_function")
        run, fewest, most = function
        if not fewest <= len(node.args) <= most:
            raise invalid(f"{node.name}() takes other arguments.", node.position, "arguments")
        args = [self.compile(arg) for arg in node.args]
        if len(args) == 1:
            only = args[0]
            return lambda scope: run(scope, only(scope))
        if len(args) == 2:
            first, second = args
            return lambda scope: run(scope, first(scope), second(scope))
        return lambda scope: run(scope, *[arg(scope) for arg in args])

    def _comprehension(self, node: nodes.Comprehension) -> Evaluate:
        if self._variable is not None:
            raise invalid(
                "A comprehension inside a comprehension is not allowed.",
                node.position,
                "nested_comprehension",
            )
        over = self.compile(node.over)
        self._variable, before = node.variable, self._size
        bodies = [self.compile(body) for body in node.bodies]
        self._variable = None
        return MACROS[node.macro](over, bodies, self._size - before + 1)

    def _list(self, node: nodes.ListOf) -> Evaluate:
        items = [self.compile(item) for item in node.items]
        return lambda scope: [item(scope) for item in items]

    def _map(self, node: nodes.MapOf) -> Evaluate:
        pairs = [(self.compile(key), self.compile(value)) for key, value in node.pairs]

        def run(scope: Scope) -> dict[Any, Any]:
            made: dict[Any, Any] = {}
            for key, value in pairs:
                name = key(scope)
                if not isinstance(name, str | int) or isinstance(name, bool):
                    raise mismatch(f"A key is text or a whole number, not {type_name(name)}.")
                if name in made:
                    raise ExpressionError(f"The key {name!r:.100} is there twice.")
                made[name] = value(scope)
            return made

        return run

    def _not(self, node: nodes.Not) -> Evaluate:
        operand, flips = self.compile(node.operand), node.count % 2 == 1

        def run(scope: Scope) -> bool:
            value = operand(scope)
            if type(value) is not bool:
                raise mismatch(f"'!' needs a bool, not {type_name(value)}.")
            return value is not flips

        return run

    def _negate(self, node: nodes.Negate) -> Evaluate:
        operand, count = self.compile(node.operand), node.count

        def run(scope: Scope) -> Any:
            value = negate(operand(scope))
            return value if count % 2 else negate(value)

        return run

    def _logic(self, node: nodes.Logic) -> Evaluate:
        parts = [self.compile(part) for part in node.parts]
        decisive = not node.is_and

        def run(scope: Scope) -> bool:
            failure: ExpressionError | None = None
            for part in parts:
                try:
                    value = part(scope)
                    if value is decisive:
                        return decisive
                    if type(value) is not bool:
                        sign = "||" if decisive else "&&"
                        raise mismatch(f"'{sign}' needs bools, not {type_name(value)}.")
                except ExpressionError as error:
                    # As CEL has it: an error counts only if no other part decides.
                    scope.spend_error()
                    failure = failure or error
            if failure is not None:
                raise failure
            return not decisive

        return run

    def _chain(self, node: nodes.Chain) -> Evaluate:
        first = self.compile(node.first)
        rest = [(BINARY[operator], self.compile(part)) for operator, part in node.rest]
        if len(rest) == 1:
            apply, second = rest[0]
            return lambda scope: apply(scope, first(scope), second(scope))

        def run(scope: Scope) -> Any:
            value = first(scope)
            for apply, part in rest:
                value = apply(scope, value, part(scope))
            return value

        return run

    def _choice(self, node: nodes.Choice) -> Evaluate:
        branches = [(self.compile(test), self.compile(value)) for test, value in node.branches]
        otherwise = self.compile(node.otherwise)

        def run(scope: Scope) -> Any:
            for test, value in branches:
                answer = test(scope)
                if answer is True:
                    return value(scope)
                if answer is not False:
                    raise mismatch(f"'?' needs a bool before it, not {type_name(answer)}.")
            return otherwise(scope)

        return run


def _path(node: nodes.Path) -> Evaluate:
    name, fields, text = node.name, node.fields, node.text

    def run(scope: Scope) -> Any:
        try:
            value = scope.values[name]
            for field in fields:
                if type(value) is not dict:
                    break
                value = value[field]
            else:
                return value if type(value) in _KNOWN else adopt(value)
        except KeyError:
            pass
        return _explained(scope, name, fields)

    def _explained(scope: Scope, name: str, fields: tuple[str, ...]) -> Any:
        if name not in scope.values:
            raise ExpressionError(f"There is no '{name}' here.", reason="unknown_name")
        value, walked = scope.values[name], name
        for field in fields:
            value = select(value, field, walked if len(text) < 200 else "the value")
            walked = f"{walked}.{field}"
        return adopt(value)

    return run


def _fields_of(source: Evaluate, node: nodes.Path) -> Evaluate:
    if not node.fields:
        return source
    fields, name = node.fields, node.name

    def run(scope: Scope) -> Any:
        value, walked = source(scope), name
        for field in fields:
            if type(value) is dict and field in value:
                value = value[field]
            else:
                value = select(value, field, walked)
        return value if type(value) in _KNOWN else adopt(value)

    return run


_BY_KIND: dict[type, Callable[[Compiler, Any], Evaluate]] = {
    nodes.Literal: Compiler._literal,
    nodes.Path: Compiler._path,
    nodes.Select: Compiler._select,
    nodes.Has: Compiler._has,
    nodes.Index: Compiler._index,
    nodes.Call: Compiler._call,
    nodes.Comprehension: Compiler._comprehension,
    nodes.ListOf: Compiler._list,
    nodes.MapOf: Compiler._map,
    nodes.Not: Compiler._not,
    nodes.Negate: Compiler._negate,
    nodes.Logic: Compiler._logic,
    nodes.Chain: Compiler._chain,
    nodes.Choice: Compiler._choice,
}
