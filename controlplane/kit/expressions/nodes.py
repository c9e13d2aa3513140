"""The syntax tree of an expression; `height` is the longest way down, and bounded."""

from typing import Any

from controlplane.kit.expressions.errors import invalid

MAX_HEIGHT = 80


class Node:
    """One construct of the language; `position` is where it starts in the text."""

    __slots__ = ("height", "position")

    def __init__(self, position: int, *children: "Node") -> None:
        self.position = position
        self.height = 1 + max((child.height for child in children), default=0)
        if self.height > MAX_HEIGHT:
            raise invalid("The expression is nested too deeply.", position, "too_deep")


class Literal(Node):
    """A constant of any kind."""

    __slots__ = ("value",)

    def __init__(self, position: int, value: Any) -> None:
        self.position = position
        self.height = 1
        self.value = value


class Path(Node):
    """A name and the fields behind it: `steps.forecast.output`."""

    __slots__ = ("fields", "name")

    def __init__(self, position: int, name: str, fields: tuple[str, ...] = ()) -> None:
        self.position = position
        self.height = 1
        self.name = name
        self.fields = fields

    @property
    def text(self) -> str:
        """The path as written."""
        return ".".join((self.name, *self.fields))


class Select(Node):
    """A field of something that is no plain path: `items[0].id`."""

    __slots__ = ("field", "target")

    def __init__(self, position: int, target: Node, field: str) -> None:
        super().__init__(position, target)
        self.target = target
        self.field = field


class Has(Node):
    """`has(target.field)`."""

    __slots__ = ("field", "target")

    def __init__(self, position: int, target: Node, field: str) -> None:
        super().__init__(position, target)
        self.target = target
        self.field = field


class Index(Node):
    """`target[key]`."""

    __slots__ = ("key", "target")

    def __init__(self, position: int, target: Node, key: Node) -> None:
        super().__init__(position, target, key)
        self.target = target
        self.key = key


class Call(Node):
    """A function, called as `f(x, …)` or `x.f(…)`; both mean the same."""

    __slots__ = ("args", "name")

    def __init__(self, position: int, name: str, args: list[Node]) -> None:
        super().__init__(position, *args)
        self.name = name
        self.args = args


class Comprehension(Node):
    """`over.macro(variable, body…)`."""

    __slots__ = ("bodies", "macro", "over", "variable")

    def __init__(
        self, position: int, macro: str, over: Node, variable: str, bodies: list[Node]
    ) -> None:
        super().__init__(position, over, *bodies)
        self.macro = macro
        self.over = over
        self.variable = variable
        self.bodies = bodies


class ListOf(Node):
    """`[a, b]`."""

    __slots__ = ("items",)

    def __init__(self, position: int, items: list[Node]) -> None:
        super().__init__(position, *items)
        self.items = items


class MapOf(Node):
    """`{key: value}`."""

    __slots__ = ("pairs",)

    def __init__(self, position: int, pairs: list[tuple[Node, Node]]) -> None:
        super().__init__(position, *(node for pair in pairs for node in pair))
        self.pairs = pairs


class Not(Node):
    """`!x`; two of them cancel out but still ask for a bool."""

    __slots__ = ("count", "operand")

    def __init__(self, position: int, operand: Node, count: int) -> None:
        super().__init__(position, operand)
        self.operand = operand
        self.count = count


class Negate(Node):
    """`-x`, as often as written."""

    __slots__ = ("count", "operand")

    def __init__(self, position: int, operand: Node, count: int) -> None:
        super().__init__(position, operand)
        self.operand = operand
        self.count = count


class Logic(Node):
    """All operands of a row of `&&` or of `||`."""

    __slots__ = ("is_and", "parts")

    def __init__(self, position: int, is_and: bool, parts: list[Node]) -> None:
        super().__init__(position, *parts)
        self.is_and = is_and
        self.parts = parts


class Chain(Node):
    """A row of operators of one rank, worked off from the left: `a + b - c`."""

    __slots__ = ("first", "rest")

    def __init__(self, position: int, first: Node, rest: list[tuple[str, Node]]) -> None:
        super().__init__(position, first, *(node for _, node in rest))
        self.first = first
        self.rest = rest


class Choice(Node):
    """`a ? b : c ? d : e`: conditions with their values, and the last value."""

    __slots__ = ("branches", "otherwise")

    def __init__(self, position: int, branches: list[tuple[Node, Node]], otherwise: Node) -> None:
        super().__init__(position, otherwise, *(node for pair in branches for node in pair))
        self.branches = branches
        self.otherwise = otherwise
