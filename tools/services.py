"""The verbs of tools: making them, changing them by versions, trying them."""

import asyncio
from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction
from django.db.models import Max

from controlplane.kit import audit, gate
from controlplane.kit.egress.addresses import host_matches
from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.loop import background_loop
from projects import freezing
from projects.models import Project, Secret
from projects.people import User
from tools import definition, limits, pinned, recovery, servers
from tools.callables import callable_of, resolve_secrets
from tools.calling import call_tool, call_tool_blocking, prepare
from tools.calls import CallContext, Result, ToolCallable, ToolError
from tools.consulting import consult
from tools.kinds import kind
from tools.kinds.agent import PROMPT_SCHEMA, directory
from tools.mcp import definitions
from tools.models import Kind, Tool, ToolVersion

DEFINITION = ("config", "input_schema", "output_schema")
Parts = dict[str, Any]
# A person waits for a test, and so does a thread of the web process.
LONGEST_TEST_SECONDS = 120.0


def check_secrets(project: Project, kind_name: str, config: Mapping[str, Any]) -> None:
    """InvalidInput where the config names a secret that the project has not, or one that is not
    bound to the host it goes to."""
    works = kind(kind_name)
    field = "config.options.secret" if kind_name == Kind.PYTHON else "config.auth.secret"
    for name in works.secret_names(config):
        secret = Secret.objects.filter(project=project, name=name).first()
        if secret is None:
            message = f"This project has no secret named {name}."
            raise InvalidInput.of(field, message, "does_not_exist")
        goes_to = works.secret_host(config)
        if goes_to and not any(host_matches(*goes_to, host) for host in secret.allowed_hosts):
            bound = ", ".join(secret.allowed_hosts) or "no host yet"
            message = f"The secret {name} may not go to {goes_to[0]}: it is bound to {bound}."
            raise InvalidInput.of(field, message, "secret_host_refused")


def complete(project: Project, kind_name: str, parts: Parts, tool: Tool | None) -> Parts:
    """Checked parts of a definition with what the project adds to them: of a server's tool its own
    schemas and words, of an agent the prompt it takes. InvalidInput where what they name is not
    there."""
    check_secrets(project, kind_name, parts["config"])
    if kind_name == Kind.MCP:
        return servers.complete(project, parts)
    if kind_name == Kind.AGENT:
        directory().check(project, parts["config"]["agent"], tool)
        if parts["input_schema"] == {"type": "object"}:
            return {**parts, "input_schema": PROMPT_SCHEMA}
    return parts


@transaction.atomic
def create_tool(*, project: Project, actor: User | None, **fields: Any) -> Tool:
    """A new tool with its version 1, audited. `fields` as in the API; InvalidInput says what is
    wrong with them."""
    fields = {"config": {}, "input_schema": {"type": "object"}, "output_schema": None, **fields}
    made = definition.clean(fields["kind"], *(fields[name] for name in DEFINITION))
    fields |= complete(project, fields["kind"], dict(zip(DEFINITION, made, strict=True)), None)
    fields["rate_limit"] = definition.rate_limit(fields.get("rate_limit"))
    fields["effect_check"] = recovery.clean_check(fields.get("effect_check"))
    fields["effect_undo"] = recovery.clean_undo(fields.get("effect_undo"))
    named = fields["effect_check"], fields["effect_undo"]
    recovery.check_named(project, fields["slug"], *named)
    tool = insert(project=project, author=actor, **fields)
    audit.record(
        "tool.created",
        actor=actor,
        project_id=project.pk,
        target=tool,
        after={"name": tool.name, "kind": tool.kind, "version": tool.version},
    )
    return tool


@transaction.atomic
def insert(*, author: User | None, **fields: Any) -> Tool:
    """A new tool with its version 1 from checked fields; the caller writes the audit row."""
    parts = {name: fields.pop(name) for name in DEFINITION}
    parts["definition"] = fields.pop("definition", None)
    tool = Tool(**fields, server_id=parts["config"].get("server"))
    tool.full_clean()
    tool.save(force_insert=True)
    _add_version(tool, 1, parts, author)
    tool.save(update_fields=["current"])
    return tool


@transaction.atomic
def change(tool: Tool, *, author: User | None, note: str = "", **fields: Any) -> Tool:
    """Change a tool from checked fields; another definition becomes the next version. The caller
    holds the tool's row lock and writes the audit row."""
    parts = {name: fields.pop(name, getattr(tool, name)) for name in DEFINITION}
    told = tool.current.definition if tool.current else None
    parts["definition"] = fields.pop("definition", told)
    for name, value in fields.items():
        setattr(tool, name, value)
    now = tool.current
    if now is None or fingerprint_of(tool.kind, parts) != now.definition_sha256:
        last = tool.versions.aggregate(last=Max("number"))["last"] or 0
        # The same tool of the same server in other words is for a person to look at first.
        is_changed = tool.kind == Kind.MCP and now is not None and now.config == parts["config"]
        _add_version(tool, last + 1, parts, author, note, is_held=is_changed)
        tool.server_id = parts["config"].get("server")
    tool.save()
    return tool


def fingerprint_of(kind_name: str, parts: Mapping[str, Any]) -> str:
    """The SHA-256 a definition is known by: of a server's tool that of the server's words, so that
    it can be compared with them."""
    if parts.get("definition") is not None:
        return definitions.sha256(parts["definition"])
    return definition.fingerprint(kind_name, *(parts[name] for name in DEFINITION))


def _add_version(
    tool: Tool,
    number: int,
    parts: Mapping[str, Any],
    author: User | None,
    note: str = "",
    *,
    is_held: bool = False,
) -> None:
    states = ToolVersion.Approval
    tool.current = ToolVersion.objects.create(
        tool=tool,
        number=number,
        definition_sha256=fingerprint_of(tool.kind, parts),
        approval=states.QUARANTINED if is_held else states.APPROVED,
        created_by_name=str(author)[:120] if author else "system",
        note=note[:500],
        **parts,
    )


@transaction.atomic
def restore_version(tool: Tool, *, number: int, note: str = "", actor: User | None) -> Tool:
    """Make the definition of an older version the current one again, as a new version: history only
    grows. 422 where there is no such version or what it names is gone by now, 409
    `nothing_to_restore` where it is the current one already, `tool_quarantined` where the older
    one was never approved."""
    tool = Tool.objects.select_for_update(of=("self",)).get(pk=tool.pk)
    old = tool.versions.filter(number=number).first()
    if old is None:
        raise InvalidInput.of("version", f"{tool.name} has no version {number}.", "does_not_exist")
    if tool.current and tool.current.definition_sha256 == old.definition_sha256:
        raise DomainError(
            f"Version {tool.version} says the same as version {number}.", code="nothing_to_restore"
        )
    if old.approval != ToolVersion.Approval.APPROVED:
        raise DomainError(f"Version {number} was never approved.", code="tool_quarantined")
    parts = {name: getattr(old, name) for name in DEFINITION}
    if tool.kind == Kind.MCP:
        servers.check_server(tool.project, old.config["server"])
    else:
        complete(tool.project, tool.kind, parts, tool)
    parts["definition"] = old.definition
    before = tool.version
    last = tool.versions.aggregate(last=Max("number"))["last"] or 0
    _add_version(tool, last + 1, parts, actor, note or f"Back to version {number}")
    tool.server_id = old.config.get("server")
    tool.save()
    audit.record(
        "tool.version_restored",
        actor=actor,
        project_id=tool.project_id,
        target=tool,
        before={"version": before},
        after={"version": tool.version, "definition_of": number},
    )
    return tool


def try_call(tool: Tool, arguments: Any, *, actor: Any) -> dict[str, Any]:
    """Call the current version now, for real: {ok, output, error, latency_ms, request, response}.

    Nothing is saved but the audit row, which is written before the call, and the model calls of a
    tool that is an agent. InvalidInput where the
    arguments fail the schema; DomainError (409) where a policy does not allow the call.
    """
    if tool.current is None:
        raise DomainError("This tool has no version.", code="tool_missing")
    tool.current.tool = tool
    called = callable_of(tool.current)
    try:
        checked = prepare(called, arguments)
        if called.effect_class != "read":
            freezing.refuse_frozen(tool.project)
        _ask(called, checked, actor)
        audit.record(
            "tool.tested",
            actor=actor,
            project_id=tool.project_id,
            target=tool,
            after={"version": called.number},
        )
        if called.kind == Kind.AGENT:
            seconds = LONGEST_TEST_SECONDS
            return _answer(consult(called, checked, actor=actor, within_seconds=seconds))
        return _answer(call_now(called, checked))
    except ToolError as exc:
        if exc.code == "input_invalid":
            raise InvalidInput(exc.message, errors=exc.errors) from None
        if exc.code == called.refusal_code:
            raise DomainError(exc.message, code=exc.code) from None
        if exc.definition is not None:
            pinned.hold(tool.pk, exc.definition)
        return {
            "ok": False,
            "output": None,
            "error": exc.as_dict(),
            "latency_ms": exc.latency_ms,
            "request": exc.request,
            "response": exc.response,
        }


def _ask(called: ToolCallable, arguments: dict[str, Any], actor: Any) -> None:
    verdict = gate.check(
        "tool.call",
        {
            "project_id": called.project_id,
            "actor": actor,
            "tool": called.facts(),
            "arguments": arguments,
            "trigger": "console",
        },
    )
    if not verdict.is_allowed:
        code = verdict.code or (
            "approval_required" if verdict.outcome == "require_approval" else "policy_denied"
        )
        raise DomainError(verdict.reason or "A policy does not allow this call.", code=code)


def call_now(
    called: ToolCallable, arguments: dict[str, Any], *, idempotency_key: str = ""
) -> Result:
    """Call a tool while a person waits for it; ToolError where it fails."""
    context = CallContext(
        secrets=resolve_secrets(called),
        idempotency_key=idempotency_key,
        timeout_seconds=LONGEST_TEST_SECONDS,
    )
    limits.wait_blocking(called, within_seconds=min(called.timeout_seconds, LONGEST_TEST_SECONDS))
    if not connection.in_atomic_block:
        # No connection is held while the other side works.
        connection.close()
    if called.pool != "io":
        return call_tool_blocking(called, arguments, context=context)
    return asyncio.run_coroutine_threadsafe(
        call_tool(called, arguments, context=context), background_loop()
    ).result()


def _answer(result: Result) -> dict[str, Any]:
    return {
        "ok": True,
        "output": result.output,
        "error": None,
        "latency_ms": result.latency_ms,
        "request": result.request,
        "response": result.response,
    }
