"""Runs, steps, events, logs and lists of the contract, against real processes."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.house import call, chain, graph
from tests.engine.shapes import NOBODY, RUN, STEP, member, moment, problem
from tests.support.client import Client
from tests.support.stack import Stack

pytestmark = pytest.mark.contract


def test_one_run_has_an_etag(eva: Client, finished: dict[str, Any]) -> None:
    answer = eva.get(f"/runs/{finished['id']}")
    assert (answer.status_code, set(answer.json()) >= RUN) == (200, True)
    same = eva.http.get(
        f"/runs/{finished['id']}", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert same.status_code == 304


@pytest.mark.parametrize("path", ["nothing", NOBODY, "1", "%00", "a%00b"])
def test_what_is_not_there_is_404(eva: Client, path: str) -> None:
    for part in ("", "/steps", "/logs", "/events"):
        problem(eva.get(f"/runs/{path}{part}"), 404)
    for verb in ("cancel", "retry", "pause", "resume"):
        problem(eva.post(f"/runs/{path}/{verb}"), 404)


def test_steps_have_the_shape_of_the_contract(eva: Client, finished: dict[str, Any]) -> None:
    body = eva.get(f"/runs/{finished['id']}/steps").json()
    assert {k: body[k] for k in ("count", "count_exact", "next", "previous")} == {
        "count": 2,
        "count_exact": True,
        "next": None,
        "previous": None,
    }
    first, second = body["results"]
    assert set(first) >= STEP
    assert (first["node"], first["path"], first["kind"], first["name"]) == (
        "a",
        None,
        "tool",
        "Say it",
    )
    assert (second["node"], second["kind"], second["name"]) == ("b", "transform", "b")
    assert (first["status"], first["attempt"], first["error"]) == ("succeeded", 1, None)
    assert (first["input"], first["output"]) == ({"x": 41}, {"x": 41})
    assert (first["agent"], first["approval"], second["tool"]) == (None, None, None)
    [attempt] = first["attempts"]
    assert set(attempt) >= {"n", "status", "started_at", "ended_at", "error", "worker"}
    assert (attempt["n"], attempt["status"]) == (1, "succeeded")
    [made] = first["calls"]
    assert set(made) >= {"kind", "name", "status", "latency_ms", "cost"}
    assert (made["kind"], made["name"], made["status"]) == ("tool", "echo", "succeeded")
    assert second["calls"] == []


def test_steps_come_by_pages(eva: Client) -> None:
    eva.make_tool("noop", "noop")
    run = eva.wait(eva.start(eva.make_workflow("seven", chain(7)))["id"])
    pages = [eva.get(f"/runs/{run['id']}/steps", page=n, page_size=3).json() for n in (1, 2, 3)]
    assert [s["node"] for p in pages for s in p["results"]] == [f"s{n}" for n in range(7)]
    assert [bool(p["next"]) for p in pages] == [True, True, False]
    problem(eva.get(f"/runs/{run['id']}/steps", page=4, page_size=3), 404)


def test_a_failed_attempt_is_among_the_attempts(eva: Client) -> None:
    eva.make_tool("fail", "fail")
    step = call("fail", message="no", retry={"max_attempts": 2, "backoff_seconds": 0})
    run = eva.wait(eva.start(eva.make_workflow("fails", graph({"a": step})))["id"])
    assert (run["status"], run["reason"]) == ("failed", "failed")
    assert run["error"]["message"] == "no"
    assert run["explanation"] == "a: no"
    [step] = eva.steps(run["id"])
    assert [(a["n"], a["status"], a["error"]["message"]) for a in step["attempts"]] == [
        (1, "failed", "no"),
        (2, "failed", "no"),
    ]
    assert [c["status"] for c in step["calls"]] == ["failed", "failed"]


def test_events_are_the_history_after_a_seq(eva: Client, finished: dict[str, Any]) -> None:
    path = f"/runs/{finished['id']}/events"
    events = eva.get(path).json()["results"]
    assert [e["seq"] for e in events] == list(range(1, finished["last_seq"] + 1))
    assert all(set(e) == {"seq", "at", "type", "step", "data"} for e in events)
    assert [moment(e["at"]) for e in events] == sorted(moment(e["at"]) for e in events)
    assert eva.get(path, after=2).json()["results"] == events[2:]
    assert eva.get(path, after=10**9).json()["results"] == []
    for wrong in ("x", "-1", "1.5", "²", "9" * 30):
        problem(eva.get(path, after=wrong), 422, field="after")


@pytest.fixture
def logged(stack: Stack, eva: Client, finished: dict[str, Any]) -> str:
    """The id of a run with 1,200 log lines of three levels."""
    stack.sql(
        """INSERT INTO log_line (run_id, seq, at, level, step_id, message, data)
           SELECT %(run)s, n, clock_timestamp(),
             (ARRAY['debug', 'info', 'error'])[1 + n %% 3],
             (SELECT id FROM step WHERE run_id = %(run)s AND node = 'a'),
             'line ' || n || E'\\n\\x1b[31mred\\r\\u009b2J', jsonb_build_object('n', n)
           FROM generate_series(1, 1200) n""",
        {"run": finished["id"]},
    )
    return str(finished["id"])


def test_logs_come_in_order_by_seq_narrowed_as_asked(eva: Client, logged: str) -> None:
    path = f"/runs/{logged}/logs"
    first = eva.get(path).json()
    assert set(first) == {"results", "next_after"}
    assert set(first["results"][0]) == {"seq", "at", "level", "step", "message", "data"}
    seen, after = [], 0
    while (page := eva.get(path, after=after).json())["results"]:
        seen += [line["seq"] for line in page["results"]]
        after = page["next_after"]
    assert seen == list(range(1, 1_201))
    levels = {line["level"] for line in eva.get(path, level="error").json()["results"]}
    assert levels == {"error"}
    both = eva.http.get(path, params={"level": ["error", "debug"]}).json()["results"]
    assert {line["level"] for line in both} == {"error", "debug"}
    assert [line["seq"] for line in eva.get(path, search="LINE 77\n").json()["results"]] == [77]
    step = first["results"][0]["step"]
    assert eva.get(path, step=step, after=1_199).json()["results"][0]["seq"] == 1_200
    assert eva.get(path, step=NOBODY).json()["results"] == []
    problem(eva.get(path, level="loud"), 422, field="level")
    problem(eva.get(path, step="first"), 422, field="step")
    problem(eva.get(path, search="a\0b"), 422, field="search")


def test_logs_as_text_are_plain_and_harmless(eva: Client, logged: str) -> None:
    answer = eva.get(f"/runs/{logged}/logs", format="text")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert len(lines) == 1_200
    assert not set(answer.text) & set("\x1b\r\x9b")
    assert lines[0].split()[1:4] == ["INFO", "line", "1\\n\\x1b[31mred\\r\\x9b2J"]


def test_a_list_has_its_envelope_and_leaves_payloads_out(
    eva: Client, finished: dict[str, Any]
) -> None:
    body = eva.get("/runs", project=eva.project).json()
    assert set(body) == {"count", "count_exact", "next", "previous", "results"}
    assert (body["count"], body["count_exact"]) == (1, True)
    [row] = body["results"]
    assert row["id"] == finished["id"]
    assert set(row) >= RUN - {"input", "output"}


def test_a_list_is_filtered_ordered_and_searched(
    stack: Stack, eva: Client, workflow: dict[str, Any]
) -> None:
    runs = [
        eva.start(workflow, {"x": n}, priority=n, tags=[f"t{n}"], trigger="manual")
        for n in range(3)
    ]
    failed = eva.start(workflow, {"x": 9_223_372_036_854_775_807}, environment="staging")
    ids = [run["id"] for run in runs]
    for run in [*runs, failed]:
        eva.wait(run["id"])

    def found(**query: Any) -> list[str]:
        answer = eva.http.get("/runs", params={"project": eva.project, **query})
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()["results"]]

    assert found(status="succeeded") == ids[::-1]
    assert found(status="failed") == [failed["id"]]
    assert set(found(status=["failed", "succeeded"])) == {*ids, failed["id"]}
    assert found(environment="staging") == [failed["id"]]
    assert found(trigger="manual") == ids[::-1]
    assert found(tag="t1") == [ids[1]]
    assert found(ordering="priority", trigger="manual") == ids
    assert found(ordering="-created_at")[0] == failed["id"]
    assert found(search=ids[0]) == [ids[0]]
    assert len(found(search="two")) == 4
    assert found(search="no such workflow") == []
    assert len(found(workflow=workflow["id"])) == 4
    assert found(workflow=NOBODY) == []
    assert len(found(project=eva.project)) == 4
    assert found(project=NOBODY) == []
    assert found(created_before=runs[0]["created_at"]) == []
    assert len(found(created_after=runs[0]["created_at"])) in (3, 4)
    assert len(found(colour="red")) == 4
    assert found(page_size=2, page=2, ordering="created_at") == [ids[2], failed["id"]]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"status": "happy"}, 422),
        ({"created_after": "yesterday-ish"}, 422),
        ({"page": "x"}, 422),
        ({"page": "0"}, 422),
        ({"page": "²"}, 422),
        ({"page_size": "-1"}, 422),
        ({"page": "401"}, 422),
        ({"page": "2"}, 404),
        ({"ordering": "colour"}, 422),
        ({"workflow": "nothing"}, 422),
        ({"parent": "nothing"}, 422),
        ({"project": "nothing"}, 422),
        ({"cursor": "made up"}, 422),
        ({"search": "a\0b"}, 422),
    ],
)
def test_bad_values_in_a_query_are_refused(
    one_eva: Client, settled: dict[str, Any], query: dict[str, str], status: int
) -> None:
    answer = one_eva.http.get("/runs", params={"project": settled["project"], **query})
    problem(answer, status, "page_too_deep" if query.get("page") == "401" else None)


def test_a_page_size_is_clamped_and_pages_join_without_gap(
    stack: Stack, eva: Client, workflow: dict[str, Any]
) -> None:
    eva.made("/runs/batch", {"runs": [
        {"workflow": workflow["id"], "environment": "dev", "input": {"x": n}} for n in range(7)
    ]})  # fmt: skip
    page = eva.get("/runs", page_size=5_000, project=eva.project).json()
    assert len(page["results"]) == 7
    seen: list[str] = []
    url = f"{stack.url}/api/v1/runs?page_size=3&ordering=-created_at&project={eva.project}"
    while url:
        body = eva.http.get(url).json()
        seen += [row["id"] for row in body["results"]]
        url = body["next"]
    assert len(seen) == len(set(seen)) == 7


def test_a_stranger_sees_no_run(stack: Stack, eva: Client, finished: dict[str, Any]) -> None:
    bo = stack.register("Bo")
    assert bo.get("/runs").json()["count"] == 0
    assert bo.get("/runs", project=eva.project).json()["results"] == []
    for part in ("", "/steps", "/logs", "/events"):
        problem(bo.get(f"/runs/{finished['id']}{part}"), 404)
        problem(stack.client().get(f"/runs/{finished['id']}{part}"), 401)
    for verb in ("cancel", "retry", "pause", "resume"):
        problem(bo.post(f"/runs/{finished['id']}/{verb}"), 404)


def test_a_viewer_looks_and_an_operator_acts(
    stack: Stack, eva: Client, workflow: dict[str, Any], nap: Callable[..., dict[str, Any]]
) -> None:
    vic, ana = member(stack, eva, "viewer"), member(stack, eva, "operator")
    run = nap()
    for part in ("", "/steps", "/logs", "/events"):
        assert vic.get(f"/runs/{run['id']}{part}").status_code == 200
    for verb in ("cancel", "retry", "pause", "resume"):
        problem(vic.post(f"/runs/{run['id']}/{verb}"), 403)
    body = {"workflow": workflow["id"], "environment": "dev", "input": {"x": 1}}
    problem(vic.post("/runs", body), 403)
    [refused] = vic.made("/runs/batch", {"runs": [body]})["results"]
    assert refused["problem"]["status"] == 403
    assert ana.post("/runs", body).status_code == 201
    assert ana.post(f"/runs/{run['id']}/cancel").status_code == 202
