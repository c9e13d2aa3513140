"""The trash: what stands in it, bringing it back, ending it for good."""

import pytest
from django.test import Client
from django.utils import timezone

from governance.models import AuditEntry
from projects.models import Project
from tools.models import Tool

HTMX = {"HTTP_HX_REQUEST": "true", "HTTP_HX_TARGET": "dialog"}


@pytest.fixture
def web():
    """A browser of a user."""

    def client(user):
        browser = Client()
        browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return browser

    return client


def test_what_is_deleted_stands_in_the_trash_and_comes_back(web, ana, vic, make_tool):
    tool, other = make_tool(name="Echo"), make_tool(slug="kept", name="Kept")
    browser = web(ana)
    browser.post(f"/tools/{tool.pk}/delete/")
    html = browser.get("/trash/", follow=True).content.decode()
    assert "Echo" in html
    assert other.name not in html
    url = f"/trash/tools/{tool.pk}/restore/"
    assert web(vic).post(url).status_code == 403
    assert "Restore" not in web(vic).get("/trash/tools/").content.decode()
    answer = browser.post(url, **HTMX)
    assert answer.status_code == 204
    assert "tool-changed" in answer.headers["HX-Trigger"]
    assert browser.get(tool.get_absolute_url()).status_code == 200
    assert AuditEntry.objects.filter(action="tool.restored").exists()
    assert browser.post(url).status_code == 404


def test_the_end_for_good_asks_for_the_name_and_shows_what_hangs_on_it(web, ana, make_workflow):
    workflow = make_workflow(name="Chain", deleted_at=timezone.now())
    url = f"/trash/workflows/{workflow.pk}/delete/"
    browser = web(ana)
    html = browser.get(url, **HTMX).content.decode()
    assert "Versions" in html
    assert "will be deleted for good" in html
    assert browser.post(url, {"confirm_name": "Chai"}, **HTMX).status_code == 422
    answer = browser.post(url, {"confirm_name": "Chain"}, **HTMX)
    assert answer.headers["HX-Redirect"] == "/trash/workflows/"
    assert not type(workflow).objects.filter(pk=workflow.pk).exists()


def test_what_something_still_uses_is_not_ended(web, ana, make_tool, make_agent):
    tool = make_tool(deleted_at=timezone.now())
    make_agent().tool_links.create(tool=tool)
    url = f"/trash/tools/{tool.pk}/delete/"
    html = web(ana).get(url).content.decode()
    assert "cannot be deleted while something uses it" in html
    assert web(ana).post(url, {"confirm_name": "Echo"}, **HTMX).status_code == 409
    assert Tool.objects.filter(pk=tool.pk).exists()


def test_a_deleted_project_comes_back_by_its_owner(web, own, ada, project, make_run):
    make_run()
    browser = web(own)
    browser.post(f"/settings/project/{project.pk}/delete/")
    # The owner is left with no project: the trash is still open.
    html = browser.get("/trash/projects/").content.decode()
    assert "Northwind" in html
    assert web(ada).post(f"/trash/projects/{project.pk}/restore/").status_code == 403
    browser.post(f"/trash/projects/{project.pk}/restore/")
    assert "Northwind" in browser.get("/projects/").content.decode()


def test_a_project_is_ended_with_all_that_is_in_it(web, own, project, make_run, make_tool):
    make_run()
    make_tool()
    Project.objects.update(deleted_at=timezone.now())
    url = f"/trash/projects/{project.pk}/delete/"
    assert "Runs" in web(own).get(url).content.decode()
    answer = web(own).post(url, {"confirm_name": "Northwind"}, **HTMX)
    assert answer.status_code == 204
    assert not Project.objects.exists()


def test_there_are_only_these_kinds(web, ana):
    assert web(ana).get("/trash/runs/").status_code == 404


def test_the_trash_comes_as_a_file_too(web, ana, make_tool):
    make_tool(name="Echo", deleted_at=timezone.now())
    answer = web(ana).get("/trash/tools/?export=csv")
    assert b"Echo" in b"".join(answer.streaming_content)
