"""Steps against time: what components/_timeline.html draws. Pure: takes values and `now`."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from controlplane.kit.ids import parse_uuid

LIVE = {"running", "waiting", "parked"}
# A body shows this many of its steps until it is opened.
SHOWN_OF_A_BODY = 12
# One stretch in which nothing works, if it is this long and this share of everything, is drawn
# shorter and marked: a wait for a person would leave nothing to see of the rest.
IDLE_KINDS = {"approval", "form", "wait", "signal"}
LONG_SHARE, LONG_MS = 0.75, 5_000
SHORT_SHARE = 0.35
LEAST_WIDTH = 0.4
NICE_MS = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000),
    *(60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 86_400_000),
)


Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Bar:
    """What is drawn of one step. Times are None until they are known."""

    id: UUID
    parent: UUID | None
    node: str
    path: str
    name: str
    kind: str
    status: str
    started_at: datetime | None
    ended_at: datetime | None


class Scale:
    """Maps times to per cent of the width; at most one long idle stretch, one that none of the
    `worked` spans covers, is shortened."""

    def __init__(self, spans: Sequence[Span], worked: Sequence[Span] = ()) -> None:
        self.start = min(s for s, _ in spans)
        self.end = max(max(e for _, e in spans), self.start + timedelta(milliseconds=1))
        self.total = (self.end - self.start) / timedelta(milliseconds=1)
        points = sorted({self.ms(t) for span in spans for t in span} | {0.0, self.total})
        gaps = [(b - a, a, b) for a, b in itertools.pairwise(points)]
        length, self.gap_from, self.gap_to = max(gaps)
        rest = self.total - length
        is_long = length > max(LONG_SHARE * self.total, LONG_MS)
        is_idle = not any(
            self.ms(since) < self.gap_to and self.ms(until) > self.gap_from
            for since, until in worked
        )
        self.is_broken = len(gaps) > 1 and rest > 0 and is_long and is_idle
        self.gap_share = SHORT_SHARE if self.is_broken else length / self.total
        self.rest = rest

    def ms(self, moment: datetime) -> float:
        """Milliseconds since the start."""
        return (moment - self.start) / timedelta(milliseconds=1)

    def at(self, ms: float) -> float:
        """Per cent of the width, 0 to 100."""
        if not self.is_broken:
            return 100 * min(max(ms / self.total, 0), 1)
        outside = min(ms, self.gap_from) + max(ms - self.gap_to, 0)
        inside = min(max(ms - self.gap_from, 0), self.gap_to - self.gap_from)
        share = (1 - self.gap_share) * outside / self.rest
        share += self.gap_share * inside / (self.gap_to - self.gap_from)
        return 100 * min(max(share, 0), 1)

    def ticks(self) -> list[tuple[float, float]]:
        """(milliseconds, per cent) of the marks: round times, and the end."""
        visible = self.rest / (1 - self.gap_share) if self.is_broken else self.total
        step = next((n for n in NICE_MS if visible / n <= 6), NICE_MS[-1])
        found: list[tuple[float, float]] = []
        for count in range(1 + int(min(self.total, 1_000 * step) // step)):
            place = self.at(count * step)
            if (not found or place - found[-1][1] >= 9) and place <= 82:
                found.append((count * step, place))
        return found


def kind_words(kind: str, fields: Mapping[str, Any]) -> str:
    """`tool · claims.get`: the kind and what it works with."""
    with_what = fields.get("tool") or fields.get("agent") or fields.get("workflow")
    return f"{kind} · {with_what}" if isinstance(with_what, str) else kind


def node_fields(definition: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Node id → its definition, bodies included."""
    found: dict[str, Mapping[str, Any]] = {}
    open_bodies: list[Mapping[str, Any]] = [definition]
    while open_bodies:
        for node in open_bodies.pop().get("nodes", ()):
            found[node["id"]] = node
            if isinstance(node.get("body"), Mapping):
                open_bodies.append(node["body"])
    return found


def in_tree_order(
    bars: Iterable[Bar], opened: UUID | None = None
) -> list[tuple[Bar | None, int, Bar | None, int]]:
    """(bar, depth, None, 0) parents first; a long body ends in (None, depth, parent, hidden)."""
    children: defaultdict[UUID | None, list[Bar]] = defaultdict(list)
    for bar in bars:
        children[bar.parent].append(bar)
    found: list[tuple[Bar | None, int, Bar | None, int]] = []

    def add(parent: Bar | None, depth: int) -> None:
        inner = children[parent.id if parent else None]
        whole = parent is None or parent.id == opened or len(inner) <= SHOWN_OF_A_BODY + 1
        shown = inner if whole else _worth_showing(inner)
        for bar in shown:
            found.append((bar, depth, None, 0))
            add(bar, depth + 1)
        if len(shown) < len(inner):
            found.append((None, depth, parent, len(inner) - len(shown)))

    add(None, 0)
    return found


def _worth_showing(inner: Sequence[Bar]) -> list[Bar]:
    """The first of a long body, in their order; what failed or is at work before what is over."""
    rank = {"failed": 0, **dict.fromkeys(LIVE, 1)}
    places = sorted(range(len(inner)), key=lambda at: (rank.get(inner[at].status, 2), at))
    return [inner[at] for at in sorted(places[:SHOWN_OF_A_BODY])]


def _span(bar: Bar, now: datetime) -> tuple[datetime, datetime] | None:
    if bar.started_at is None:
        return None
    return bar.started_at, bar.ended_at or (now if bar.status in LIVE else bar.started_at)


def _item(path: str) -> str:
    last = path.rsplit(".", 1)[-1]
    return f"[{last.partition('[')[2]}" if "[" in last else ""


def rows(
    bars: Sequence[Bar], now: datetime, *, chosen: str = "", opened: str = ""
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], bool]:
    """(rows, ticks, broken) for the template; lengths are milliseconds, places per cent as text."""
    spans = {bar.id: span for bar in bars if (span := _span(bar, now))}
    worked = [spans[bar.id] for bar in bars if bar.id in spans and bar.kind not in IDLE_KINDS]
    scale = Scale(list(spans.values()), worked) if spans else None
    drawn = []
    for bar, depth, parent, hidden in in_tree_order(bars, parse_uuid(opened)):
        if bar is None:
            more = {"hidden": hidden, "parent": parent.id if parent else None, "depth": depth}
            drawn.append(more)
            continue
        row: dict[str, Any] = {
            "id": bar.id, "name": f"{bar.name}{_item(bar.path)}", "kind": bar.kind,
            "depth": min(depth, 3), "status": "queued" if bar.status == "ready" else bar.status,
            "chosen": str(bar.id) == chosen, "x": None, "ms": None,
            "live": bar.status == "running",
        }  # fmt: skip
        if scale and (span := spans.get(bar.id)):
            x, end = scale.at(scale.ms(span[0])), scale.at(scale.ms(span[1]))
            width = max(end - x, LEAST_WIDTH)
            x = min(x, 100 - width)
            row |= {"x": f"{x:.2f}", "width": f"{width:.2f}", "since": span[0],
                    "ms": (span[1] - span[0]) / timedelta(milliseconds=1)}  # fmt: skip
        drawn.append(row)
    ticks = [{"x": f"{place:.2f}", "ms": ms} for ms, place in scale.ticks()] if scale else []
    if scale:
        ticks.append({"x": "100", "ms": scale.total, "last": True, "broken": scale.is_broken})
    return drawn, ticks, bool(scale and scale.is_broken)
