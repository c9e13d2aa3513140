"""Definitions of MCP tools are pinned: a changed one is held in quarantine until it is approved."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max

from controlplane.kit import audit
from controlplane.kit.errors import DomainError
from projects.people import User
from tools.mcp import definitions
from tools.models import Tool, ToolVersion

Approval = ToolVersion.Approval


@transaction.atomic
def hold(tool_id: UUID, found: dict[str, Any]) -> bool:
    """Compare what a server says of a tool now with its current version. Another definition becomes
    a version in quarantine; one that was approved before takes its place again. Whether anything
    changed."""
    tool = Tool.objects.select_for_update(of=("self",)).filter(pk=tool_id).first()
    if tool is None or tool.current is None:
        return False
    now, sha = tool.current, definitions.sha256(found)
    if now.definition_sha256 == sha:
        return False
    known = tool.versions.filter(definition_sha256=sha, approval=Approval.APPROVED).first()
    if known is not None and known.config == now.config:
        _make_current(tool, known)
        _note("tool.definition_restored", tool, now, known, actor=None)
        return True
    if definitions.storable_fault(found):
        # Every call is refused all the same: it is not what was pinned.
        return False
    last = tool.versions.aggregate(last=Max("number"))["last"] or 0
    held = ToolVersion.objects.create(
        tool=tool,
        number=last + 1,
        config=now.config,
        input_schema=found["input_schema"],
        output_schema=found["output_schema"],
        definition=found,
        definition_sha256=sha,
        approval=Approval.QUARANTINED,
        note="The server changed the definition",
        created_by_name="system",
    )
    _make_current(tool, held)
    _note("tool.quarantined", tool, now, held, actor=None)
    return True


def approved_before(version: ToolVersion) -> ToolVersion | None:
    """The newest approved version before a quarantined one; None where there is none."""
    older = version.tool.versions.filter(number__lt=version.number, approval=Approval.APPROVED)
    return older.order_by("-number").first()


@transaction.atomic
def approve(tool: Tool, *, sha256: str | None, note: str = "", actor: User | None) -> Tool:
    """Let the quarantined version of a tool be called. `sha256` is the fingerprint of what the
    person saw. DomainError 409 `not_quarantined`, `definition_changed` where it is another by now,
    or `definition_invalid` where nothing could call it."""
    tool = Tool.objects.select_for_update(of=("self",)).get(pk=tool.pk)
    held = tool.current
    if held is None or held.approval == Approval.APPROVED:
        raise DomainError(f"{tool.name} is not in quarantine.", code="not_quarantined")
    if sha256 is not None and sha256 != held.definition_sha256:
        raise DomainError(
            "The definition changed again since you looked at it; look at the new one.",
            code="definition_changed",
        )
    if held.definition is not None and (fault := definitions.fault(held.definition)):
        raise DomainError(f"This definition cannot be used. {fault}", code="definition_invalid")
    before = approved_before(held)
    held.approval = Approval.APPROVED
    if note:
        held.note = note[:500]
    held.save(update_fields=["approval", "note", "updated_at"])
    told = (before.definition or {}).get("description") if before else None
    if held.definition is not None and tool.description == told:
        # Nobody wrote words of their own: the model goes on reading the server's.
        tool.description = held.definition["description"][:4000]
    tool.save(update_fields=["description", "updated_at"])
    _note("tool.definition_approved", tool, before, held, actor=actor)
    return tool


def _make_current(tool: Tool, version: ToolVersion) -> None:
    tool.current = version
    tool.save(update_fields=["current", "updated_at"])


def _note(
    act: str, tool: Tool, before: ToolVersion | None, after: ToolVersion, *, actor: User | None
) -> None:
    def facts(version: ToolVersion | None) -> dict[str, Any]:
        if version is None:
            return {}
        return {"version": version.number, "definition_sha256": version.definition_sha256}

    audit.record(
        act,
        actor=actor,
        project_id=tool.project_id,
        target=tool,
        before=facts(before),
        after=facts(after),
    )
