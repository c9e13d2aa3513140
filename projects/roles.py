"""The one table of role × action; code, tests and documents read it."""

from django.db import models


class Role(models.TextChoices):
    """Roles of a member, from least to most."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    OWNER = "owner"


ROLES = Role.choices

# Each role also has everything of the ones above it in this table.
VIEWER = frozenset(
    {
        "projects.view_project",
        "projects.view_membership",
        "projects.view_invitation",
        "projects.view_environment",
        "projects.view_secret",
        "projects.view_savedview",
        "projects.add_savedview",
        "projects.change_savedview",
        "projects.delete_savedview",
        "tools.view_tool",
        "tools.view_toolserver",
        "agents.view_agent",
        "agents.view_deployment",
        "agents.view_instance",
        "agents.view_modelprice",
        "agents.view_providerconnection",
        "workflows.view_workflow",
        "workflows.view_schedule",
        "workflows.view_trigger",
        "workflows.validate_workflow",
        "governance.view_approval",
        "governance.view_auditentry",
        "governance.view_policy",
        "governance.view_violation",
        "governance.view_budget",
        "runs.view_run",
        "analytics.view_report",
        "analytics.view_export",
        "analytics.add_export",
        "analytics.delete_export",
    }
)
OPERATOR = frozenset(
    {
        "tools.add_tool",
        "tools.change_tool",
        "tools.delete_tool",
        "tools.test_tool",
        "tools.add_toolserver",
        "tools.change_toolserver",
        "tools.delete_toolserver",
        "agents.add_agent",
        "agents.change_agent",
        "agents.delete_agent",
        "agents.try_agent",
        "agents.check_providerconnection",
        "agents.deploy_agent",
        "agents.scale_agent",
        "agents.work_agent",
        "workflows.add_workflow",
        "workflows.change_workflow",
        "workflows.delete_workflow",
        "workflows.publish_workflow",
        "workflows.test_workflow",
        "workflows.add_schedule",
        "workflows.change_schedule",
        "workflows.delete_schedule",
        "workflows.add_trigger",
        "workflows.change_trigger",
        "workflows.delete_trigger",
        "governance.decide_approval",
        "governance.change_violation",
        "runs.add_run",
        "runs.change_run",
        "runs.cancel_run",
        "runs.retry_run",
        "runs.pause_run",
        "runs.resume_run",
        "runs.fork_run",
        "runs.signal_run",
        "runs.answer_run",
        "runs.reconcile_run",
    }
)
ADMIN = frozenset(
    {
        "projects.change_project",
        "projects.archive_project",
        "projects.add_membership",
        "projects.change_membership",
        "projects.delete_membership",
        "projects.delete_invitation",
        "projects.add_environment",
        "projects.change_environment",
        "projects.delete_environment",
        "projects.add_secret",
        "projects.change_secret",
        "projects.delete_secret",
        "projects.view_apikey",
        "projects.add_apikey",
        "projects.change_apikey",
        "projects.delete_apikey",
        "tools.approve_tool",
        "agents.deploy_protected_agent",
        "agents.add_modelprice",
        "agents.change_modelprice",
        "agents.delete_modelprice",
        "agents.add_providerconnection",
        "agents.change_providerconnection",
        "agents.delete_providerconnection",
        "governance.add_policy",
        "governance.change_policy",
        "governance.delete_policy",
        "governance.test_policy",
        "governance.add_budget",
        "governance.change_budget",
        "governance.delete_budget",
        "runs.delete_run",
    }
)
OWNER = frozenset({"projects.delete_project", "projects.freeze_project"})

# An archived project is read-only; who may change it may wake it, its owner may also delete it.
ARCHIVED = "archived "
PERMISSIONS: dict[str, frozenset[str]] = {
    Role.VIEWER: VIEWER,
    Role.OPERATOR: VIEWER | OPERATOR,
    Role.ADMIN: VIEWER | OPERATOR | ADMIN,
    Role.OWNER: VIEWER | OPERATOR | ADMIN | OWNER,
    ARCHIVED + Role.VIEWER: VIEWER,
    ARCHIVED + Role.OPERATOR: VIEWER,
    ARCHIVED + Role.ADMIN: VIEWER | {"projects.archive_project"},
    ARCHIVED + Role.OWNER: VIEWER | {"projects.archive_project", "projects.delete_project"},
}
EVERY_PERMISSION = PERMISSIONS[Role.OWNER]
RANK = {role: rank for rank, role in enumerate(Role.values)}


def effective(role: str, project_status: str) -> str:
    """The role that counts in a project of this status."""
    return role if project_status == "active" else ARCHIVED + role


def outranks(role: str | None, other: str) -> bool:
    """Whether `role` is at least `other`: nobody hands out or takes away more than they have."""
    return role in RANK and RANK[role] >= RANK[other]


def allows(role: str | None, permission: str) -> bool:
    """Whether a role has a permission; an unknown role has none."""
    return permission in PERMISSIONS.get(role or "", frozenset())


def as_markdown() -> str:
    """The table as the documents show it (docs/permissions.md)."""
    lines = [
        "| permission | viewer | operator | admin | owner |",
        "| --- | --- | --- | --- | --- |",
    ]
    for permission in sorted(EVERY_PERMISSION):
        marks = " | ".join("●" if allows(role, permission) else " " for role in Role.values)
        lines.append(f"| `{permission}` | {marks} |")
    return "\n".join(lines) + "\n"
