"""Each list, as page and as collection of the API, asks a fixed small number of queries, however
many rows it has."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, get_resolver

from analytics.models import Export
from controlplane.kit.api import ScopedViewSet
from controlplane.kit.views import ListView
from governance import approvals
from projects.models import Environment
from tests.support.cast import Api, join
from tests.support.world import World

MOST_OF_A_PAGE, MOST_OF_THE_API = 22, 9


def _walk(patterns, prefix):
    for pattern in patterns:
        text = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield text, pattern.callback
        elif not text.startswith("/admin/"):
            yield from _walk(pattern.url_patterns, text)


def list_pages():
    """The paths of all list pages that need no id."""
    found = _walk(get_resolver().url_patterns, "/")
    return sorted(
        path
        for path, view in found
        if "<" not in path and issubclass(getattr(view, "view_class", object), ListView)
    )


def collections():
    """The paths of all collections of the API that need no id."""
    for path, view in _walk(get_resolver().url_patterns, "/"):
        is_list = getattr(view, "actions", {}).get("get") == "list"
        if is_list and issubclass(view.cls, ScopedViewSet) and "(" not in path:
            yield path.replace("^", "").replace("/?$", "").replace("$", "")


@pytest.fixture
def furnish(project, own, make_tool, make_agent, make_workflow, make_run, make_secret):
    """`furnish(first, count)`: so many more rows of everything."""
    makers = {"tool": make_tool, "agent": make_agent, "workflow": make_workflow, "run": make_run}
    world = World(project, own, {**makers, "secret": make_secret})

    def add(first, count):
        for n in range(first, first + count):
            tool, agent = make_tool(slug=f"t{n}", tags=[f"x{n}"]), make_agent(slug=f"a{n}")
            agent.tool_links.create(tool=tool)
            make_run(status="failed", tags=[f"y{n}"], workflow=make_workflow(slug=f"w{n}"))
            make_secret(name=f"s{n}")
            join(project, f"Member{n}", "viewer")
            Environment.objects.create(project=project, name=f"e{n}", rank=n)
            world.ids.clear()
            world.make_export()
            asked = approvals.Approval.objects.get(pk=world.make_approval())
            approvals.Approval.objects.filter(pk=asked.pk).update(
                status="approved", decided_at=asked.created_at
            )
        Export.objects.filter(title="Runs").update(status="done")

    return add


def compare(ask, paths, furnish, most):
    """What differs, and what asks too much; `ask(path)` does one request."""

    def asked():
        found = {}
        for path in paths:
            with CaptureQueriesContext(connection) as caught:
                assert ask(path).status_code == 200, path
            found[path] = [query["sql"][:150] for query in caught]
        return found

    asked()  # whatever is asked once a process
    furnish(0, 1)
    few = asked()
    furnish(1, 6)
    many = asked()
    grown = {path: many[path] for path in paths if len(many[path]) != len(few[path])}
    return grown, {path: len(few[path]) for path in paths if len(few[path]) > most}


def test_a_page_asks_as_much_for_many_rows_as_for_few(own, furnish):
    browser = Client()
    browser.force_login(own, backend="allauth.account.auth_backends.AuthenticationBackend")
    paths = list_pages()
    assert {"/runs/", "/agents/", "/workflows/", "/tools/", "/audit/", "/exports/"} <= set(paths)
    assert compare(browser.get, paths, furnish, MOST_OF_A_PAGE) == ({}, {})


def test_a_collection_asks_as_much_for_many_rows_as_for_few(own, project, furnish):
    own.forget_roles()
    paths = sorted(collections())
    assert {"/api/v1/runs", "/api/v1/agents", "/api/v1/audit", "/api/v1/exports"} <= set(paths)

    def ask(path):
        return Api(own).get(path, {"project": project.pk})

    assert compare(ask, paths, furnish, MOST_OF_THE_API) == ({}, {})
