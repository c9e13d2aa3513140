"""The cast of the tests: people with roles, clients that speak as them, and builders of rows.

`own` owner, `ada` admin, `ana` operator, `vic` viewer are members of `project`; `bo`, a stranger,
owns another one. Builders put rows straight into the tables: `make_run(status="failed")`.
"""

import copy
import hashlib
from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson
import pytest
from django.utils import timezone
from rest_framework.response import Response
from rest_framework.test import APIClient

from agents.models import Agent, AgentVersion
from controlplane.kit import rates
from projects.models import Membership, Project, Secret
from projects.people import User
from projects.roles import Role
from projects.services import create_project
from projects.vault import store
from runs.models import Run
from runs.states import RunStatus
from tools.models import Tool, ToolVersion
from workflows.models import Workflow, WorkflowVersion

PASSWORD = "correct horse 9 battery"  # noqa: S105


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    """No request of an earlier test counts against a limit."""
    rates.forget()


class Api(APIClient):
    """An API client of one user (None: a stranger) below /api/v1; roles are read at each request,
    as they are outside of tests."""

    def __init__(self, user: User | None) -> None:
        super().__init__()
        self.user = user

    def request(self, **kwargs: Any) -> Response:
        """One request."""
        if self.user is not None:
            principal = copy.copy(self.user)
            principal.forget_roles()
            self.handler._force_user = principal
        return super().request(**kwargs)

    def generic(self, method: str, path: str, *args: Any, **kwargs: Any) -> Response:
        """Paths are written without /api/v1."""
        prefix = "" if path.startswith(("/api/", "http")) else "/api/v1"
        return super().generic(method, prefix + path, *args, **kwargs)


def make_user(name: str, *, password: str | None = None, **fields: Any) -> User:
    """A user whose e-mail is made of the name; without a password one who signs in by force."""
    email = fields.pop("email", f"{name.lower()}@example.com")
    return User.objects.create_user(email, password, name=name, **fields)


def join(project: Project, name: str, role: str) -> User:
    """A new user with a role in the project."""
    user = make_user(name)
    Membership.objects.create(project=project, user=user, role=role)
    return user


@pytest.fixture
def own(db: None) -> User:
    """The owner."""
    return make_user("Own")


@pytest.fixture
def project(own: User) -> Project:
    """The project of the cast, with dev, staging and prod."""
    return create_project(actor=own, name="Northwind")


@pytest.fixture
def ada(project: Project) -> User:
    """An admin."""
    return join(project, "Ada", Role.ADMIN)


@pytest.fixture
def ana(project: Project) -> User:
    """An operator."""
    return join(project, "Ana", Role.OPERATOR)


@pytest.fixture
def vic(project: Project) -> User:
    """A viewer."""
    return join(project, "Vic", Role.VIEWER)


@pytest.fixture
def bo(db: None) -> User:
    """A stranger: owner of another project."""
    user = make_user("Bo")
    create_project(actor=user, name="Elsewhere")
    return user


@pytest.fixture
def api() -> Callable[[User | None], Api]:
    """`api(user)`: a client that speaks as `user`; `api(None)` as nobody."""
    return Api


@pytest.fixture
def make_secret(project: Project) -> Callable[..., Secret]:
    """`make_secret(name="openai", value="…", allowed_hosts=[…], project=…)`."""

    def make(**fields: Any) -> Secret:
        facts = {"project": project, "name": "openai", "value": "sk-canary-1234567890"}
        return store(**{**facts, "allowed_hosts": ["api.example.com"], "actor": None, **fields})

    return make


def _fingerprint(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


@pytest.fixture
def make_tool(project: Project) -> Callable[..., Tool]:
    """`make_tool(slug="echo", kind="python", config={…}, **fields)` with its version 1."""

    def make(**fields: Any) -> Tool:
        config = fields.pop("config", {"function": "echo"})
        schemas = {
            "input_schema": fields.pop("input_schema", {"type": "object"}),
            "output_schema": fields.pop("output_schema", None),
        }
        slug = fields.setdefault("slug", "echo")
        facts = {"project": project, "name": slug.title(), "kind": "python", **fields}
        tool = Tool.objects.create(**facts)
        tool.current = ToolVersion.objects.create(
            tool=tool,
            number=1,
            config=config,
            definition_sha256=_fingerprint([config, schemas]),
            **schemas,
        )
        tool.save()
        return tool

    return make


# Nothing listens there, and egress refuses to look.
MODEL = {
    "provider": "openai",
    "base_url": "http://127.0.0.1:9/v1",
    "model": "small",
    "instructions": "Be brief.",
    "tools": [],
}


@pytest.fixture
def make_agent(project: Project) -> Callable[..., Agent]:
    """`make_agent(slug="packer", config={…}, **fields)` with its version 1."""

    def make(**fields: Any) -> Agent:
        config = fields.pop("config", MODEL)
        slug = fields.setdefault("slug", "packer")
        facts = {"project": project, "name": slug.title(), "kind": "model", **fields}
        agent = Agent.objects.create(**facts)
        agent.current = AgentVersion.objects.create(
            agent=agent, number=1, config=config, sha256=_fingerprint(config)
        )
        agent.save()
        return agent

    return make


DEFINITION = {"nodes": [{"id": "work", "kind": "transform", "set": {"answer": 42}}], "edges": []}


@pytest.fixture
def make_workflow(project: Project) -> Callable[..., Workflow]:
    """`make_workflow(slug="chain", definition={…}, released=True, **fields)` with version 1."""

    def make(**fields: Any) -> Workflow:
        definition = fields.pop("definition", DEFINITION)
        released = fields.pop("released", True)
        slug = fields.setdefault("slug", "chain")
        workflow = Workflow.objects.create(**{"project": project, "name": slug.title(), **fields})
        version = WorkflowVersion.objects.create(
            workflow=workflow,
            number=1,
            definition=definition,
            sha256=_fingerprint(definition),
            state="released" if released else "draft",
            released_at=timezone.now() if released else None,
        )
        workflow.head = version
        workflow.released = version if released else None
        workflow.save()
        return workflow

    return make


@pytest.fixture
def make_run(make_workflow: Callable[..., Workflow]) -> Callable[..., Run]:
    """`make_run(status="failed", environment="dev", workflow=…, **fields)`: a run without steps."""
    kept: dict[UUID | None, Workflow] = {}

    def make(**fields: Any) -> Run:
        workflow = fields.pop("workflow", None) or kept.get(None)
        if workflow is None:
            workflow = kept[None] = make_workflow(slug="run-of")
        name = fields.pop("environment", "dev")
        environment = workflow.project.environments.get(name=name)
        status = fields.setdefault("status", RunStatus.SUCCEEDED)
        now = timezone.now()
        run = Run(
            **{
                "project": workflow.project,
                "workflow": workflow,
                "workflow_version": workflow.head,
                "environment": environment,
                "started_by_type": "system",
                "started_by_name": "tests",
                "started_at": None if status == RunStatus.QUEUED else now,
                "ended_at": now if status in ("succeeded", "failed", "cancelled") else None,
                **fields,
            }
        )
        run.root_id = run.root_id or run.pk
        run.save(force_insert=True)
        return run

    return make
