"""The routes of runs to the letter of the contract, by HTTP against real processes."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.engine.house import call, chain, graph
from tests.support.client import Client
from tests.support.stack import Stack

pytestmark = pytest.mark.contract

RUN = {
    "id", "project", "workflow", "workflow_version", "environment", "trigger", "status", "reason",
    "explanation", "input", "output", "error", "tags", "priority", "parent", "relation",
    "started_by", "created_at", "started_at", "ended_at", "duration_ms", "input_tokens",
    "output_tokens", "cost", "currency", "last_seq",
}  # fmt: skip
STEP = {
    "id", "node", "path", "kind", "name", "status", "reason", "attempt", "input", "output", "error",
    "started_at", "ended_at", "duration_ms", "input_tokens", "output_tokens", "cost", "agent",
    "tool", "approval", "attempts", "calls",
}  # fmt: skip
PROBLEM = {"type", "title", "status", "detail", "code", "errors", "request_id"}
NOBODY = "01890000-0000-7000-8000-000000000000"


def problem(answer: Any, status: int, code: str | None = None, field: str | None = None) -> Any:
    """The answer is a problem of this kind; answers its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) >= PROBLEM
    assert body["status"] == status
    assert answer.headers["x-request-id"] == body["request_id"]
    if code is not None:
        assert code in {body["code"], *(e["code"] for e in body["errors"])}, body
    if field is not None:
        assert field in {e["field"] for e in body["errors"]}, body
    return body


def moment(text: str) -> datetime:
    """A time of the API: UTC ISO-8601."""
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


def made_workflow(eva: Client) -> dict[str, Any]:
    """Two steps: an echo of `x`, then one more."""
    eva.make_tool("echo", "echo")
    definition = graph(
        {
            "a": {**call("echo", x="${input.x}"), "name": "Say it"},
            "b": {"kind": "transform", "set": {"y": "${steps.a.output.x + 1}"}},
        },
        "a>b",
        output={"y": "${steps.b.output.y}"},
        input_schema={
            "type": "object",
            "properties": {"x": {"type": "integer"}},
            "required": ["x"],
        },
    )
    return eva.make_workflow("two", definition)


@pytest.fixture
def workflow(eva: Client) -> dict[str, Any]:
    """A workflow of her new project."""
    return made_workflow(eva)


@pytest.fixture(scope="module")
def settled(one_eva: Client) -> dict[str, Any]:
    """A workflow with one finished run in a project that no test changes."""
    one_eva.project = one_eva.made("/projects", {"name": f"Settled {secrets.token_hex(4)}"})["id"]
    made = made_workflow(one_eva)
    one_eva.wait(one_eva.start(made, {"x": 41})["id"])
    return made


@pytest.fixture
def finished(eva: Client, workflow: dict[str, Any]) -> dict[str, Any]:
    """A run of it that succeeded."""
    return eva.wait(eva.start(workflow, {"x": 41})["id"])


@pytest.fixture
def nap(eva: Client) -> Callable[..., dict[str, Any]]:
    """Start a run whose one step sleeps."""
    eva.make_tool("nap", "sleep")
    made = eva.make_workflow("naps", graph({"a": call("nap", seconds="${input.seconds}")}))
    return lambda seconds=30, **more: eva.start(made, {"seconds": seconds}, **more)


def member(stack: Stack, eva: Client, role: str) -> Client:
    """Somebody else with a role in her project."""
    other = stack.register(role.title())
    stack.sql(
        "INSERT INTO membership (id, project_id, user_id, role, created_at, updated_at)"
        " VALUES (gen_random_uuid(), %s, %s, %s, now(), now())",
        [eva.project, other.user["id"], role],
    )
    return other


# Start


def test_a_start_answers_with_the_whole_run(eva: Client, workflow: dict[str, Any]) -> None:
    body = {
        "workflow": workflow["id"], "environment": "dev", "input": {"x": 1}, "version": None,
        "agent": None, "trigger": "manual", "tags": ["demo"], "priority": 3,
        "deadline_seconds": 3600,
    }  # fmt: skip
    answer = eva.post("/runs", body)
    assert answer.status_code == 201
    run = answer.json()
    assert set(run) >= RUN
    assert (run["project"], run["workflow"]) == (eva.project, workflow["id"])
    assert (run["workflow_version"], run["environment"], run["trigger"]) == (1, "dev", "manual")
    assert (run["status"], run["reason"], run["tags"], run["priority"]) == (
        "queued",
        "",
        ["demo"],
        3,
    )
    assert (run["parent"], run["relation"], run["output"], run["error"]) == (None,) * 4
    assert (run["cost"], run["currency"], run["input_tokens"]) == (None, "USD", 0)
    assert (run["started_at"], run["ended_at"], run["duration_ms"]) == (None,) * 3
    assert run["started_by"] == {"type": "user", "id": eva.user["id"], "name": "Eva"}
    assert run["explanation"].startswith("Queued")
    assert abs(moment(run["created_at"]) - datetime.now(UTC)) < timedelta(seconds=30)
    done = eva.wait(run["id"])
    assert (done["status"], done["output"], done["input"]) == ("succeeded", {"y": 2}, {"x": 1})
    assert done["created_at"] == run["created_at"]
    assert moment(done["started_at"]) <= moment(done["ended_at"])
    assert done["duration_ms"] >= 0
    assert done["explanation"] == "Finished."


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"workflow": None}, "workflow", "required"),
        ({"workflow": NOBODY}, "workflow", "does_not_exist"),
        ({"workflow": "nothing"}, "workflow", "does_not_exist"),
        ({"workflow": 7}, "workflow", "does_not_exist"),
        ({"environment": "moon"}, "environment", "does_not_exist"),
        ({"environment": ""}, "environment", "required"),
        ({"environment": ["dev"]}, "environment", None),
        ({"agent": NOBODY}, "agent", "does_not_exist"),
        ({"version": 99}, "version", "does_not_exist"),
        ({"version": "one"}, "version", None),
        ({"version": 0}, "version", None),
        ({"trigger": "schedule"}, "trigger", None),
        ({"tags": "demo"}, "tags", None),
        ({"tags": ["x" * 61]}, "tags", None),
        ({"tags": [1]}, "tags", None),
        ({"priority": 101}, "priority", None),
        ({"priority": 1.5}, "priority", None),
        ({"priority": True}, "priority", None),
        ({"deadline_seconds": 0}, "deadline_seconds", None),
        ({"deadline_seconds": "soon"}, "deadline_seconds", None),
        ({"colour": "red"}, "colour", "unknown_field"),
        ({"input": {}}, "input.x", "required"),
        ({"input": {"x": "one"}}, "input.x", "type"),
        ({"input": [1]}, "input", "type"),
        ({"input": None}, "input", "type"),
    ],
)
def test_what_is_wrong_with_a_start_is_named(
    one_eva: Client,
    settled: dict[str, Any],
    change: dict[str, Any],
    field: str,
    code: str | None,
) -> None:
    body = {"workflow": settled["id"], "environment": "dev", "input": {"x": 1}, **change}
    problem(one_eva.post("/runs", body), 422, code, field)
    assert one_eva.get("/runs", project=settled["project"]).json()["count"] == 1


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"{", 400),
        (b'{"input": NaN}', 400),
        (b'{"input": {"x": Infinity}}', 400),
        (b"[]", 422),
        (b'"text"', 422),
        (b'{"workflow": "%s", "environment": "dev", "input": {"x": 1, "t": "a\\u0000b"}}', 422),
        (b'{"workflow": "%s", "environment": "dev", "input": {"x": 1, "t": "\\ud800"}}', 422),
        (b'{"workflow": "%s", "environment": "dev", "input": {"x": 36893488147419103232}}', 422),
        (b'{"workflow": "%s", "environment": "d\\u0000v", "input": {"x": 1}}', 422),
        (b'{"workflow": "%s", "environment": "dev", "tags": ["\\u0000"], "input": {"x": 1}}', 422),
    ],
)
def test_a_body_that_cannot_be_read_or_stored_is_refused(
    one_eva: Client, settled: dict[str, Any], raw: bytes, status: int
) -> None:
    content = raw.replace(b"%s", settled["id"].encode())
    answer = one_eva.http.post(
        "/runs", content=content, headers={"Content-Type": "application/json"}
    )
    problem(answer, status)


def test_an_input_over_one_megabyte_is_refused(eva: Client, workflow: dict[str, Any]) -> None:
    large = {"x": 1, "text": "y" * 1_048_577}
    answer = eva.post("/runs", {"workflow": workflow["id"], "environment": "dev", "input": large})
    problem(answer, 422, "too_large", "input")
    just = {"x": 1, "text": "y" * 1_000_000}
    run = eva.wait(eva.start(workflow, just)["id"])
    assert (run["status"], run["input"] == just) == ("succeeded", True)


def test_what_is_not_released_does_not_run(eva: Client) -> None:
    draft = eva.make_workflow("draft", graph({"a": {}}), publish=False)
    body = {"workflow": draft["id"], "environment": "dev"}
    problem(eva.post("/runs", body), 409, "not_released")
    problem(eva.post("/runs", {**body, "version": 1}), 409, "not_released")


def test_an_older_version_runs_when_asked_for(eva: Client) -> None:
    made = eva.make_workflow("versions", graph({"a": {}}, output={"v": 1}))
    second = {"definition": graph({"a": {}}, output={"v": 2})}
    changed = eva.patch(f"/workflows/{made['id']}", second)
    assert changed.status_code == 200, changed.text
    eva.made(f"/workflows/{made['id']}/publish", {})
    newest, oldest = eva.start(made), eva.start(made, version=1)
    assert (newest["workflow_version"], oldest["workflow_version"]) == (2, 1)
    assert eva.wait(oldest["id"])["output"] == {"v": 1}
    assert eva.wait(newest["id"])["output"] == {"v": 2}


def test_a_foreign_workflow_does_not_exist(
    stack: Stack, eva: Client, workflow: dict[str, Any]
) -> None:
    bo = stack.register("Bo")
    body = {"workflow": workflow["id"], "environment": "dev", "input": {"x": 1}}
    problem(bo.post("/runs", body), 422, "does_not_exist", "workflow")
    problem(stack.client().post("/runs", body), 401)


def test_one_key_starts_one_run(eva: Client, workflow: dict[str, Any]) -> None:
    key = {"Idempotency-Key": secrets.token_hex(8)}
    body = {"workflow": workflow["id"], "environment": "dev", "input": {"x": 1}}
    first, again = eva.post("/runs", body, **key), eva.post("/runs", body, **key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    other = eva.post("/runs", {**body, "input": {"x": 2}}, **key)
    problem(other, 422, "idempotency_key_reused")
    problem(eva.post("/runs", body, **{"Idempotency-Key": "k" * 256}), 422)


def test_a_batch_answers_in_order_with_runs_and_problems(
    eva: Client, workflow: dict[str, Any]
) -> None:
    good = {"workflow": workflow["id"], "environment": "dev", "input": {"x": 1}}
    bodies = [good, {**good, "input": {}}, {**good, "environment": "moon"}, "no", good]
    answer = eva.post("/runs/batch", {"runs": bodies})
    assert answer.status_code == 201
    results = answer.json()["results"]
    assert [next(iter(r)) for r in results] == ["run", "problem", "problem", "problem", "run"]
    assert set(results[0]["run"]) >= RUN
    assert set(results[1]["problem"]) >= PROBLEM
    assert [r["problem"]["status"] for r in results[1:4]] == [422] * 3
    assert eva.wait(results[4]["run"]["id"])["status"] == "succeeded"
    for wrong in ({}, {"runs": []}, {"runs": "all"}, {"runs": [good] * 1_001}):
        problem(eva.post("/runs/batch", wrong), 422, field="runs")


# Read


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


# Lists


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


# Verbs


def test_a_cancel_is_accepted_and_a_second_one_refused(
    eva: Client, nap: Callable[..., dict[str, Any]]
) -> None:
    run = nap()
    answer = eva.post(f"/runs/{run['id']}/cancel", {"reason": "not needed"})
    assert (answer.status_code, set(answer.json()) >= RUN) == (202, True)
    assert answer.json()["status"] in {"cancelling", "cancelled"}
    done = eva.wait(run["id"], 9)
    assert (done["status"], done["explanation"]) == ("cancelled", "Cancelled: not needed")
    problem(eva.post(f"/runs/{run['id']}/cancel"), 409, "run_ended")
    path = f"/runs/{nap()['id']}/cancel"
    problem(eva.post(path, {"why": "x"}), 422, "unknown_field", "why")
    eva.post(path)


def test_a_cancel_of_a_sleeping_step_is_seen_within_two_seconds(
    eva: Client, nap: Callable[..., dict[str, Any]]
) -> None:
    run = nap()
    while eva.run(run["id"])["status"] == "queued":
        pass
    eva.post(f"/runs/{run['id']}/cancel")
    assert eva.wait(run["id"], 2)["status"] == "cancelled"


def test_pause_and_resume_answer_with_the_run(
    eva: Client, nap: Callable[..., dict[str, Any]]
) -> None:
    run = nap(3)
    paused = eva.post(f"/runs/{run['id']}/pause")
    assert (paused.status_code, paused.json()["status"]) == (200, "paused")
    assert eva.post(f"/runs/{run['id']}/pause").status_code == 200
    resumed = eva.post(f"/runs/{run['id']}/resume")
    assert resumed.status_code == 200
    assert resumed.json()["status"] in {"queued", "running"}
    problem(eva.post(f"/runs/{run['id']}/resume"), 409, "not_paused")
    eva.wait(run["id"])
    problem(eva.post(f"/runs/{run['id']}/pause"), 409, "not_pausable")


def test_a_retry_is_a_new_run_linked_to_the_old(
    eva: Client, workflow: dict[str, Any], finished: dict[str, Any]
) -> None:
    path = f"/runs/{finished['id']}/retry"
    answer = eva.post(path, {"from": "start", "input": {"x": 1}})
    assert answer.status_code == 201
    new = answer.json()
    assert (new["parent"], new["relation"]) == (finished["id"], "retry")
    assert eva.wait(new["id"])["output"] == {"y": 2}
    again = eva.post(path, {"from": "b"})
    kept, done = eva.steps(eva.wait(again.json()["id"])["id"])
    assert (kept["output"], kept["attempt"], kept["attempts"], kept["calls"]) == (
        {"x": 41},
        0,
        [],
        [],
    )
    assert (done["attempt"], done["output"]) == (1, {"y": 42})
    assert [r["id"] for r in eva.get("/runs", parent=finished["id"]).json()["results"]] == [
        again.json()["id"],
        new["id"],
    ]
    problem(eva.post(path, {"from": "failed"}), 409, "nothing_failed")
    problem(eva.post(path, {"from": "failed", "input": {"x": 1}}), 422, field="input")
    problem(eva.post(path, {"from": "nowhere"}), 422, "does_not_exist", "from")
    problem(eva.post(path, {"from": 7}), 422, field="from")
    problem(eva.post(path, {"to": "b"}), 422, "unknown_field", "to")
    problem(eva.post(path, {"from": "start", "input": {}}), 422, "required")


def test_a_retry_with_a_key_is_made_once(eva: Client, finished: dict[str, Any]) -> None:
    key = {"Idempotency-Key": secrets.token_hex(8)}
    path = f"/runs/{finished['id']}/retry"
    first = eva.post(path, {"from": "start"}, **key)
    eva.wait(first.json()["id"])
    again = eva.post(path, {"from": "start"}, **key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    problem(eva.post(path, {"from": "b"}, **key), 422, "idempotency_key_reused")


def test_a_run_that_has_not_ended_is_not_retried(
    eva: Client, nap: Callable[..., dict[str, Any]]
) -> None:
    run = nap()
    problem(eva.post(f"/runs/{run['id']}/retry", {"from": "start"}), 409, "not_terminal")
    eva.post(f"/runs/{run['id']}/cancel")


def test_a_deadline_times_a_run_out(eva: Client, nap: Callable[..., dict[str, Any]]) -> None:
    run = eva.wait(nap(60, deadline_seconds=1)["id"], 10)
    assert (run["status"], run["reason"]) == ("timed_out", "deadline")
    assert run["explanation"] == "The run passed its deadline."


def test_methods_that_runs_do_not_have_are_refused(eva: Client, finished: dict[str, Any]) -> None:
    path = f"/runs/{finished['id']}"
    for answer in (eva.delete(path), eva.put(path, {}), eva.patch(path, {"tags": []})):
        problem(answer, 405)


def test_a_trailing_slash_is_optional(eva: Client, finished: dict[str, Any]) -> None:
    for path in ("/runs", f"/runs/{finished['id']}", f"/runs/{finished['id']}/steps"):
        bare, slashed = eva.get(path), eva.get(f"{path}/")
        assert (bare.status_code, slashed.status_code) == (200, 200)
        assert bare.json().get("results") == slashed.json().get("results")
