"""The project that seeded runs belong to, and the tables they are drawn from."""

from typing import Any

from django.db import connection

from agents.models import Agent
from agents.services import create_agent
from controlplane.kit.json import dumps
from controlplane.seeding import catalogue, statements
from projects.models import Membership, Project
from projects.people import User
from projects.roles import Role
from projects.services import create_project
from tools.models import Tool
from tools.services import create_tool
from workflows.models import Workflow
from workflows.services import create_workflow, publish

PROJECT = "seeded"
# How much of a run's length a node of this kind takes, against the others.
SHARE = {"agent": 5.0, "tool": 2.0, "transform": 0.1}


def owner_of(project: Project) -> User:
    """An owner of the project, in whose name things are made."""
    return Membership.objects.filter(project=project, role=Role.OWNER).first().user


def new_project() -> Project:
    """The project for seeded runs, made where it is not there; it belongs to the first
    superuser, or to an account of its own that nobody can sign in to."""
    found = Project.objects.filter(slug=PROJECT, deleted_at=None).first()
    if found is not None:
        return found
    owner = User.objects.filter(is_superuser=True, is_active=True).order_by("created_at").first()
    owner = owner or User.objects.create_user("seed@sparkops.local", None, name="Seed")
    return create_project(actor=owner, name="Seeded", slug=PROJECT)


def furnish(project: Project) -> dict[str, Workflow]:
    """The seed's tools, agents and released workflows, each made where it is not there."""
    actor = owner_of(project)
    for tool in catalogue.TOOLS:
        if not Tool.objects.filter(project=project, slug=tool["slug"]).exists():
            create_tool(project=project, actor=actor, **tool)
    for agent in catalogue.AGENTS:
        if not Agent.objects.filter(project=project, slug=agent["slug"]).exists():
            create_agent(project=project, actor=actor, **agent)
    for fields, _ in catalogue.WORKFLOWS:
        if not Workflow.objects.filter(project=project, slug=fields["slug"]).exists():
            made = create_workflow(project=project, actor=actor, **fields)
            publish(made, actor=actor, note="Seeded")
    slugs = [fields["slug"] for fields, _ in catalogue.WORKFLOWS]
    rows = Workflow.objects.filter(project=project, slug__in=slugs).exclude(released=None)
    return {row.slug: row for row in rows.select_related("released")}


def lay_out(project: Project, workflows: dict[str, Workflow]) -> None:
    """Fill the temporary tables that the statements draw from."""
    kinds = {
        "tool": {t.slug: t for t in Tool.objects.filter(project=project)},
        "agent": {a.slug: a for a in Agent.objects.filter(project=project)},
    }
    slots: list[int] = []
    with connection.cursor() as cursor:
        cursor.execute(statements.TABLES)
        for no, (fields, habit) in enumerate(catalogue.WORKFLOWS):
            workflow = workflows.get(fields["slug"])
            if workflow is None:
                continue
            slots += [no] * habit.weight
            nodes = fields["definition"]["nodes"]
            _insert(cursor, "seed_workflow", _workflow_row(no, workflow, habit, nodes))
            for position, node in enumerate(nodes, start=1):
                _insert(cursor, "seed_node", _node_row(no, position, node, kinds))
        # Where a workflow of the seed is gone, the others share its runs.
        slots = (slots * 100)[:100]
        cursor.executemany("INSERT INTO seed_slot VALUES (%s, %s)", list(enumerate(slots)))


def _workflow_row(no: int, workflow: Workflow, habit: Any, nodes: list[Any]) -> list[Any]:
    agents = [node["kind"] == "agent" for node in nodes]
    return [
        no, workflow.pk, workflow.released_id, habit.seconds, habit.spread, habit.failing,
        habit.cancelled, dumps(habit.input).decode(), dumps(habit.output).decode(),
        [*habit.tags, "seed"], habit.input_tokens, habit.output_tokens, habit.cost,
        [node["id"] for node in nodes], [node["name"] for node in nodes],
        [sum(agents[: n + 1]) for n in range(len(agents))],
        int(any(agents) and habit.cost is None),
    ]  # fmt: skip


def _node_row(no: int, position: int, node: Any, kinds: dict[str, dict[str, Any]]) -> list[Any]:
    kind = node["kind"]
    slug = node.get(kind, "")
    row = kinds[kind][slug] if kind in kinds else None
    called = [row.pk, row.current_id] if row is not None else [None, None]
    agent = [*called, None, None] if kind == "agent" else [None, None, *called]
    model = catalogue.MODELS.get(slug, (None, None, None)) if kind == "agent" else (None,) * 3
    return [no, position, node["id"], kind, node["name"], SHARE[kind], *agent, slug, *model]


def _insert(cursor: Any, table: str, values: list[Any]) -> None:
    marks = ", ".join(["%s"] * len(values))
    cursor.execute(f"INSERT INTO {table} VALUES ({marks})", values)  # noqa: S608 (our own names)
