"""Which steps come before which: order, cycles and ancestors of a graph given as pairs of ids."""

from collections.abc import Iterable, Sequence


class Shape:
    """Steps in a topological order with their ancestors. `cycle` is one way round, if there is
    any; then `order` and the ancestors cover only the steps before it."""

    def __init__(self, ids: Sequence[str], pairs: Iterable[tuple[str, str]]) -> None:
        self.numbers = {node: number for number, node in enumerate(ids)}
        self._after: dict[str, list[str]] = {node: [] for node in ids}
        self._before: dict[str, list[str]] = {node: [] for node in ids}
        for source, target in pairs:
            self._after[source].append(target)
            self._before[target].append(source)
        self.order = self._sorted()
        self._ancestors = self._closed()
        self.cycle = self._way_round() if len(self.order) < len(ids) else []

    def _sorted(self) -> list[str]:
        left = {node: len(before) for node, before in self._before.items()}
        ready = [node for node, count in left.items() if not count]
        for node in ready:
            for target in self._after[node]:
                left[target] -= 1
                if not left[target]:
                    ready.append(target)
        return ready

    def _closed(self) -> dict[str, int]:
        # One bit a step: 2,000 steps are 250 bytes, and a union is one operation.
        closed: dict[str, int] = {}
        for node in self.order:
            bits = 0
            for source in self._before[node]:
                bits |= closed[source] | 1 << self.numbers[source]
            closed[node] = bits
        return closed

    def is_ancestor(self, of: str, candidate: str) -> bool:
        """Whether `candidate` comes before `of`. Beyond a cycle nothing is known: then yes."""
        bits = self._ancestors.get(of)
        number = self.numbers.get(candidate)
        return number is not None and (bits is None or bool(bits >> number & 1))

    def _way_round(self) -> list[str]:
        left = set(self.numbers) - set(self.order)
        node = next(node for node in self.numbers if node in left)
        way: list[str] = []
        seen: dict[str, int] = {}
        while node not in seen:
            seen[node] = len(way)
            way.append(node)
            # Every step left has one before it that is left too, so walking back never ends.
            node = next(source for source in self._before[node] if source in left)
        return [node, *reversed(way[seen[node] :])]
