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
from projects.models import Project, Secret
from projects.people import User
from tools import definition
from tools.callables import callable_of, resolve_secrets
from tools.calling import call_tool, call_tool_blocking, prepare
from tools.calls import CallContext, Result, ToolCallable, ToolError
from tools.http.config import host_of
from tools.kinds import kind
from tools.models import Tool, ToolVersion

DEFINITION = ("config", "input_schema", "output_schema")
# A person waits for a test, and so does a thread of the web process.
LONGEST_TEST_SECONDS = 120.0


def check_secrets(project: Project, kind_name: str, config: Mapping[str, Any]) -> None:
    """InvalidInput where the config names a secret that the project has not, or one that is not
    bound to the host of the URL."""
    for name in kind(kind_name).secret_names(config):
        secret = Secret.objects.filter(project=project, name=name).first()
        if secret is None:
            message = f"This project has no secret named {name}."
            raise InvalidInput.of("config.auth.secret", message, "does_not_exist")
        host, port = host_of(config["url"])
        if not any(host_matches(host, port, pattern) for pattern in secret.allowed_hosts):
            bound = ", ".join(secret.allowed_hosts) or "no host yet"
            message = f"The secret {name} may not go to {host}: it is bound to {bound}."
            raise InvalidInput.of("config.auth.secret", message, "secret_host_refused")


@transaction.atomic
def create_tool(*, project: Project, actor: User | None, **fields: Any) -> Tool:
    """A new tool with its version 1, audited. `fields` as in the API; InvalidInput says what is
    wrong with them."""
    fields = {"config": {}, "input_schema": {"type": "object"}, "output_schema": None, **fields}
    made = definition.clean(fields["kind"], *(fields[name] for name in DEFINITION))
    check_secrets(project, fields["kind"], made[0])
    fields |= dict(zip(DEFINITION, made, strict=True))
    fields["rate_limit"] = definition.rate_limit(fields.get("rate_limit"))
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
    tool = Tool(**fields)
    tool.full_clean()
    tool.save(force_insert=True)
    _add_version(tool, 1, parts, author)
    tool.save(update_fields=["current"])
    return tool


@transaction.atomic
def change(tool: Tool, *, author: User | None, **fields: Any) -> Tool:
    """Change a tool from checked fields; another definition becomes the next version. The caller
    holds the tool's row lock and writes the audit row."""
    parts = {name: fields.pop(name, getattr(tool, name)) for name in DEFINITION}
    for name, value in fields.items():
        setattr(tool, name, value)
    now = tool.current.definition_sha256 if tool.current else ""
    if definition.fingerprint(tool.kind, *parts.values()) != now:
        last = tool.versions.aggregate(last=Max("number"))["last"] or 0
        _add_version(tool, last + 1, parts, author)
    tool.save()
    return tool


def _add_version(tool: Tool, number: int, parts: Mapping[str, Any], author: User | None) -> None:
    tool.current = ToolVersion.objects.create(
        tool=tool,
        number=number,
        definition_sha256=definition.fingerprint(tool.kind, *parts.values()),
        created_by_name=str(author)[:120] if author else "system",
        **parts,
    )


def try_call(tool: Tool, arguments: Any, *, actor: Any) -> dict[str, Any]:
    """Call the current version now, for real: {ok, output, error, latency_ms, request, response}.

    Nothing is saved but the audit row, which is written before the call. InvalidInput where the
    arguments fail the schema; DomainError (409) where a policy does not allow the call.
    """
    if tool.current is None:
        raise DomainError("This tool has no version.", code="tool_missing")
    tool.current.tool = tool
    called = callable_of(tool.current)
    try:
        checked = prepare(called, arguments)
        _ask(called, checked, actor)
        audit.record(
            "tool.tested",
            actor=actor,
            project_id=tool.project_id,
            target=tool,
            after={"version": called.number},
        )
        return _answer(_call(called, checked))
    except ToolError as exc:
        if exc.code == "input_invalid":
            raise InvalidInput(exc.message, errors=exc.errors) from None
        if exc.code == called.refusal_code:
            raise DomainError(exc.message, code=exc.code) from None
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


def _call(called: ToolCallable, arguments: dict[str, Any]) -> Result:
    context = CallContext(secrets=resolve_secrets(called), timeout_seconds=LONGEST_TEST_SECONDS)
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
