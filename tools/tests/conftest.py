"""Builders of tool callables, and calls through the door each of them needs."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from controlplane.kit import egress
from controlplane.kit.egress.tests.conftest import loopback, names, serve
from projects.models import Membership, Project
from projects.people import User
from projects.services import create_project
from tools.calling import call_tool, call_tool_blocking
from tools.calls import CallContext, Result, ToolCallable
from tools.kinds import kind
from tools.models import Tool
from tools.services import create_tool

__all__ = ["loopback", "names", "serve"]


def make_callable(kind_name: str = "python", **fields: Any) -> ToolCallable:
    """A callable as `load_callable` makes it; `config` is cleaned as on save."""
    given = fields.pop("config", {"function": "echo"})
    config = kind(kind_name).clean(given)
    declared = fields.pop("effect_class", "unsafe")
    defaults = {
        "version_id": None,
        "tool_id": None,
        "project_id": None,
        "slug": "probe",
        "name": "Probe",
        "number": 1,
        "input_schema": {"type": "object"},
        "timeout_seconds": 5.0,
    }
    return ToolCallable(
        kind=kind_name,
        config=config,
        pool=kind(kind_name).pool(config),
        secret_names=kind(kind_name).secret_names(config),
        effect_class=kind(kind_name).effect_class(config, declared),
        **{**defaults, **fields},
    )


async def _once(tool: ToolCallable, arguments: Any, context: CallContext) -> Result:
    try:
        return await call_tool(tool, arguments, context=context)
    finally:
        await egress.aclose()


@pytest.fixture
def run() -> Callable[..., Result]:
    """`run(callable, arguments, **context)`: one call, awaited or not as its pool says."""

    def call(tool: ToolCallable, arguments: Any = None, **context: Any) -> Result:
        given = {} if arguments is None else arguments
        if tool.pool == "io":
            return asyncio.run(_once(tool, given, CallContext(**context)))
        return call_tool_blocking(tool, given, context=CallContext(**context))

    return call


@pytest.fixture
def project(db: None) -> Project:
    """A project; its owner is `ana`."""
    owner = User.objects.create_user("ana@example.com", name="Ana")
    return create_project(actor=owner, name="Northwind")


def _client(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def api(project: Project) -> APIClient:
    """Ana, owner of the project."""
    return _client(User.objects.get(email="ana@example.com"))


@pytest.fixture
def as_role(project: Project) -> Callable[[str], APIClient]:
    """`as_role("viewer")`: a member of that role; `as_role("")`: a stranger."""

    def made(role: str) -> APIClient:
        user = User.objects.create_user(f"{role or 'bo'}@example.com", name=role or "Bo")
        if role:
            Membership.objects.create(project=project, user=user, role=role)
        return _client(user)

    return made


@pytest.fixture
def make_tool(project: Project) -> Callable[..., Tool]:
    """A stored tool; an echo unless told otherwise."""

    def made(**fields: Any) -> Tool:
        defaults = {
            "slug": "echo",
            "name": "Echo",
            "kind": "python",
            "config": {"function": "echo"},
        }
        return create_tool(project=project, actor=None, **{**defaults, **fields})

    return made
