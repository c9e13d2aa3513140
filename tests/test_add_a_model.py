"""The list page of docs/add-a-model.md, built from the document's own code, does what it says."""

import re
import types
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.test.utils import override_settings
from django.urls import include, path

from controlplane import urls
from projects import roles
from projects.models import Project

DOCUMENT = Path(__file__).parent.parent / "docs/add-a-model.md"
BLOCKS = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.S)
IMPORTS = """
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.urls import path
from controlplane.kit.filter_options import tags
from controlplane.kit.filters import ListFilterSet, ManyFilter
from controlplane.kit.models import Row
from controlplane.kit.tables import Column
from controlplane.kit.views import ListView
from projects.models import Project
"""


@pytest.fixture
def runbooks(db, monkeypatch):
    """The module of the document, its table and its route; all gone again after the test."""
    module = types.ModuleType("projects.runbooks")
    exec(compile(IMPORTS + "\n".join(BLOCKS), str(DOCUMENT), "exec"), module.__dict__)  # noqa: S102
    with connection.schema_editor() as editor:
        editor.create_model(module.Runbook)
    allowed = {
        role: (found | {"projects.view_runbook"}) for role, found in roles.PERMISSIONS.items()
    }
    monkeypatch.setattr(roles, "PERMISSIONS", allowed)
    routes = types.ModuleType("routes")
    routes.urlpatterns = [*urls.urlpatterns, path("", include(module.urlpatterns))]
    for name in ("handler400", "handler403", "handler404", "handler500"):
        setattr(routes, name, getattr(urls, name))
    with override_settings(ROOT_URLCONF=routes):
        yield module.Runbook
    del apps.all_models["projects"]["runbook"]
    delattr(Project, "runbooks")
    apps.clear_cache()


def test_it_takes_less_than_sixty_lines():
    lines = [line for block in BLOCKS for line in block.splitlines() if line.strip()]
    assert len(lines) < 60
    told = re.search(r"(\d+) lines of Python", DOCUMENT.read_text())
    assert told
    assert int(told[1]) == len(lines)


def test_the_page_of_the_document_works(runbooks, vic, bo, project):
    for name, status, tags in (("Restart", "active", ["ops"]), ("Call", "draft", [])):
        runbooks.objects.create(project=project, name=name, status=status, tags=tags)
    browser = Client()
    browser.force_login(vic, backend="allauth.account.auth_backends.AuthenticationBackend")

    def names(query=""):
        html = browser.get(f"/runbooks/{query}").content.decode()
        return re.findall(r'<td class="lead"><a href="/runbooks/[^"]+">(\w+)<', html)

    assert names() == ["Call", "Restart"]
    assert names("?ordering=-name") == ["Restart", "Call"]
    assert names("?status=active") == names("?tag=ops") == names("?search=rest") == ["Restart"]
    html = browser.get("/runbooks/?status=active").content.decode()
    assert 'aria-label="Clear Status"' in html
    file = b"".join(browser.get("/runbooks/?export=csv&status=draft").streaming_content)
    assert file.decode().splitlines()[1].split(",")[1] == "Call"
    browser.force_login(bo, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert names() == []
    assert "No runbooks yet" in browser.get("/runbooks/").content.decode()
