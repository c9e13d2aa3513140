"""The pages of prices: what models cost, from when to when, and which are called without one."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from agents import price_rules
from agents.models import ModelPrice
from agents.prices_api import PriceFilter, PriceViewSet
from agents.providers import PROVIDERS
from controlplane.kit.dialogs import DeleteDialog, FormDialog
from controlplane.kit.forms import DialogForm
from controlplane.kit.tables import Column, Verb
from controlplane.kit.views import ListView

_MOMENT = "%Y-%m-%dT%H:%M"


def _moment(label: str, **kwargs: Any) -> forms.DateTimeField:
    widget = forms.DateTimeInput({"type": "datetime-local"}, format=_MOMENT)
    return forms.DateTimeField(label=label, widget=widget, **kwargs)


def _money(label: str, **kwargs: Any) -> forms.DecimalField:
    return forms.DecimalField(
        label=label, min_value=0, max_digits=20, decimal_places=12, **kwargs
    )  # fmt: skip


class PriceForm(DialogForm):
    """A price per million tokens and when it holds."""

    provider = forms.ChoiceField(choices=[(name, name) for name in PROVIDERS])
    model = forms.CharField(
        max_length=120, help_text="As agents name it; gpt-5* is every model that begins so."
    )
    input_per_million = _money("Input, per million tokens")
    output_per_million = _money("Output, per million tokens")
    currency = forms.CharField(max_length=3, initial="USD")
    effective_from = _moment("Holds from (UTC)")
    effective_until = _moment(
        "Until (UTC)", required=False, help_text="Left empty: until the next one begins."
    )
    cache_read_per_million = _money(
        "Input read from a cache", required=False, help_text="Left empty: as input."
    )
    cache_write_per_million = _money(
        "Input written to a cache", required=False, help_text="Left empty: as input."
    )
    reasoning_per_million = _money(
        "Reasoning", required=False, help_text="Left empty: as output."
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = {name for name, _ in self.fields["provider"].choices}
        provider = self.initial.get("provider")
        if provider and provider not in known and self.row is not None:
            self.fields["provider"].choices = [*self.fields["provider"].choices, (provider,) * 2]
        if self.row is None:
            self.initial.setdefault("effective_from", timezone.now().replace(second=0))

    def facts(self) -> dict[str, Any]:
        """Amounts without the zeros behind them."""
        found = super().facts()
        return {
            name: format(value.normalize(), "f") if isinstance(value, Decimal) else value
            for name, value in found.items()
        }

    def body(self) -> dict[str, Any]:
        """As the API takes it: moments and amounts are text. A moment that was left as it was keeps
        its seconds."""
        body = super().body()
        for name, value in body.items():
            if isinstance(value, datetime):
                was = getattr(self.row, name, None)
                kept = was is not None and was.strftime(_MOMENT) == value.strftime(_MOMENT)
                body[name] = (was if kept else value).isoformat()
            elif isinstance(value, Decimal):
                body[name] = str(value)
        return body


class PriceList(ListView):
    """Own prices, and above them the models that were really called."""

    model = ModelPrice
    title = "Model prices"
    template_name = "agents/prices.html"
    filterset_class = PriceFilter
    ordering = "provider"
    columns = (
        Column("model", "Model", kind="lead", sort="model", narrow="lead"),
        Column("provider", "Provider", sort="provider"),
        Column("state", "Holds", kind="status", narrow="side"),
        Column("input_per_million", "Input", kind="money"),
        Column("output_per_million", "Output", kind="money"),
        Column("effective_from", "From", sort="effective_from", template="agents/_date_cell.html"),
        Column("effective_until", "Until", template="agents/_date_cell.html", narrow="wide-only"),
        Column("get_source", "Says", narrow="wide-only"),
    )
    exported = (
        "id", "provider", "model", "effective_from", "effective_until", "input_per_million",
        "output_per_million", "cache_read_per_million", "cache_write_per_million",
        "reasoning_per_million", "currency", "source", "created_at", "updated_at",
    )  # fmt: skip
    empty = {
        "title": "No prices of your own",
        "text": "Public models are priced by the bundled table of genai-prices. Set a price for "
        "models of your own servers, or where you pay another one.",
        "icon": "wallet",
    }

    def get_queryset(self) -> QuerySet:
        """Each with whether it holds."""
        return price_rules.with_state(super().get_queryset())

    def get_summary(self) -> str:
        """Who is asked first."""
        return "Per million tokens. Own prices go before the bundled table of genai-prices."

    def get_context(self, queryset: QuerySet) -> dict[str, Any]:
        """With what was called lately."""
        may_add = self.may("add", self.project)
        called = [
            (each, f"{reverse('agents:prices:create')}?{urlencode(_named(each))}")
            for each in price_rules.called_models(self.project.pk)
        ]
        missing = sum(each.is_unpriced for each, _ in called)
        return super().get_context(queryset) | {
            "called": called,
            "missing": missing,
            "may_add": may_add,
        }

    def get_actions(self) -> list[Verb]:
        """A new price, and the way to the agents."""
        found = [Verb("Agents", reverse("agents:list"), icon="robot")]
        if self.may("add", self.project):
            url = reverse("agents:prices:create")
            found.append(Verb("New price", url, icon="plus", dialog=True, kind="primary"))
        return found

    def prepare(self, rows: list[ModelPrice]) -> list[ModelPrice]:
        """Each with who said it."""
        for row in rows:
            row.get_source = "imported" if row.source == ModelPrice.Source.IMPORT else "own"
        return rows

    def get_menu(self, row: ModelPrice) -> list[Verb]:
        """Changing and deleting."""
        found = []
        if self.may("delete", row):
            url = reverse("agents:prices:delete", args=[row.pk])
            found.append(Verb("Delete", url, icon="trash", dialog=True, danger=True))
        if self.may("change", row):
            url = reverse("agents:prices:edit", args=[row.pk])
            found.append(Verb("Edit", url, icon="pencil", dialog=True))
        return found


def _named(called: price_rules.Called) -> dict[str, str]:
    return {"provider": called.provider, "model": called.model}


class PriceCreate(FormDialog):
    """A new price."""

    model = ModelPrice
    verb = "add"
    form_class = PriceForm
    viewset_class = PriceViewSet


class PriceEdit(PriceCreate):
    """Changing a price; what was counted by it stays as it was counted."""

    verb = "change"


class PriceDelete(DeleteDialog):
    """Deleting a price."""

    model = ModelPrice
    viewset_class = PriceViewSet

    def get_list_url(self, row: ModelPrice) -> str:
        """The other prices."""
        return reverse("agents:prices:list")
