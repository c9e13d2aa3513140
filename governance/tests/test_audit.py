"""The audit log: append-only, narrowed to one's projects, filtered."""

import pytest
from django.db import DatabaseError, transaction

from controlplane.kit import audit
from governance.models import AuditEntry
from projects import services


@pytest.fixture
def entries(project, own, ada):
    services.set_archived(project, True, actor=ada)
    services.set_archived(project, False, actor=own)
    return AuditEntry.objects.filter(project=project)


def test_an_entry_says_who_what_and_by_which_request(api, ada, project):
    answer = api(ada).patch(
        f"/projects/{project.pk}", {"name": "South"}, headers={"X-Request-ID": "req-7"}
    )
    assert answer.status_code == 200
    row = api(ada).get("/audit", {"request_id": "req-7"}).json()["results"][0]
    assert row["actor"] == {"type": "user", "id": str(ada.pk), "name": "Ada"}
    assert row["target"] == {"type": "project", "id": str(project.pk), "name": "South"}
    assert (row["before"], row["after"]) == ({"name": "Northwind"}, {"name": "South"})
    assert api(ada).get(f"/audit/{row['id']}").json() == row


def test_a_refused_change_leaves_no_entry(api, vic, project):
    before = AuditEntry.objects.count()
    api(vic).patch(f"/projects/{project.pk}", {"name": "South"})
    assert AuditEntry.objects.count() == before


def test_an_entry_goes_with_its_transaction(project, own):
    before = AuditEntry.objects.count()
    with transaction.atomic():
        audit.record("project.changed", actor=own, project_id=project.pk, target=project)
        transaction.set_rollback(True)
    assert AuditEntry.objects.count() == before


@pytest.mark.parametrize("change", ["update", "delete"])
def test_entries_cannot_be_changed(entries, change):
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        entries.update(action="x") if change == "update" else entries.delete()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, 3),
        ({"action": ["project.archived", "project.activated"]}, 2),
        ({"action": "project.archived"}, 1),
        ({"target_type": "project"}, 3),
        ({"target_type": "tool"}, 0),
        ({"search": "archived"}, 1),
        ({"search": "ada"}, 1),
        ({"actor_type": "user"}, 3),
        ({"created_after": "2100-01-01T00:00:00Z"}, 0),
        ({"created_before": "2100-01-01T00:00:00Z"}, 3),
    ],
)
def test_the_log_is_filtered(api, vic, entries, query, found):
    assert api(vic).get("/audit", query).json()["count"] == found


def test_who_and_what_are_found_by_id(api, vic, ada, project, entries):
    assert api(vic).get("/audit", {"actor": str(ada.pk)}).json()["count"] == 1
    assert api(vic).get("/audit", {"target": str(project.pk)}).json()["count"] == 3
    assert api(vic).get("/audit", {"search": str(ada.pk)}).json()["count"] == 1


@pytest.mark.parametrize(
    "query", [{"actor": "x"}, {"created_after": "soon"}, {"ordering": "after"}]
)
def test_a_bad_filter_is_422(api, vic, query):
    assert api(vic).get("/audit", query).status_code == 422


def test_a_stranger_sees_nothing_of_it(api, bo, project, entries):
    assert api(bo).get("/audit", {"project": str(project.pk)}).json()["results"] == []
    assert api(bo).get(f"/audit/{entries.first().pk}").status_code == 404


@pytest.mark.parametrize("text", ["x", "0", "9" * 30, "-1", "1e3", "٣"])
def test_a_malformed_number_is_404(api, vic, text):
    assert api(vic).get(f"/audit/{text}").status_code == 404


def test_the_log_is_read_only(api, own, entries):
    path = f"/audit/{entries.first().pk}"
    assert api(own).delete(path).status_code == 405
    assert api(own).patch(path, {"action": "x"}).status_code == 405
    assert api(own).post("/audit", {}).status_code == 405


def test_the_page_shows_what_changed(client, api, ada, project):
    api(ada).patch(f"/projects/{project.pk}", {"name": "<b>South</b>"})
    client.force_login(ada)
    entry = AuditEntry.objects.latest("id")
    shown = client.get(f"/audit/{entry.pk}/").content.decode()
    assert "&lt;b&gt;South&lt;/b&gt;" in shown
    assert "<b>South" not in shown
    assert "project.changed" in client.get("/audit/?search=changed").content.decode()
