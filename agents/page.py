"""The page of one agent: how it is, where it runs, what its processes use, what it did."""

import itertools
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.functional import cached_property
from django.utils.http import urlencode

from agents import connections, deploying, metrics
from agents.comparison import compare
from agents.deploy_api import deployments_of
from agents.deploy_forms import PlayForm
from agents.deploy_serializers import CONTROLS
from agents.history import DeploymentEvent
from agents.models import Agent, Deployment, Instance
from agents.price_source import in_force
from agents.provider_connection import ProviderConnection
from agents.views import agent_verbs
from agents.wellbeing import Outcome, health
from controlplane.kit.errors import InvalidInput
from controlplane.kit.tables import Verb
from controlplane.kit.views import DetailView
from projects.models import Environment

VERSIONS_SHOWN = 100
INSTANCES_SHOWN = 50
HISTORY_SHOWN = 60
CHARTS_SHOWN = 6
# ?range= of the charts: in words, how long, by which bucket.
RANGES: dict[str, tuple[str, timedelta, metrics.Bucket]] = {
    "24h": ("24 hours", timedelta(hours=24), "hour"),
    "7d": ("7 days", timedelta(days=7), "hour"),
    "30d": ("30 days", timedelta(days=30), "day"),
    "90d": ("90 days", timedelta(days=90), "day"),
}


class AgentPage(DetailView):
    """One agent. `work` and `outcome` are filled in by the app that knows what became of runs."""

    model = Agent
    template_name = "agents/detail.html"
    crumb = ("Agents", "/agents/")
    tabs = {
        "overview": ("Overview", "agents/_overview.html"),
        "deployments": ("Deployments", "agents/_deployments.html"),
        "instances": ("Instances", "agents/_instances.html"),
        "metrics": ("Metrics", "agents/_metrics.html"),
        "runs": ("Runs", "agents/_runs.html"),
        "versions": ("Versions", "agents/_versions.html"),
        "playground": ("Playground", "agents/_playground.html"),
    }
    fragments = {
        "agent-health": "agents/_health.html",
        "agent-facts": "agents/_facts.html",
        "agent-instances": "agents/_instances.html",
        "agent-deployments": "agents/_deployments.html",
    }

    def rows(self) -> QuerySet:
        """With the current version."""
        return super().rows().select_related("current", "project")

    def get_counts(self) -> Mapping[str, int]:
        """How many versions there are."""
        return {"versions": self.row.version or 0}

    def get_actions(self) -> list[Verb]:
        """Deploying, checking, changing and deleting."""
        verbs = agent_verbs(self.row, self.may)
        if self.row.kind != "worker" and self.may("try", self.row):
            url = reverse("agents:check", args=[self.row.pk])
            verbs.append(Verb("Check connection", url, icon="plug", dialog=True))
        if self.may("deploy", self.row):
            url = reverse("agents:deploy", args=[self.row.pk])
            verbs.append(Verb("Deploy", url, icon="rocket", dialog=True, kind="primary"))
        return verbs

    def work(self, agent: Agent, span: metrics.Range) -> dict[metrics.Key, metrics.Work]:
        """What became of the agent's runs, by bucket; nobody knows here."""
        return {}

    def outcome(self, agent: Agent) -> Outcome | None:
        """How its work went lately; None falls back to its model calls."""
        return None

    @cached_property
    def config(self) -> dict[str, Any]:
        """The current configuration, with what its connection says where it can be asked."""
        try:
            return connections.resolved(self.row.project_id, self.row.config)
        except InvalidInput:
            return self.row.config

    def get_facts(self) -> list[dict[str, Any]]:
        """What it is."""
        agent, config = self.row, self.config
        found = [
            {"label": "Kind", "value": agent.get_kind_display()},
            {"label": "Slug", "value": agent.slug},
            {"label": "Version", "value": agent.version},
        ]
        for name in ("provider", "model", "entrypoint", "url"):
            if config.get(name):
                found.append({"label": name.capitalize(), "value": config[name]})
        if key := config.get("connection"):
            rows = ProviderConnection.objects.filter(project_id=agent.project_id, pk=key)
            name = rows.values_list("name", flat=True).first()
            found.append({"label": "Connection", "value": name or "gone"})
        if tools := config.get("tools"):
            found.append({"label": "Tools", "value": ", ".join(tools)})
        return found

    def get_context(self) -> dict[str, Any]:
        """And what the tab shows."""
        context = super().get_context()
        context["deployments"] = self.deployments()
        context["health"] = health(self.row, outcome=self.outcome(self.row))
        if self.tab == "overview" and self.row.kind == "model":
            config = self.config
            named = {"provider": config.get("provider"), "model": config.get("model")}
            context["price_query"] = urlencode(named)
            context["price"] = in_force(
                self.row.project_id,
                config.get("provider") or "",
                config.get("model") or "",
                config.get("base_url"),
            )
        if self.tab == "versions":
            context["versions"] = self.versions()
        elif self.tab == "instances":
            context |= self.instances()
        elif self.tab == "deployments":
            context |= self.history(context["deployments"])
        elif self.tab == "playground":
            is_model = self.row.kind == "model"
            context["form"] = PlayForm(row=self.row) if is_model else None
            context["may_try"] = self.may("try", self.row)
        elif self.tab == "metrics":
            context |= self.metrics()
        return context

    def versions(self) -> list[Any]:
        """The newest ones, each with what it changed against the one before."""
        rows = list(self.row.versions.all()[: VERSIONS_SHOWN + 1])
        for newer, older in itertools.pairwise(rows):
            newer.changes = compare(older.config, newer.config)
        may_change = self.may("change", self.row)
        for row in rows:
            row.may_restore = may_change and row.pk != self.row.current_id
        return rows[:VERSIONS_SHOWN]

    # --- where it runs

    def deployments(self) -> list[Deployment]:
        """Its deployments that are not retired, with what they show."""
        rows = list(deployments_of(self.row).exclude(phase=Deployment.Phase.RETIRED))
        ready = deploying.ready_counts(rows)
        for row in rows:
            row.ready = ready.get(row.pk, 0)
            row.controls = CONTROLS[row.driver]
            if row.waiting is not None:
                row.waiting["at"] = parse_datetime(row.waiting["at"])
            row.verbs = self.verbs_of(row)
        return rows

    def verbs_of(self, row: Deployment) -> list[Verb]:
        """What this user may do to a deployment."""
        query = f"?{urlencode({'environment': row.environment.name})}"
        may_deploy = self.may("deploy", self.row)
        if row.environment.protected:
            may_deploy = self.may("deploy_protected", self.row)
        found = []
        if row.is_live and self.may("scale", self.row):
            found.append(("Scale", "scale", "selector"))
        if may_deploy:
            found.append(("Deploy a version", "deploy", "rocket"))
        if row.is_live and may_deploy:
            found.append(("Roll back", "roll-back", "arrow-back-up"))
            found.append(("Retire", "retire", "archive"))
        return [
            Verb(label, reverse(f"agents:{name}", args=[self.row.pk]) + query, icon, dialog=True)
            for label, name, icon in found
        ]

    def history(self, deployments: list[Deployment]) -> dict[str, Any]:
        """What was decided and what happened, the newest first."""
        rows = DeploymentEvent.objects.filter(deployment__agent=self.row)
        rows = rows.select_related("deployment__environment", "version")[:HISTORY_SHOWN]
        return {"history": rows, "promotions": self.promotions(deployments)}

    def promotions(self, deployments: list[Deployment]) -> list[dict[str, Any]]:
        """Where the next environment has another version than the one before it: a promotion."""
        live = {row.environment_id: row for row in deployments if row.live_version_id}
        found = []
        environments = Environment.objects.filter(project=self.row.project).order_by("rank")
        for below, above in itertools.pairwise(environments):
            verb = "deploy_protected" if above.protected else "deploy"
            source, target = live.get(below.pk), live.get(above.pk)
            if source is None or not self.may(verb, self.row):
                continue
            if target is None or target.target_version_id != source.live_version_id:
                query = urlencode({"environment": above.name, "source": below.name})
                url = f"{reverse('agents:promote', args=[self.row.pk])}?{query}"
                label = f"Promote version {source.live_version.number} to {above.name}"
                found.append({"label": label, "url": url})
        return found

    # --- its processes

    def instances(self) -> dict[str, Any]:
        """Its processes, the live ones first, with how their memory went."""
        rows = Instance.objects.filter(deployment__agent=self.row)
        rows = rows.select_related("deployment__environment", "version")
        live = list(rows.live().order_by("-started_at")[:INSTANCES_SHOWN])
        ended = rows.exclude(state__in=Instance.LIVE).order_by("-started_at")
        shown = live + list(ended[: max(0, INSTANCES_SHOWN - len(live))])
        for row in shown:
            row.log_url = reverse("agents:log", args=[row.pk])
        charted = [row.pk for row in live[:CHARTS_SHOWN]]
        key = "-".join(str(pk)[-8:] for pk in charted)
        return {"instances": shown, "live": len(live), "chart_ids": charted, "chart_key": key}

    # --- what it did

    def metrics(self) -> dict[str, Any]:
        """Figures of the chosen range, for tables; the charts fetch the same from the API."""
        chosen = self.request.GET.get("range", "24h")
        chosen = chosen if chosen in RANGES else "24h"
        _, length, bucket = RANGES[chosen]
        end = timezone.now()
        span = metrics.Range(end - length, end, bucket)
        used = metrics.usage(self.row.pk, span)
        figures = metrics.shape(span, used, self.work(self.row, span))
        query = {"from": span.start.isoformat(), "to": span.end.isoformat(), "bucket": bucket}
        return {
            "figures": figures,
            "busy": [row for row in figures["buckets"] if row["runs"] or row["model_calls"]],
            "chart_url": f"/api/v1/agents/{self.row.pk}/metrics?{urlencode(query)}",
            "range": chosen,
            "ranges": [
                {"label": words, "url": f"?tab=metrics&range={key}", "active": key == chosen}
                for key, (words, _, _) in RANGES.items()
            ],
        }
