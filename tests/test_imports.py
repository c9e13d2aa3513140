"""Rows from a file: the dry run, its faults, all or nothing; on tools, agents and workflows."""

import io
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from openpyxl import Workbook

from agents.models import Agent
from controlplane.kit import importing
from governance.models import AuditEntry
from projects.services import create_project
from tests.support.cast import DEFINITION, MODEL, make_user
from tools.models import Tool
from workflows.models import Workflow

HTMX = {"HTTP_HX_REQUEST": "true"}
HEAD = "slug,name,kind,config,tags,timeout_seconds\n"
ECHO = '"{""function"": ""echo""}"'


@pytest.fixture
def web():
    """`web(user)`: a browser of a user."""

    def client(user):
        browser = Client()
        browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return browser

    return client


def send(browser, path, content, name="rows.csv"):
    data = content.encode() if isinstance(content, str) else content
    return browser.post(path, {"file": SimpleUploadedFile(name, data)}, **HTMX)


def confirm(browser, path, answer):
    return browser.post(path, {"token": answer.context["token"]}, **HTMX)


def fates(answer):
    return {fate.slug: (fate.what, fate.faults) for fate in answer.context["fates"]}


def test_a_file_is_tried_out_first_and_written_once_it_is_confirmed(web, ana, make_tool):
    make_tool(slug="known", name="Old name")
    browser = web(ana)
    text = HEAD + f'fresh,Fresh,python,{ECHO},"a, b",12.5\nknown,New name,python,{ECHO},,\n'
    answer = send(browser, "/tools/import/", text)
    assert fates(answer) == {"fresh": ("new", []), "known": ("changed", [])}
    assert not Tool.objects.filter(slug="fresh").exists()
    assert not AuditEntry.objects.filter(action__startswith="tool.").exists()
    done = confirm(browser, "/tools/import/", answer)
    assert done.headers["HX-Redirect"] == "/tools/"
    fresh = Tool.objects.get(slug="fresh")
    assert (fresh.tags, fresh.timeout_seconds, fresh.config) == (
        ["a", "b"], 12.5, {"function": "echo"},
    )  # fmt: skip
    assert Tool.objects.get(slug="known").name == "New name"
    written = list(AuditEntry.objects.filter(action__startswith="tool").order_by("id"))
    assert [entry.action for entry in written] == ["tool.created", "tool.changed", "tool.imported"]
    assert confirm(browser, "/tools/import/", answer).status_code == 422
    again = send(browser, "/tools/import/", text)
    assert fates(again) == {"fresh": ("unchanged", []), "known": ("unchanged", [])}
    assert "Nothing would change" in again.content.decode()


def test_each_fault_stands_at_its_row_and_nothing_is_written(web, ana, db):
    text = HEAD + (
        f"good,Good,python,{ECHO},,\nbad one,Bad,python,{ECHO},,\nodd,Odd,robot,{ECHO},,\n"
        f"json,Json,python,{{nope,,\nlong,Long,python,{ECHO},,forever\ngood,Again,python,{ECHO},,\n"
    )
    answer = send(web(ana), "/tools/import/", text)
    found = fates(answer)
    wrong = {fate.number: " ".join(fate.faults) for fate in answer.context["fates"] if fate.faults}
    assert set(wrong) == {2, 3, 4, 5, 6}
    assert wrong[2].startswith("slug:")
    assert wrong[3].startswith("kind:")
    assert wrong[4] == "config: This is no JSON."
    assert wrong[5].startswith("timeout_seconds:")
    assert wrong[6] == "slug: row 1 has the same one."
    assert found["odd"][0] == "wrong"
    assert "Nothing was imported" in answer.content.decode()
    assert Tool.objects.count() == 0


def test_what_became_wrong_meanwhile_is_not_written_in_part(web, ana, make_tool):
    browser = web(ana)
    make_tool(slug="used", name="Used")
    text = HEAD + f"a,A,python,{ECHO},,\nused,Other,python,{ECHO},,\n"
    answer = send(browser, "/tools/import/", text)
    Tool.objects.filter(slug="used").update(kind="http")
    done = confirm(browser, "/tools/import/", answer)
    assert done.status_code == 422
    assert not Tool.objects.filter(slug="a").exists()


def test_an_export_can_be_imported_into_another_project(web, own, make_tool, make_workflow):
    make_tool(slug="one", name="=1+1", tags=["x"])
    make_workflow(slug="flow")
    browser = web(own)
    files = {
        path: b"".join(browser.get(f"{path}?export={kind}").streaming_content)
        for path, kind in (("/tools/", "csv"), ("/workflows/", "json"))
    }
    other = create_project(actor=own, name="Other")
    browser.post("/projects/choose/", {"project": other.pk, "next": "/"})
    for path, kind in (("/tools/", "csv"), ("/workflows/", "json")):
        answer = send(browser, f"{path}import/", files[path], f"rows.{kind}")
        assert fates(answer).popitem()[1] == ("new", []), path
        assert confirm(browser, f"{path}import/", answer).status_code == 204
    tool = Tool.objects.get(project=other)
    assert (tool.name, tool.tags, tool.config) == ("=1+1", ["x"], {"function": "echo"})
    assert Workflow.objects.get(project=other).head.definition["nodes"] == DEFINITION["nodes"]


def test_a_workbook_and_json_of_the_api_are_read_too(web, ana, db):
    book = Workbook()
    book.active.append(["slug", "name", "kind", "config", "tags"])
    book.active.append(["packer", "Packer", "model", json.dumps(MODEL), "a, b"])
    file = io.BytesIO()
    book.save(file)
    answer = send(web(ana), "/agents/import/", file.getvalue(), "rows.xlsx")
    assert fates(answer) == {"packer": ("new", [])}
    body = {"results": [{"slug": "packer", "name": "P", "kind": "model", "config": MODEL}]}
    browser = web(ana)
    answer = send(browser, "/agents/import/", json.dumps(body), "rows.json")
    assert confirm(browser, "/agents/import/", answer).status_code == 204
    assert Agent.objects.get().name == "P"


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        ("", "rows.csv", "no rows"),
        ("slug,name\n", "rows.csv", "no rows"),
        ("x", "rows.exe", "ends in .csv"),
        ("{", "rows.json", "JSON"),
        ("[1]", "rows.json", "a list of objects"),
        ("not a zip", "rows.xlsx", "cannot be read"),
        ('[{"slug": "a\\u0000"}]', "rows.json", "NUL"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(web, ana, content, name, said):
    answer = send(web(ana), "/tools/import/", content, name)
    assert answer.status_code == 422
    assert said in answer.content.decode()


def test_a_column_that_nobody_knows_is_a_fault(web, ana, db):
    answer = send(web(ana), "/tools/import/", HEAD.strip() + f",colour\na,A,python,{ECHO},,,red\n")
    assert fates(answer)["a"] == ("wrong", ["colour: There is no such field."])


def test_too_many_rows_are_refused(web, ana, db, monkeypatch):
    monkeypatch.setattr(importing, "MOST_ROWS", 1)
    answer = send(web(ana), "/tools/import/", HEAD + "a,A\nb,B\n")
    assert "more than 1 rows" in answer.content.decode()


def test_a_file_is_kept_for_its_sender_in_its_project_only(web, ana, own, db):
    answer = send(web(ana), "/tools/import/", HEAD + f"a,A,python,{ECHO},,\n")
    assert confirm(web(own), "/tools/import/", answer).status_code == 422
    assert Tool.objects.count() == 0


def test_a_viewer_imports_nothing_and_is_offered_nothing(web, vic, db):
    browser = web(vic)
    assert browser.get("/tools/import/").status_code == 403
    assert "/tools/import/" not in browser.get("/tools/").content.decode()
    assert web(make_user("Alone")).get("/tools/import/").status_code == 404


def test_it_is_a_page_of_its_own_without_script(web, ana, db):
    html = web(ana).get("/tools/import/").content.decode()
    assert html.startswith("<!doctype html>")
    assert 'enctype="multipart/form-data"' in html
