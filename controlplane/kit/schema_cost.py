"""What checking a value against a schema may cost, found by unfolding the schema once."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from controlplane.kit import patterns

# Unfolding further than this is a schema made to be expensive.
MAX_UNFOLDED = 30_000
BACKTRACKS = 1_000
_SAME_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
_SAME_PLACE = ("not", "if", "then", "else")
_EACH_CHILD = (
    "items", "additionalProperties", "contains", "additionalItems",
    "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_BACKTRACKING = ("(?=", "(?!", "(?<=", "(?<!", *(f"\\{digit}" for digit in "123456789"), "\\k<")


class TooCostly(ValueError):
    """The schema unfolds to too much, or holds a pattern that does."""


@dataclass(frozen=True, slots=True)
class Cost:
    """`width`: subschemas looked at in one place; `branching`: how often one child is visited for
    each visit of its parent; `levels`: how deep the schema goes, None if it contains itself;
    `pattern`: steps of the pattern engine for each character; `backtracks`: whether a pattern
    needs the engine that backtracks."""

    width: int
    branching: int
    levels: int | None
    pattern: int
    backtracks: bool


class _Unfolding:
    def __init__(self, root: Any) -> None:
        self.root = root
        self.left = MAX_UNFOLDED
        self.width = self.branching = self.pattern = 1
        self.backtracks = False
        self.anchors: dict[str, Any] = {}
        self._weights: dict[str, int] = {}
        self._find_anchors(root)

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise TooCostly("The schema unfolds to too many parts.")

    def _find_anchors(self, schema: Any) -> None:
        open_ends = [schema]
        while open_ends:
            part = open_ends.pop()
            if isinstance(part, dict):
                for name in ("$anchor", "$dynamicAnchor"):
                    if isinstance(part.get(name), str):
                        self.anchors[part[name]] = part
                if isinstance(part.get("$id"), str):
                    self.anchors[part["$id"]] = part
                open_ends += part.values()
            elif isinstance(part, list):
                open_ends += part

    def target(self, reference: Any) -> Any:
        """The schema a local reference means; None for what lies elsewhere."""
        if not isinstance(reference, str):
            return None
        base, _, fragment = reference.partition("#")
        if base:
            return self.anchors.get(base) or self.anchors.get(reference)
        if fragment and not fragment.startswith("/"):
            return self.anchors.get(fragment)
        part = self.root
        for word in fragment.split("/")[1:]:
            word = word.replace("~1", "/").replace("~0", "~")
            if isinstance(part, dict):
                part = part.get(word)
            elif isinstance(part, list) and word.isdigit() and int(word) < len(part):
                part = part[int(word)]
            else:
                return None
        return part

    def place(self, entry: Any) -> list[Any]:
        """The child schemas of one place, after counting what is looked at there."""
        named: Counter[str] = Counter()
        every, children, seen, pattern = 0, [], 0, 0
        # A reference that leads back to itself in the same place is looked at once.
        open_ends: list[tuple[Any, frozenset[int]]] = [(entry, frozenset())]
        while open_ends:
            part, way = open_ends.pop()
            if not isinstance(part, dict) or id(part) in way:
                continue
            self.spend()
            seen += 1
            way |= {id(part)}
            open_ends += [(other, way) for other in self._same_place(part)]
            pattern += self._patterns(part)
            for name, child in _mapping(part, "properties"):
                named[name] += 1
                children.append(child)
            for child in self._each_child(part):
                every += 1
                children.append(child)
        self.width = max(self.width, seen)
        self.pattern = max(self.pattern, pattern)
        self.branching = max(self.branching, every + max(named.values(), default=0))
        return [self._meant(child) for child in children]

    def _meant(self, part: Any) -> Any:
        """What a mere reference refers to, so that it is unfolded once for all who refer to it."""
        for _ in range(10):
            if not isinstance(part, dict) or list(part) != ["$ref"]:
                break
            part = self.target(part["$ref"])
        return part

    def _same_place(self, part: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        for name in _SAME_PLACE_LISTS:
            if isinstance(part.get(name), list):
                found += part[name]
        found += [part[name] for name in _SAME_PLACE if name in part]
        found += [child for _, child in _mapping(part, "dependentSchemas")]
        found += [self.target(part[name]) for name in ("$ref", "$dynamicRef") if name in part]
        return found

    def _each_child(self, part: dict[str, Any]) -> list[Any]:
        found = [part[name] for name in _EACH_CHILD if isinstance(part.get(name), dict)]
        if isinstance(part.get("prefixItems"), list):
            found += part["prefixItems"]
        return found + [child for _, child in _mapping(part, "patternProperties")]

    def _patterns(self, part: dict[str, Any]) -> int:
        texts = [name for name, _ in _mapping(part, "patternProperties")]
        names = part.get("propertyNames")
        for holder in (part, names if isinstance(names, dict) else {}):
            if isinstance(holder.get("pattern"), str):
                texts.append(holder["pattern"])
        return sum(map(self._weigh, texts))

    def _weigh(self, text: str) -> int:
        if text not in self._weights:
            try:
                weight = patterns.weigh(text)
            except patterns.PatternError as error:
                raise TooCostly(f"The pattern {text[:60]!r}: {error}") from None
            if any(mark in text for mark in _BACKTRACKING):
                self.backtracks = True
                weight = max(weight, 3 * BACKTRACKS)
            self._weights[text] = weight
        return self._weights[text]


def _mapping(part: dict[str, Any], name: str) -> list[tuple[str, Any]]:
    value = part.get(name)
    return list(value.items()) if isinstance(value, dict) else []


def cost_of(schema: Any) -> Cost:
    """Unfold a schema. TooCostly where that, or one of its patterns, grows beyond bounds."""
    unfolding = _Unfolding(schema)
    # Breadth first over places: their number bounds the depth of a schema without recursion.
    known: dict[int, list[Any]] = {}
    level, levels = [schema], 0
    while level:
        fresh = []
        for part in level:
            if isinstance(part, dict) and id(part) not in known:
                known[id(part)] = unfolding.place(part)
                fresh += known[id(part)]
        level = fresh
        levels += bool(fresh)
    depth = None if _contains_itself(schema, known) else levels
    return Cost(
        unfolding.width, unfolding.branching, depth, unfolding.pattern, unfolding.backtracks
    )


def _contains_itself(schema: Any, known: dict[int, list[Any]]) -> bool:
    if not isinstance(schema, dict):
        return False
    finished: set[int] = set()
    under_way: list[tuple[int, list[Any]]] = [(id(schema), list(known[id(schema)]))]
    path = {id(schema)}
    while under_way:
        place, children = under_way[-1]
        if not children:
            under_way.pop()
            path.discard(place)
            finished.add(place)
            continue
        child = children.pop()
        if id(child) in path:
            return True
        if isinstance(child, dict) and id(child) not in finished:
            path.add(id(child))
            under_way.append((id(child), list(known[id(child)])))
    return False
