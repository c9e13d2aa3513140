"""What an agent did over time, in buckets. Tokens and cost come from its model calls; what became
of the work (runs, outcomes, durations) is known further right and handed in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDay, TruncHour
from django.utils import timezone

from agents.models import ModelCall
from controlplane.kit.errors import InvalidInput
from controlplane.kit.json import money
from controlplane.kit.periods import moment
from tools.usage import Percentile

Bucket = Literal["hour", "day"]
# The key of the figures over the whole range.
TOTAL = None
Key = datetime | None
STEP = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
LONGEST = {"hour": timedelta(days=31), "day": timedelta(days=366)}
DEFAULT = {"hour": timedelta(days=1), "day": timedelta(days=30)}
_TRUNC = {"hour": TruncHour, "day": TruncDay}


@dataclass(frozen=True, slots=True)
class Work:
    """What became of an agent's work in a bucket; durations in ms."""

    runs: int = 0
    succeeded: int = 0
    failed: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What its model calls used in a bucket. `cost` is None if nothing was priced."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None
    model_calls: int = 0
    failed_calls: int = 0
    unpriced_calls: int = 0
    call_p50_ms: float | None = None
    call_p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """From `start` until before `end`, by hours or days of UTC."""

    start: datetime
    end: datetime
    bucket: Bucket

    def moments(self) -> Iterator[datetime]:
        """The beginnings of the buckets."""
        at = self.start.replace(minute=0, second=0, microsecond=0)
        if self.bucket == "day":
            at = at.replace(hour=0)
        while at < self.end:
            yield at
            at += STEP[self.bucket]


def read_range(query: Mapping[str, Any], bucket: Bucket = "hour") -> Range:
    """The range of ?from=&to=&bucket=, by `bucket` where none is asked for; 422 where one is wrong
    or there would be too many."""
    asked = query.get("bucket") or bucket
    if asked not in STEP:
        raise InvalidInput.of("bucket", "bucket is hour or day.", "invalid_choice")
    bucket = "day" if asked == "day" else "hour"
    end = moment(query.get("to"), "to") or timezone.now()
    start = moment(query.get("from"), "from") or end - DEFAULT[bucket]
    if not timedelta(0) < end - start <= LONGEST[bucket]:
        days = LONGEST[bucket].days
        raise InvalidInput.of("from", f"from lies before to, by at most {days} days of {bucket}s.")
    return Range(start, end, bucket)


def usage(agent_id: UUID, span: Range) -> dict[Key, Usage]:
    """The usage of the agent's model calls by bucket, and over all under TOTAL."""
    calls = ModelCall.objects.filter(
        agent_id=agent_id, started_at__gte=span.start, started_at__lt=span.end
    )
    figures: dict[str, Any] = {
        "tokens_in": Sum("input_tokens"),
        "tokens_out": Sum("output_tokens"),
        "cost_sum": Sum("cost"),
        "model_calls": Count("pk"),
        "failed_calls": Count("pk", filter=~Q(error_code="")),
        "unpriced_calls": Count("pk", filter=Q(price_status=ModelCall.PriceStatus.UNPRICED)),
        "p50": Percentile("latency_ms", 0.5),
        "p95": Percentile("latency_ms", 0.95),
    }
    rows = calls.annotate(at=_TRUNC[span.bucket]("started_at")).values("at").annotate(**figures)
    found: dict[Key, Usage] = {row["at"]: _usage(row) for row in rows.order_by("at")}
    found[TOTAL] = _usage(calls.aggregate(**figures))
    return found


def _usage(row: Mapping[str, Any]) -> Usage:
    return Usage(
        input_tokens=row["tokens_in"] or 0,
        output_tokens=row["tokens_out"] or 0,
        cost=row["cost_sum"],
        model_calls=row["model_calls"],
        failed_calls=row["failed_calls"],
        unpriced_calls=row["unpriced_calls"],
        call_p50_ms=_rounded(row["p50"]),
        call_p95_ms=_rounded(row["p95"]),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def shape(span: Range, used: Mapping[Key, Usage], work: Mapping[Key, Work]) -> dict[str, Any]:
    """{from, to, bucket, buckets, totals}: every bucket of the range, also those without calls."""
    return {
        "from": span.start,
        "to": span.end,
        "bucket": span.bucket,
        "buckets": [
            {"at": at, **_figures(used.get(at, Usage()), work.get(at, Work()))}
            for at in span.moments()
        ],
        "totals": _figures(used.get(TOTAL, Usage()), work.get(TOTAL, Work())),
    }


def _figures(used: Usage, work: Work) -> dict[str, Any]:
    return {
        "runs": work.runs,
        "succeeded": work.succeeded,
        "failed": work.failed,
        "p50_ms": work.p50_ms,
        "p95_ms": work.p95_ms,
        "input_tokens": used.input_tokens,
        "output_tokens": used.output_tokens,
        "cost": money(used.cost),
        "model_calls": used.model_calls,
        "failed_calls": used.failed_calls,
        "unpriced_calls": used.unpriced_calls,
        "call_p50_ms": used.call_p50_ms,
        "call_p95_ms": used.call_p95_ms,
    }
