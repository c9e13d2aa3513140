"""When a price holds, which prices stand in each other's way, and what models were called without
one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Case, CharField, Count, Exists, OuterRef, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from agents.models import ModelCall, ModelPrice
from agents.pricing import price_list
from agents.rates import own_rates
from controlplane.kit.errors import InvalidInput
from projects.models import Project

STATES = (("in_force", "In force"), ("to_come", "To come"), ("past", "Past"))
CALLED_WITHIN = timedelta(days=30)
# The newest calls looked at, so that the page costs the same in a large project.
MOST_CALLS = 10_000
MOST_MODELS = 50


def with_state(prices: QuerySet) -> QuerySet:
    """Each price with `state`: in_force, to_come, or past (it ended, or a newer one of the same
    model and source holds)."""
    newer = ModelPrice.objects.filter(
        Q(effective_until=None) | Q(effective_until__gt=Now()),
        project=OuterRef("project"),
        provider=OuterRef("provider"),
        model=OuterRef("model"),
        source=OuterRef("source"),
        effective_from__gt=OuterRef("effective_from"),
        effective_from__lte=Now(),
    )
    return prices.annotate(
        state=Case(
            When(effective_from__gt=Now(), then=Value("to_come")),
            When(effective_until__lte=Now(), then=Value("past")),
            When(Exists(newer), then=Value("past")),
            default=Value("in_force"),
            output_field=CharField(),
        )
    )


def check_dates(price: ModelPrice) -> None:
    """Refuse a price that would hold at the same time as another one of the same model and source
    (422 `overlap`). An open end yields to the next price; a written end must not reach beyond its
    begin. The caller's transaction is open."""
    begin, end = price.effective_from, price.effective_until
    if end is not None and end <= begin:
        message = "The end must lie after the beginning."
        raise InvalidInput.of("effective_until", message, "invalid")
    # Two who write at the same time are told apart by the project's row.
    Project.objects.select_for_update(no_key=True).filter(pk=price.project_id).first()
    others = ModelPrice.objects.exclude(pk=price.pk).filter(
        project_id=price.project_id,
        provider=price.provider,
        model=price.model,
        source=price.source,
    )
    for other in others:
        if other.effective_from == begin:
            message = (
                f"{price} has a price from {_day(begin)} on already: change that one, or let this "
                "one begin at another time."
            )
            raise InvalidInput.of("effective_from", message, "overlap")
        first, second = sorted((price, other), key=lambda each: each.effective_from)
        if first.effective_until is not None and first.effective_until > second.effective_from:
            until = _day(other.effective_until) if other.effective_until else "the next one"
            message = (
                f"This overlaps the price of {price} that holds from {_day(other.effective_from)} "
                f"until {until}: end one before the other begins."
            )
            field = "effective_until" if first is price else "effective_from"
            raise InvalidInput.of(field, message, "overlap")


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class Called:
    """A model that was called lately: how often, and what its calls are counted by now."""

    provider: str
    model: str
    calls: int
    tokens: int
    unpriced: int
    source: str

    @property
    def is_unpriced(self) -> bool:
        """Whether nobody knows what it costs."""
        return self.source == "unpriced"


def called_models(project_id: UUID) -> list[Called]:
    """The models of the newest calls of 30 days, those without a price first. Who says the price is
    told from the calls themselves and from the project's own prices: the bundled table need not be
    loaded for it."""
    now = timezone.now()
    rows = ModelCall.objects.filter(project_id=project_id, started_at__gte=now - CALLED_WITHIN)
    newest = rows.order_by("-started_at").values("pk")[:MOST_CALLS]
    found: Any = (
        ModelCall.objects.filter(pk__in=newest, error_code="")
        .order_by()
        .values("provider", "model")
        .annotate(
            calls=Count("pk"),
            tokens=Sum("input_tokens") + Sum("output_tokens"),
            free=Count("pk", filter=Q(price_status="free")),
            unpriced=Count("pk", filter=Q(price_status="unpriced")),
        )
        .order_by("-unpriced", "provider", "model")[:MOST_MODELS]
    )
    own = price_list(project_id).own
    made = []
    for row in found:
        if own_rates(own, row["provider"], (row["model"],), now) is not None:
            source = "own"
        elif row["free"] == row["calls"]:
            source = "free"
        elif row["unpriced"]:
            source = "unpriced"
        else:
            source = "bundled"
        facts = {name: row[name] for name in ("provider", "model", "calls", "tokens", "unpriced")}
        made.append(Called(**facts, source=source))
    return sorted(made, key=lambda each: (not each.is_unpriced, each.provider, each.model))
