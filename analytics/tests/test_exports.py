"""Lists as files: at once, streamed, and made in the background."""

import csv
import io
import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from openpyxl import load_workbook

from analytics import exports, making
from analytics.models import Export, ExportPart
from controlplane.kit import background, exporting
from controlplane.kit.errors import DomainError
from governance.models import AuditEntry
from tests.support.cast import Api, make_user

EVIL = '=HYPERLINK("http://evil.example")'


@pytest.fixture
def web():
    """`web(user)`: a browser of a user."""

    def client(user):
        browser = Client()
        browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return browser

    return client


@pytest.fixture
def small(monkeypatch):
    """Three rows are many."""
    monkeypatch.setattr(exporting, "EXACT_TO", 2)
    monkeypatch.setattr(exporting, "SHEET_AT_ONCE", 2)


def text_of(answer):
    return b"".join(answer.streaming_content).decode()


def rows_of(answer):
    return list(csv.DictReader(io.StringIO(text_of(answer))))


def test_a_list_comes_as_it_is_filtered_and_ordered(web, vic, make_tool):
    for slug in ("alpha", "beta", "alphabet"):
        make_tool(slug=slug, tags=["a", "b"])
    answer = web(vic).get("/tools/?search=alpha&ordering=-name&page=7&export=csv")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="tools.csv"'
    rows = rows_of(answer)
    assert [row["name"] for row in rows] == ["Alphabet", "Alpha"]
    assert rows[0]["tags"] == "a, b"
    assert json.loads(rows[0]["config"]) == {"function": "echo"}


def test_json_keeps_types_and_a_workbook_has_text_only_as_text(web, vic, make_tool):
    make_tool(slug="evil", name=EVIL, tags=["x"])
    browser = web(vic)
    (row,) = json.loads(text_of(browser.get("/tools/?export=json")))
    assert (row["name"], row["tags"], row["version"]) == (EVIL, ["x"], 1)
    book = load_workbook(io.BytesIO(b"".join(browser.get("/tools/?export=xlsx").streaming_content)))
    head, cells = book.active.iter_rows()
    cell = cells[[c.value for c in head].index("name")]
    assert (cell.value, cell.data_type) == (EVIL, "s")
    assert rows_of(browser.get("/tools/?export=csv"))[0]["name"] == f"'{EVIL}"


def test_an_empty_list_is_a_file_too(web, vic):
    browser = web(vic)
    assert rows_of(browser.get("/agents/?export=csv")) == []
    assert json.loads(text_of(browser.get("/agents/?export=json"))) == []


def test_only_what_is_selected(web, vic, make_tool, make_run):
    one, two, _ = (make_tool(slug=slug) for slug in ("a", "b", "c"))
    address = f"/tools/?export=csv&selected={one.pk}&selected={two.pk}&selected=nonsense"
    assert {row["slug"] for row in rows_of(web(vic).get(address))} == {"a", "b"}


@pytest.mark.parametrize("path", ["/runs/", "/workflows/", "/agents/", "/audit/", "/exports/",
                                  "/approvals/history/", "/settings/members/"])  # fmt: skip
def test_every_list_can_be_taken(path, web, own, make_run, make_agent):
    make_run(status="failed", tags=["x"])
    make_agent()
    answer = web(own).get(f"{path}?export=csv")
    assert answer.status_code == 200
    assert text_of(answer).startswith("id,")


def test_a_file_holds_nothing_of_other_projects(web, bo, make_tool):
    make_tool()
    assert rows_of(web(bo).get("/tools/?export=csv")) == []
    assert web(bo).get("/tools/?export=exe").status_code in (400, 422)


def test_each_export_has_an_audit_row(web, vic, project, make_tool):
    web(vic).get("/tools/?status=active&export=csv")
    entry = AuditEntry.objects.get(action="list.exported")
    assert entry.actor_name == "Vic"
    assert entry.after == {"list": "/tools/", "query": "status=active", "format": "csv"}


def test_the_environment_of_the_top_bar_narrows_a_file(web, ana, make_run):
    make_run(environment="dev")
    make_run(environment="prod")
    browser = web(ana)
    browser.get("/runs/")
    browser.post("/projects/choose-environment/", {"environment": "prod", "next": "/runs/"})
    rows = rows_of(browser.get("/runs/?export=csv"))
    assert [row["environment_name"] for row in rows] == ["prod"]


def test_rows_are_read_a_thousand_at_a_time(web, vic, make_tool, monkeypatch):
    monkeypatch.setattr(exporting, "ROWS_A_PIECE", 2)
    for number in range(5):
        make_tool(slug=f"t{number}")
    pieces = list(web(vic).get("/tools/?export=csv").streaming_content)
    assert [piece.count(b"\r\n") for piece in pieces] == [1, 2, 2, 1]


# --- in the background


def test_a_large_one_is_made_in_the_background_and_waits_for_download(
    small, web, vic, make_tool, django_capture_on_commit_callbacks
):
    for number in range(3):
        make_tool(slug=f"t{number}", name=EVIL if number else "Plain")
    browser = web(vic)
    answer = browser.get("/tools/?status=active&ordering=name&export=csv")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/exports/")
    export = Export.objects.get()
    assert (export.status, export.query) == ("queued", "status=active&ordering=name")
    assert browser.get(f"/exports/{export.pk}/file/").status_code in (400, 409)
    assert 'hx-trigger="every 1s"' in browser.get("/exports/").content.decode()
    assert making.make(export.pk)
    export.refresh_from_db()
    assert (export.status, export.rows, export.total) == ("done", 3, 3)
    taken = browser.get(f"/exports/{export.pk}/file/")
    assert int(taken.headers["Content-Length"]) == export.size_bytes
    assert [row["name"] for row in rows_of(taken)] == [f"'{EVIL}", f"'{EVIL}", "Plain"]
    html = browser.get("/exports/").content.decode()
    assert "every 1s" not in html
    assert f"/exports/{export.pk}/file/" in html


def test_a_workbook_and_json_are_made_too(small, vic, make_tool):
    for number in range(3):
        make_tool(slug=f"t{number}")
    for kind in ("xlsx", "json"):
        body = {"project": str(vic_project(vic)), "list": "tools", "format": kind}
        made = Api(vic).post("/exports", body)
        assert made.status_code == 201
        assert making.make(made.json()["id"])
        answer = Api(vic).get(Api(vic).get(f"/exports/{made.json()['id']}").json()["file"])
        content = b"".join(answer.streaming_content)
        if kind == "json":
            assert len(json.loads(content)) == 3
        else:
            assert load_workbook(io.BytesIO(content)).active.max_row == 4


def vic_project(user):
    return next(iter(user.project_roles()))


def test_it_begins_anew_after_a_crash_and_is_given_up_after_three(small, vic, make_tool):
    make_tool()
    export = begun(vic)
    Export.objects.update(status="running", rows=7, attempt=1)
    ExportPart.objects.create(export=export, number=1, content=b"half")
    assert making.make(export.pk)
    export.refresh_from_db()
    assert (export.status, export.attempt, export.rows) == ("done", 2, 1)
    assert not making.make(export.pk)
    lost = begun(vic)
    Export.objects.filter(pk=lost.pk).update(status="running", attempt=3)
    assert making.make(lost.pk)
    lost.refresh_from_db()
    assert (lost.status, lost.error) == ("failed", making.CRASHED)


def begun(user, path="/tools/", query=""):
    project = user.memberships.get().project
    listing = exporting.listing_of(path, kind="csv", user=user, project=project, query=query)
    return exports.begin(listing, actor=user)


def test_a_worker_that_ends_leaves_it_for_another(vic, make_tool, monkeypatch):
    make_tool()
    export = begun(vic)
    background.stopping.set()
    try:
        assert not making.make(export.pk)
    finally:
        background.stopping.clear()
    export.refresh_from_db()
    assert (export.status, export.attempt) == ("queued", 0)
    assert making.make(export.pk)


def test_a_filter_that_makes_no_sense_by_then_is_told(vic, make_tool):
    export = begun(vic)
    Export.objects.update(query="status=nonsense")
    assert making.make(export.pk)
    export.refresh_from_db()
    assert export.status == "failed"
    assert "nonsense" in export.error


def test_who_is_no_member_any_more_gets_nothing(vic, web, make_tool):
    make_tool()
    export, browser = begun(vic), web(vic)
    making.make(export.pk)
    done = begun(vic)
    vic.memberships.all().delete()
    assert making.make(done.pk)
    done.refresh_from_db()
    assert done.status == "failed"
    assert browser.get(f"/exports/{export.pk}/file/").status_code == 404


def test_exports_are_seen_by_their_maker_only(vic, ana, make_tool):
    export = begun(vic)
    assert Api(ana).get(f"/exports/{export.pk}").status_code == 404
    assert Api(ana).get("/exports").json()["count"] == 0
    assert Api(vic).get("/exports").json()["results"][0]["list"] == "tools"
    assert Api(vic).delete(f"/exports/{export.pk}").status_code == 204
    assert AuditEntry.objects.filter(action="export.deleted").count() == 1


def test_what_expired_is_deleted_and_what_nobody_makes_is_rung_for(vic, make_tool, monkeypatch):
    rung = []
    monkeypatch.setattr(background, "wake", lambda name, key: rung.append(key))
    kept, gone, stuck = begun(vic), begun(vic), begun(vic)
    Export.objects.filter(pk=gone.pk).update(expires_at=timezone.now())
    long_ago = timezone.now() - timedelta(minutes=1)
    Export.objects.filter(pk=stuck.pk).update(updated_at=long_ago, status="running")
    exports.tend()
    assert rung == [stuck.pk]
    assert set(Export.objects.values_list("pk", flat=True)) == {kept.pk, stuck.pk}


def test_there_is_an_end_to_what_one_person_may_ask_for(vic, make_tool, monkeypatch):
    monkeypatch.setattr(exports, "MOST_OPEN", 1)
    begun(vic)
    with pytest.raises(DomainError, match="still being made"):
        begun(vic)


# --- the API


def test_a_collection_of_the_api_is_a_file(vic, project, make_tool, make_run):
    make_tool(slug="a")
    make_tool(slug="b", status="inactive")
    answer = Api(vic).get("/tools", {"export": "csv", "status": "inactive", "project": project.pk})
    assert answer.status_code == 200
    assert [row["slug"] for row in rows_of(answer)] == ["b"]
    make_run(status="failed")
    assert len(rows_of(Api(vic).get("/runs?export=csv"))) == 1
    assert Api(vic).get("/runs?export=exe").status_code == 422
    assert Api(vic).get("/runs?export=csv&project=" + str(make_user("Z").pk)).status_code == 422


def test_the_api_streams_what_is_large_and_makes_large_workbooks_apart(small, vic, make_tool):
    for number in range(3):
        make_tool(slug=f"t{number}")
    assert len(rows_of(Api(vic).get("/tools?export=csv"))) == 3
    answer = Api(vic).get("/tools?export=xlsx")
    assert answer.status_code == 202
    assert answer.headers["Location"] == answer.json()["url"]
    assert Api(vic).get(answer.json()["url"]).json()["status"] == "queued"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"list": "nothing"}, "list"),
        ({"list": "runs", "format": "exe"}, "format"),
        ({"list": "runs", "query": {"status": "nonsense"}}, "status"),
        ({"list": "runs", "query": {"status": {}}}, "query"),
        ({"list": "runs", "more": 1}, "more"),
    ],
)
def test_an_export_that_makes_no_sense_is_refused(body, field, vic, project):
    answer = Api(vic).post("/exports", {"project": str(project.pk), **body})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].split(".")[0] == field
