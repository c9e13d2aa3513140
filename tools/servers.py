"""The verbs of MCP servers: asking what they offer, importing tools, seeing what changed."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from controlplane.kit import audit
from controlplane.kit.egress import Redactor
from controlplane.kit.errors import DomainError, FieldProblem, InvalidInput
from controlplane.kit.loop import background_loop
from projects import vault
from projects.models import Project, Secret
from projects.people import User
from tools import pinned
from tools.calls import SecretValue
from tools.http.config import host_of
from tools.kinds.http import host_problem
from tools.mcp import definitions, door
from tools.mcp.door import Door, Listing
from tools.models import Kind, Tool, ToolServer, ToolVersion

MOST_IMPORTED = 200
# A person waits for a discovery, and so does a thread of the web process.
LONGEST_LISTING = 60.0


class ServerFailed(DomainError):
    """A server did not tell what it offers; the sentence says why."""

    status = 409
    code = "server_failed"


def clean(url: Any, auth: Any, project: Project | None = None) -> dict[str, Any]:
    """{url, auth} as they are stored. InvalidInput names what is wrong; with `project` also a
    secret that is missing or bound to another host."""
    try:
        kept = door.clean(url, auth)
    except InvalidInput as exc:
        faults = [
            FieldProblem(fault.field.removeprefix("config."), fault.code, fault.message)
            for fault in exc.errors
        ]
        raise InvalidInput(faults[0].message, errors=faults) from None
    if door.has_places(kept["url"]):
        raise InvalidInput.of("url", "The URL of a server takes no arguments.", "invalid_url")
    name = (kept["auth"] or {}).get("secret")
    if name and project is not None:
        secret = Secret.objects.filter(project=project, name=name).first()
        if secret is None:
            message = f"This project has no secret named {name}."
            raise InvalidInput.of("auth.secret", message, "does_not_exist")
        if problem := host_problem(kept, name, tuple(secret.allowed_hosts)):
            raise InvalidInput.of("auth.secret", problem, "secret_host_refused")
    return kept


def discover(server: ToolServer, *, actor: Any) -> ToolServer:
    """Ask the server what it offers, keep it, and put every imported tool whose definition changed
    in quarantine. ServerFailed (409) where it does not tell; that is kept too."""
    try:
        listing = _listing(server)
    except DomainError as exc:
        _keep(server, actor, ToolServer.Status.FAILED, error=exc.message[:500])
        raise ServerFailed(exc.message, code=exc.code) from None
    found = [
        {
            **definition,
            "sha256": definitions.sha256(definition),
            "fault": definitions.fault(definition),
        }
        for definition in listing.definitions
        if not definitions.storable_fault(definition)
    ]
    _keep(server, actor, ToolServer.Status.CONNECTED, info=dict(listing.info), discovered=found)
    return server


def _listing(server: ToolServer) -> Listing:
    entry = _door(server)
    redactor = Redactor(list(entry.hidden))
    if not connection.in_atomic_block:
        # No connection is held while the other side works.
        connection.close()
    asking = asyncio.run_coroutine_threadsafe(door.list_tools(entry), background_loop())
    try:
        return asking.result(entry.timeout_seconds + 1)
    except TimeoutError:
        asking.cancel()
        raise ServerFailed(
            f"{entry.host} did not answer within {entry.timeout_seconds:g} s.", code="timeout"
        ) from None
    except DomainError as exc:
        exc.message = redactor.text(exc.message)
        raise


def _door(server: ToolServer) -> Door:
    secret, name = None, (server.auth or {}).get("secret")
    if name:
        row = vault.named(server.project_id, name)
        value = vault.reveal_for(row, *host_of(server.url))
        secret = SecretValue(name, value, tuple(row.allowed_hosts))
    seconds = min(server.timeout_seconds, LONGEST_LISTING)
    return door.door(server.url, server.auth, secret, timeout_seconds=seconds)


@transaction.atomic
def _keep(
    server: ToolServer,
    actor: Any,
    status: str,
    *,
    error: str = "",
    info: dict[str, Any] | None = None,
    discovered: list[dict[str, Any]] | None = None,
) -> None:
    row = ToolServer.objects.select_for_update(of=("self",)).get(pk=server.pk)
    before = {tool["name"]: tool["sha256"] for tool in row.discovered}
    row.status, row.last_error, row.last_discovered_at = status, error, timezone.now()
    changed: list[str] = []
    if discovered is not None:
        row.info, row.discovered = info or {}, discovered
        changed = _hold_changed(row)
    row.save()
    for name in ("status", "last_error", "last_discovered_at", "info", "discovered", "updated_at"):
        setattr(server, name, getattr(row, name))
    after = {tool["name"]: tool["sha256"] for tool in row.discovered}
    audit.record(
        "toolserver.discovered",
        actor=actor,
        project_id=row.project_id,
        target=row,
        after={
            "status": status,
            "error": error,
            "tools": len(after),
            "new": sorted(after.keys() - before.keys()),
            "gone": sorted(before.keys() - after.keys()),
            "quarantined": changed,
        },
    )


def _hold_changed(server: ToolServer) -> list[str]:
    """Put the imported tools that are not what they were in quarantine; their slugs."""
    offered = {tool["name"]: tool for tool in server.discovered}
    changed = []
    for tool in server.tools.alive().select_related("current").order_by("pk"):
        found = offered.get(tool.config.get("name", ""))
        if found is not None and pinned.hold(tool.pk, _bare(found)):
            changed.append(tool.slug)
    return changed


def _bare(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in ("sha256", "fault")}


def check_server(project: Project, server_id: str) -> ToolServer:
    """The project's server of that id. InvalidInput `does_not_exist`."""
    server = ToolServer.objects.alive().filter(project=project, pk=server_id).first()
    if server is None:
        message = "This project has no tool server of that id."
        raise InvalidInput.of("config.server", message, "does_not_exist")
    return server


def complete(project: Project, parts: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a tool of kind mcp: its schemas are those its server told. InvalidInput where
    the server does not offer it, or where other schemas were given."""
    config = parts["config"]
    server = check_server(project, config["server"])
    found = next((t for t in server.discovered if t["name"] == config["name"]), None)
    if found is None:
        when = "offers no such tool" if server.last_discovered_at else "was never asked; discover"
        message = f"{server.name} {when}: {config['name']}."
        raise InvalidInput.of("config.name", message, "does_not_exist")
    if found["fault"]:
        raise InvalidInput.of("config.name", found["fault"], "definition_invalid")
    for name, none in (("input_schema", {"type": "object"}), ("output_schema", None)):
        if parts[name] not in (none, found[name]):
            message = f"The {name} of a server's tool is the server's; leave it out."
            raise InvalidInput.of(name, message, "pinned")
    return {
        **parts,
        "input_schema": found["input_schema"],
        "output_schema": found["output_schema"],
        "definition": _bare(found),
    }


@transaction.atomic
def import_tools(server: ToolServer, names: Sequence[str], *, actor: User | None) -> list[Tool]:
    """Make a tool of each named one the server offers; those imported already are left alone.
    InvalidInput names what it does not offer or what cannot be imported."""
    server = ToolServer.objects.select_for_update(of=("self",)).get(pk=server.pk)
    offered = {tool["name"]: tool for tool in server.discovered}
    faults = [
        FieldProblem(f"tools.{index}", "does_not_exist", f"{server.name} offers no {name}.")
        if name not in offered
        else FieldProblem(f"tools.{index}", "definition_invalid", offered[name]["fault"])
        for index, name in enumerate(names)
        if name not in offered or offered[name]["fault"]
    ]
    if faults:
        raise InvalidInput(faults[0].message, errors=faults)
    known = imported(server)
    return [
        known.get(name) or _imported(server, offered[name], actor) for name in dict.fromkeys(names)
    ]


def imported(server: ToolServer) -> dict[str, Tool]:
    """The project's tools of a server by the names the server gives them."""
    tools = server.tools.alive().select_related("current").order_by("-pk")
    return {tool.config.get("name", ""): tool for tool in tools}


def offered(server: ToolServer) -> list[dict[str, Any]]:
    """What a server offers, each with `tool` (the id of the project's tool of it, or null) and its
    `approval`."""
    known = imported(server)
    return [
        {
            **found,
            "tool": known[found["name"]].pk if found["name"] in known else None,
            "approval": known[found["name"]].approval if found["name"] in known else None,
        }
        for found in server.discovered
    ]


def _imported(server: ToolServer, found: Mapping[str, Any], actor: User | None) -> Tool:
    effect_class, stakes = definitions.classes(found)
    definition = _bare(found)
    tool = Tool(
        project_id=server.project_id,
        slug=_free_slug(server.project_id, definitions.slug_of(found["name"])),
        name=(found["title"] or found["name"])[:120],
        kind=Kind.MCP,
        description=found["description"][:4000],
        effect_class=effect_class,
        stakes=stakes,
        timeout_seconds=server.timeout_seconds,
        server=server,
    )
    tool.full_clean()
    tool.save(force_insert=True)
    tool.current = ToolVersion.objects.create(
        tool=tool,
        number=1,
        config={"server": str(server.pk), "name": found["name"]},
        input_schema=found["input_schema"],
        output_schema=found["output_schema"],
        definition=definition,
        definition_sha256=found["sha256"],
        created_by_name=str(actor)[:120] if actor else "system",
        note=f"Imported from {server.name}"[:500],
    )
    tool.save(update_fields=["current"])
    audit.record(
        "tool.imported",
        actor=actor,
        project_id=server.project_id,
        target=tool,
        after={"server": server.name, "name": found["name"], "definition_sha256": found["sha256"]},
    )
    return tool


def _free_slug(project_id: UUID, wanted: str) -> str:
    taken = set(
        Tool.objects.filter(project_id=project_id, slug__startswith=wanted[:55]).values_list(
            "slug", flat=True
        )
    )
    if wanted not in taken:
        return wanted
    numbers = (f"{wanted[:58]}-{n}" for n in range(2, len(taken) + 3))
    return next(slug for slug in numbers if slug not in taken)
