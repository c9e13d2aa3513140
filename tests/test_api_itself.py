"""The API about itself: its root, its document, how it refuses what no view answers."""

import json
import re
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client

from controlplane.api_views import BASE, COLLECTIONS, REPORTS
from runs.api import RunViewSet
from tests.support.routes import routes


@pytest.fixture
def web():
    """A client to whom faults are shown as answers."""
    return Client(raise_request_exception=False)


def as_problem(answer):
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["request_id"] == answer.headers["X-Request-ID"]
    return body


def test_the_document_is_valid_and_complete():
    called = StringIO()
    call_command("spectacular", "--fail-on-warn", "--validate", stdout=called, stderr=called)
    assert called.getvalue().startswith("openapi: 3.1.0")


@pytest.fixture(scope="module")
def document(django_db_blocker):
    answer = Client().get(f"{BASE}/schema", headers={"accept": "application/json"})
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json()


# Not described: itself, and a method that answers 405 to everybody.
APART = {("GET", BASE), ("GET", f"{BASE}/schema"), ("GET", f"{BASE}/docs")}
APART |= {("POST", f"{BASE}/approvals"), ("POST", f"{BASE}/reconciliations")}


def test_the_document_describes_every_route(document):
    told = {
        (method.upper(), re.sub(r"\{[^}]+\}", "{}", path))
        for path, item in document["paths"].items()
        for method in item
    }
    served = {(method, path.rstrip("/")) for method, path in routes() if path.startswith(BASE)}
    assert served - APART == told


def test_every_operation_has_a_name_of_its_own_and_its_refusals(document):
    operations = [op for item in document["paths"].values() for op in item.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    for operation in operations:
        assert {"401", "403", "406", "422", "429"} <= set(operation["responses"])
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    problem = document["components"]["responses"]["Problem404"]["content"]
    assert list(problem) == ["application/problem+json"]


def test_filters_are_described_with_their_choices(document):
    found = {p["name"]: p for p in document["paths"][f"{BASE}/runs"]["get"]["parameters"]}
    assert "timed_out" in found["status"]["schema"]["items"]["enum"]
    assert found["created_after"]["schema"]["format"] == "date-time"
    assert found["workflow"]["schema"]["items"]["format"] == "uuid"


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ("*/*", "application/vnd.oai.openapi"),
        ("application/json", "application/json"),
        ("application/yaml", "application/yaml"),
    ],
)
def test_the_document_comes_as_it_is_asked_for(web, asked, kind):
    answer = web.get(f"{BASE}/schema/", headers={"accept": asked})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == kind


def test_the_document_can_be_json_by_its_address(web):
    assert json.loads(web.get(f"{BASE}/schema?format=json").content)["openapi"] == "3.1.0"
    assert as_problem(web.get(f"{BASE}/schema?format=xml"))["status"] == 422


def test_a_document_the_caller_has_is_not_sent_again(web):
    etag = web.get(f"{BASE}/schema").headers["ETag"]
    assert web.get(f"{BASE}/schema", headers={"if-none-match": etag}).status_code == 304


def test_swagger_holds_no_inline_code(web):
    html = web.get(f"{BASE}/docs").content.decode()
    assert "<script>" not in html
    assert "<style" not in html
    script = web.get(f"{BASE}/docs?script=")
    assert script.headers["Content-Type"] == "application/javascript"
    assert f"{BASE}/schema" in script.content.decode()


def test_the_root_names_what_there_is(web):
    found = web.get(BASE).json()
    assert set(found) == {
        *(name.replace("-", "_") for name in COLLECTIONS), "analytics", "me", "schema", "docs",
    }  # fmt: skip
    assert set(found["analytics"]) == set(REPORTS)
    assert found["api_keys"] == f"http://testserver{BASE}/api-keys"
    assert web.get(f"{BASE}/").json() == found


def test_every_collection_of_the_root_is_served(web):
    served = {path for _, path in routes()}
    assert {f"{BASE}/{name}" for name in COLLECTIONS} <= served
    assert {f"{BASE}/analytics/{name}" for name in REPORTS} <= served


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/runs/x/y/z", "/api/v2", "/api/"])
def test_an_unknown_address_is_a_problem(web, path):
    assert as_problem(web.get(path))["code"] == "not_found"
    assert web.post(path).status_code == 404


def test_an_unknown_address_elsewhere_is_a_page(web, db):
    answer = web.get("/nothing")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    "path", ["runs", "tools", "agents", "workflows", "secrets", "api-keys", "audit", "approvals"]
)
@pytest.mark.parametrize("key", ["x", "1", "%00", "00000000", "é", "a" * 300, "{}"])
def test_a_malformed_id_is_as_absent_as_any(api, ana, path, key):
    assert as_problem(api(ana).get(f"/{path}/{key}"))["code"] == "not_found"


def test_a_method_that_is_not_there_is_405(api, ana):
    answer = api(ana).delete("/runs")
    assert as_problem(answer)["code"] == "method_not_allowed"
    assert "GET" in answer.headers["Allow"]


def test_an_answer_in_a_format_we_have_not_is_406(api, ana):
    assert as_problem(api(ana).get("/runs", HTTP_ACCEPT="image/png"))["code"] == "not_acceptable"


def test_a_body_that_is_no_json_is_415(api, ana):
    answer = api(ana).generic("POST", "/tools", b"a=b", "application/x-www-form-urlencoded")
    assert as_problem(answer)["code"] == "unsupported_media_type"


def test_a_fault_is_a_problem_without_details(web, monkeypatch, db):
    def fail(*args, **kwargs):
        raise RuntimeError("the secret reason")

    monkeypatch.setattr(RunViewSet, "check_permissions", fail)
    answer = web.get(f"{BASE}/runs", headers={"x-request-id": "abc-1"})
    assert answer.status_code == 500
    assert as_problem(answer)["request_id"] == "abc-1"
    assert "secret reason" not in answer.content.decode()


def test_a_fault_of_a_page_is_a_page_with_the_id(web, monkeypatch, ana):
    monkeypatch.setattr("runs.views.RunList.get", lambda *args, **kwargs: 1 / 0)
    web.force_login(ana)
    answer = web.get("/runs/", headers={"x-request-id": "abc-2"})
    assert answer.status_code == 500
    assert "abc-2" in answer.content.decode()
    assert "ZeroDivision" not in answer.content.decode()


def test_a_browser_sees_a_refusal_as_a_page(ana):
    web = Client()
    web.force_login(ana)
    answer = web.get(f"{BASE}/runs/nothing", headers={"accept": "text/html"})
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "not_found" in answer.content.decode()
