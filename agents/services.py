"""The verbs of agents: making them, changing them by versions, rolling back."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import Max

from agents import config as configs
from agents import connections
from agents.as_tool import check_tools, tools_asking
from agents.models import Agent, AgentTool, AgentVersion, Deployment
from agents.providers import HOME
from controlplane.kit import audit, links
from controlplane.kit.egress.addresses import host_matches
from controlplane.kit.errors import DomainError, FieldProblem, InvalidInput
from projects.models import Project, Secret
from projects.people import User
from tools.models import Tool


def called_host(config: Mapping[str, Any]) -> tuple[str, int] | None:
    """(host, port) of the server a configuration calls, or None where it calls none of its own."""
    url = config.get("base_url") or config.get("url") or HOME.get(config.get("provider") or "")
    if not url:
        return None
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def check_references(project: Project, config: Mapping[str, Any]) -> None:
    """InvalidInput where a configuration names a tool or secret that the project has not, or a
    secret that is not bound to the host that is called; also that of its connection."""
    faults = _missing_tools(project, config)
    config = connections.resolved(project.pk, config)
    if name := config.get("secret"):
        faults += secret_faults(project, name, called_host(config))
    if faults:
        raise InvalidInput(faults[0].message, errors=faults)


def _missing_tools(project: Project, config: Mapping[str, Any]) -> list[FieldProblem]:
    wanted = config.get("tools") or []
    if not wanted:
        return []
    rows = Tool.objects.alive().filter(project=project, slug__in=wanted)
    known = set(rows.values_list("slug", flat=True))
    return [
        FieldProblem(f"config.tools.{index}", "does_not_exist", f"This project has no tool {slug}.")
        for index, slug in enumerate(wanted)
        if slug not in known
    ]


def secret_faults(
    project: Project, name: str, called: tuple[str, int] | None
) -> list[FieldProblem]:
    """Why a secret cannot go to the server that is called."""
    secret = Secret.objects.filter(project=project, name=name).first()
    if secret is None:
        message = f"This project has no secret named {name}."
        return [FieldProblem("config.secret", "does_not_exist", message)]
    if called and not any(host_matches(*called, pattern) for pattern in secret.allowed_hosts):
        bound = ", ".join(secret.allowed_hosts) or "no host yet"
        message = f"The secret {name} may not go to {called[0]}: it is bound to {bound}."
        return [FieldProblem("config.secret", "secret_host_refused", message)]
    return []


@transaction.atomic
def create_agent(*, project: Project, actor: User | None, **fields: Any) -> Agent:
    """A new agent with its version 1, audited. `fields` as in the API; InvalidInput says what is
    wrong with them."""
    cleaned = configs.clean(fields["kind"], fields.get("config"))
    fields["config"] = connections.completed(project, cleaned)
    check_references(project, fields["config"])
    agent = insert(project=project, author=actor, **fields)
    audit.record(
        "agent.created",
        actor=actor,
        project_id=project.pk,
        target=agent,
        after={"name": agent.name, "kind": agent.kind, "version": agent.version},
    )
    return agent


@transaction.atomic
def insert(*, author: User | None, config: dict[str, Any], note: str = "", **fields: Any) -> Agent:
    """A new agent with its version 1 from checked fields; the caller writes the audit row."""
    agent = Agent(**fields)
    agent.full_clean()
    agent.save(force_insert=True)
    _add_version(agent, 1, config, author, note)
    agent.save(update_fields=["current", "updated_at"])
    return agent


@transaction.atomic
def change(
    agent: Agent,
    *,
    author: User | None,
    config: dict[str, Any] | None = None,
    note: str = "",
    **fields: Any,
) -> Agent:
    """Change an agent from checked fields; another configuration becomes the next version. The
    caller holds the agent's row lock and writes the audit row."""
    for name, value in fields.items():
        setattr(agent, name, value)
    if config is not None and config != agent.config:
        last = agent.versions.aggregate(last=Max("number"))["last"] or 0
        _add_version(agent, last + 1, config, author, note)
    agent.save()
    return agent


def _add_version(
    agent: Agent, number: int, config: dict[str, Any], author: User | None, note: str
) -> None:
    agent.current = AgentVersion.objects.create(
        agent=agent,
        number=number,
        config=config,
        sha256=configs.fingerprint(config),
        note=note[:500],
        created_by_name=str(author)[:120] if author else "system",
    )
    connections.hold(agent.project_id, config)
    _link_tools(agent, config.get("tools") or [])


def _link_tools(agent: Agent, slugs: Sequence[str]) -> None:
    """Say which tools the current version names. Their rows are locked, so that none of them is
    deleted in the meantime; one that is gone already is InvalidInput."""
    rows = Tool.objects.select_for_update(of=("self",), no_key=True).alive()
    tools = rows.filter(project_id=agent.project_id, slug__in=slugs).order_by("pk")
    found = {tool.slug: tool for tool in tools}
    if missing := [slug for slug in slugs if slug not in found]:
        message = f"This project has no tool {missing[0]}."
        raise InvalidInput.of("config.tools", message, "does_not_exist")
    check_tools(agent, slugs)
    agent.tool_links.exclude(tool__in=found.values()).delete()
    AgentTool.objects.bulk_create(
        (AgentTool(agent=agent, tool=tool) for tool in found.values()), ignore_conflicts=True
    )


@transaction.atomic
def roll_back(agent: Agent, *, number: int, note: str = "", actor: User | None) -> Agent:
    """Make the configuration of an older version the current one again, as a new version: history
    only grows. 422 where there is no such version or its tools and secrets are gone by now, 409
    `nothing_to_roll_back` where it is the current one already."""
    # Without joins: rows joined to one that was waited for are those of before.
    agent = Agent.objects.select_for_update().get(pk=agent.pk)
    old = agent.versions.filter(number=number).first()
    if old is None:
        message = f"{agent.name} has no version {number}."
        raise InvalidInput.of("version", message, "does_not_exist")
    if agent.config == old.config:
        raise DomainError(
            f"Version {agent.version} says the same as version {number}.",
            code="nothing_to_roll_back",
        )
    check_references(agent.project, old.config)
    before = agent.version
    change(agent, author=actor, config=old.config, note=note or f"Back to version {number}")
    audit.record(
        "agent.rolled_back",
        actor=actor,
        project_id=agent.project_id,
        target=agent,
        before={"version": before},
        after={"version": agent.version, "config_of": number},
    )
    return agent


def used_by(agent: Agent, *, hard: bool = False) -> list[str]:
    """What hangs on an agent, in words: its deployments that are not retired, and what calls it. A
    retired one forbids only deleting for good, for its history would go with it."""
    rows = Deployment.objects.filter(agent=agent).select_related("environment")
    if not hard:
        rows = rows.exclude(phase=Deployment.Phase.RETIRED)
    deployed = [
        f"its deployment in {row.environment.name}"
        + (" that waits for approval" if row.waiting else "")
        for row in rows[:20]
    ]
    return deployed + tools_asking(agent) + links.users_of(agent, hard=hard)
