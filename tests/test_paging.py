"""Pages of the list of runs: of one project, of several, in orders with and without an index."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from controlplane.kit import pagination
from projects.services import create_project
from runs.models import Run
from tests.support.cast import Api


@pytest.fixture
def spread(own, project, make_workflow, make_run):
    """Nine runs, one a minute, the newest last, taking turns in two projects of the owner."""
    other = create_project(actor=own, name="Other")
    own.forget_roles()
    workflows = [make_workflow(), make_workflow(slug="there", name="Elsewhere", project=other)]
    now = timezone.now()
    return [
        make_run(
            workflow=workflows[n % 2], created_at=now - timedelta(minutes=9 - n), priority=n % 3,
            status="failed" if n % 4 == 0 else "succeeded", tags=["odd"] if n % 2 else [],
        )
        for n in range(9)
    ]  # fmt: skip


def ids(answer):
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def test_runs_of_several_projects_are_read_in_order_page_by_page(spread, own):
    newest_first = [str(run.pk) for run in reversed(spread)]
    first = Api(own).get("/runs?page_size=4")
    assert (first.json()["count"], ids(first)) == (9, newest_first[:4])
    assert ids(Api(own).get("/runs?page_size=4&page=2")) == newest_first[4:8]
    assert ids(Api(own).get("/runs?page_size=4&page=3")) == newest_first[8:]
    assert ids(Api(own).get("/runs?page_size=4&page=2&ordering=created_at")) == [
        str(run.pk) for run in spread[4:8]
    ]
    failed = [str(run.pk) for run in reversed(spread) if run.status == "failed"]
    assert ids(Api(own).get("/runs?status=failed")) == failed


def test_several_projects_cost_one_query_more_and_each_is_asked_by_its_index(spread, own):
    with CaptureQueriesContext(connection) as alone:
        Api(own).get(f"/runs?project={spread[0].project_id}")
    with CaptureQueriesContext(connection) as together:
        Api(own).get("/runs")
    assert len(together) == len(alone) + 1
    merged = [query["sql"] for query in together if "UNION ALL" in query["sql"]]
    assert len(merged) == 1
    assert merged[0].count("LIMIT 26") == 3


def test_an_order_without_an_index_finds_the_keys_first(spread, own):
    with CaptureQueriesContext(connection) as asked:
        found = ids(Api(own).get("/runs?ordering=priority&page_size=3"))
    assert found == [str(run.pk) for run in (spread[0], spread[3], spread[6])]
    assert next(q["sql"] for q in asked if 'ORDER BY "run"."priority"' in q["sql"]).startswith(
        'SELECT "run"."id" AS "pk" FROM'
    )


def test_live_and_ended_runs_are_read_apart_and_merged(spread, own):
    for n, run in enumerate(spread):
        run.started_at = run.created_at + timedelta(minutes=20 * (n % 2))
        run.status = "running" if n == 3 else run.status
        run.save()
    order = [spread[n] for n in (0, 2, 4, 6, 8, 1, 3, 5, 7)]
    with CaptureQueriesContext(connection) as asked:
        first = Api(own).get("/runs?ordering=started_at&page_size=4")
    assert ids(first) == [str(run.pk) for run in order[:4]]
    merged = next(q["sql"] for q in asked if "UNION ALL" in q["sql"])
    assert merged.count("LIMIT 5") == 5, "two projects, live and ended, and the whole"
    pages = [Api(own).get(f"/runs?ordering=-started_at&page_size=4&page={n}") for n in (1, 2, 3)]
    assert [key for page in pages for key in ids(page)] == [str(r.pk) for r in reversed(order)]


def test_what_cost_nothing_known_comes_last_both_ways(spread, own, monkeypatch):
    for n, cost in ((1, "0.5"), (4, "2"), (6, "1")):
        spread[n].cost = cost
        spread[n].save()
    rest = [spread[n] for n in (0, 2, 3, 5, 7, 8)]
    wanted = {
        "cost": [spread[1], spread[6], spread[4], *rest],
        "-cost": [spread[4], spread[6], spread[1], *reversed(rest)],
    }
    assert ids(Api(own).get("/runs?ordering=cost&page_size=2&page=4")) == [
        str(run.pk) for run in wanted["cost"][6:8]
    ]
    # From page 1 on by cursor, too.
    for last_page in (400, 1):
        monkeypatch.setattr(pagination, "LAST_PAGE", last_page)
        for order, runs in wanted.items():
            found, address = [], f"/runs?ordering={order}&page_size=2"
            while address:
                answer = Api(own).get(address)
                found += ids(answer)
                address = (answer.json()["next"] or "").partition("/api/v1")[2]
            assert found == [str(run.pk) for run in runs], (order, last_page)
    page = Client()
    page.force_login(own, backend="allauth.account.auth_backends.AuthenticationBackend")
    project = spread[0].project
    html = page.get(f"/runs/?ordering=-cost&project={project.pk}").content.decode()
    places = [html.index(str(run.pk)) for run in (spread[4], spread[6], spread[8], spread[0])]
    assert places == sorted(places)


def test_that_there_are_more_than_are_counted_is_not_counted_again_at_once(
    spread, own, monkeypatch
):
    monkeypatch.setattr(pagination, "_many", {})

    def counts(query):
        with CaptureQueriesContext(connection) as asked:
            found = pagination.bounded_count(query, most=3)
        return found, len(asked)

    runs = Run.objects.filter(pk__in=[run.pk for run in spread])
    assert [counts(runs), counts(runs)] == [((3, False), 1), ((3, False), 0)]
    few = runs.filter(status="failed")
    assert [counts(few), counts(few.none())] == [((3, True), 1), ((0, True), 0)]
    assert counts(few) == ((3, True), 1), "what is counted to its end is always counted"
    monkeypatch.setattr(pagination, "_many", dict.fromkeys(pagination._many, 0.0))
    assert counts(runs) == ((3, False), 1), "and the rest again after a while"


def test_search_looks_up_workflows_and_people_first(spread, own, project):
    there = [str(run.pk) for run in reversed(spread) if run.project_id != project.pk]
    assert ids(Api(own).get("/runs?search=elsew")) == there
    assert ids(Api(own).get("/runs?search=THERE")) == there
    assert ids(Api(own).get("/runs?search=nobody")) == []
    spread[0].started_by_id = own.pk
    spread[0].save()
    assert ids(Api(own).get("/runs?search=own")) == [str(spread[0].pk)]


def test_tags_and_environments_narrow(spread, own):
    assert len(ids(Api(own).get("/runs?tag=odd"))) == 4
    assert ids(Api(own).get("/runs?tag=odd&tag=even")) == []
    assert len(ids(Api(own).get("/runs?environment=dev&environment=prod"))) == 9
    assert ids(Api(own).get("/runs?environment=nowhere")) == []


def test_a_row_brings_no_definition_and_no_payload(spread, own):
    with CaptureQueriesContext(connection) as asked:
        Api(own).get(f"/runs?project={spread[0].project_id}")
    text = asked.captured_queries[-1]["sql"]
    assert '"workflow"."name"' in text
    for column in ('"definition"', '"run"."input"', '"variables"', '"run"."pins"'):
        assert column not in text
