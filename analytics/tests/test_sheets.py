"""Reports as files."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from openpyxl import load_workbook

from analytics.sheets import Table, as_csv, as_xlsx, tables
from controlplane.kit.ids import uuid7
from tests.support.cast import Api

WEEK = {"from": "2026-11-12T00:00:00Z", "to": "2026-11-19T00:00:00Z"}


@pytest.fixture
def ask(vic, past_run, past_call, make_agent):
    run = past_run()
    past_call(make_agent(), run=run, cost="0.0000010")
    return Api(vic)


def rows(answer):
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


@pytest.mark.parametrize("name", ["overview", "runs", "costs", "agents", "workflows"])
def test_every_report_comes_as_csv_and_as_a_workbook(ask, name):
    found = ask.get(f"/analytics/{name}", {**WEEK, "format": "csv"})
    assert found.headers["Content-Type"] == "text/csv; charset=utf-8"
    wanted = f'attachment; filename="{name}-20261112-20261119.csv"'
    assert found.headers["Content-Disposition"] == wanted
    assert rows(found)
    book = ask.get(f"/analytics/{name}", {**WEEK, "format": "xlsx"})
    assert book.headers["Content-Type"].startswith("application/vnd.openxmlformats")
    assert load_workbook(io.BytesIO(book.content)).sheetnames


def test_a_csv_holds_the_table_that_is_named(ask):
    days = rows(ask.get("/analytics/costs", {**WEEK, "format": "csv"}))
    assert [(day["at"], day["cost"]) for day in days][5:] == [
        ("2026-11-17T00:00:00Z", "0.000001"),
        ("2026-11-18T00:00:00Z", ""),
    ]
    agents = rows(ask.get("/analytics/costs", {**WEEK, "format": "csv", "table": "agents"}))
    assert [(agent["name"], agent["cost"]) for agent in agents] == [("Packer", "0.000001")]


def test_a_workbook_holds_every_table(ask):
    content = ask.get("/analytics/costs", {**WEEK, "format": "xlsx"}).content
    book = load_workbook(io.BytesIO(content))
    assert book.sheetnames[:3] == ["buckets", "projects", "agents"]
    assert {"totals", "forecast"} <= set(book.sheetnames)
    head, row = book["agents"].iter_rows(values_only=True)
    assert row[head.index("cost")] == pytest.approx(0.000001)


def test_files_can_be_asked_for_by_accept_as_well(ask):
    answer = ask.get("/analytics/runs", WEEK, HTTP_ACCEPT="text/csv")
    assert answer.status_code == 200
    assert len(rows(answer)) == 7


def test_a_refusal_is_json_whatever_was_asked_for(ask):
    answer = ask.get("/analytics/runs", {"format": "csv", "from": "x"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert ask.get("/analytics/nothing", {"format": "csv"}).status_code == 404


def test_one_workflow_comes_as_a_file(ask, make_workflow):
    path = f"/workflows/{make_workflow().pk}/analytics"
    assert len(rows(ask.get(path, {**WEEK, "format": "csv"}))) == 7


NASTY = ["=1+1", "+1", "-1", "@x", "\tx", 'a"b,c\nd', "plain"]


def test_text_in_a_csv_is_never_a_formula():
    table = Table(["name", "n", "cost"], [[text, -1, Decimal("-0.50")] for text in NASTY])
    found = list(csv.reader(io.StringIO(as_csv(table).decode())))
    assert found[0] == ["name", "n", "cost"]
    assert [row[0] for row in found[1:]] == [
        "'=1+1",
        "'+1",
        "'-1",
        "'@x",
        "'\tx",
        NASTY[5],
        "plain",
    ]
    assert found[1][1:] == ["-1", "-0.5"]


def test_text_in_a_workbook_is_never_a_formula():
    made = as_xlsx({"t": Table(["name"], [[text] for text in [*NASTY, "\x00\x07bell"]])})
    cells = [row[0] for row in load_workbook(io.BytesIO(made))["t"].iter_rows(min_row=2)]
    assert {cell.data_type for cell in cells} == {"s"}
    assert [cell.value for cell in cells][:4] == NASTY[:4]
    assert cells[-1].value == "bell"


def test_values_of_every_kind_fit_a_cell():
    at, key = datetime(2026, 11, 18, 12, tzinfo=UTC), uuid7()
    table = Table(list("abcdefg"), [[at, key, None, True, 1, 1.5, Decimal("0.1")]])
    book = load_workbook(io.BytesIO(as_xlsx({"t": table})))
    values = [cell.value for cell in list(book["t"].iter_rows())[1]]
    assert values == [at.replace(tzinfo=None), str(key), None, True, 1, 1.5, 0.1]
    told = as_csv(table).decode().splitlines()[1]
    assert told == f"2026-11-18T12:00:00Z,{key},,True,1,1.5,0.1"


def test_lists_and_single_rows_become_tables_and_inner_rows_are_flat():
    report = {"from": 1, "rows": [{"a": {"b": 1, "c": 2}}], "totals": {"n": 3}, "none": []}
    assert tables(report) == {
        "rows": Table(["a.b", "a.c"], [[1, 2]]),
        "none": Table([], []),
        "totals": Table(["n"], [[3]]),
    }


@pytest.mark.parametrize("name", ["agents", "workflows"])
def test_an_empty_table_keeps_its_heading(vic, name):
    text = Api(vic).get(f"/analytics/{name}", {"format": "csv"}).content.decode()
    head, *rest = text.splitlines()
    assert rest == []
    assert {"name", "runs", "p95_ms", "cost"} <= set(head.split(","))
    if name == "agents":
        assert "resources.rss_bytes" in head
