"""The admin on large tables, and files in and out of it."""

import csv
import io
import re

import pytest
from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents.models import ModelPrice
from governance.models import AuditEntry
from tests.support.cast import make_user

PRICES = "id,provider,model,input_per_million,output_per_million,currency,effective_from,source\n"


@pytest.fixture
def staff(db):
    """A browser of the platform staff."""
    browser = Client()
    user = make_user("Staff", is_staff=True, is_superuser=True)
    browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return browser


def place(model):
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"


def test_every_list_opens_and_counts_no_table_in_full(staff, make_run, make_tool, make_secret):
    make_run(status="failed")
    make_secret()
    with CaptureQueriesContext(connection) as asked:
        for model in admin.site._registry:
            assert staff.get(place(model)).status_code == 200, model
    counted = [q["sql"] for q in asked if re.match(r"SELECT COUNT\(\*\)", q["sql"])]
    ours = ("run", "step", "tool_call", "model_call", "audit_entry", "effect")
    for table in ours:
        found = [sql for sql in counted if f'FROM "{table}"' in sql]
        assert all("LIMIT 10001" in sql for sql in found), found


def test_chosen_rows_come_as_a_file_with_raw_ids(staff, make_run, make_secret, own):
    run = make_run(status="failed")
    make_secret(value="sk-canary-secret")

    def taken(path, *rows):
        data = {"action": "export_csv", "_selected_action": [str(row.pk) for row in rows]}
        answer = staff.post(path, data)
        assert answer.headers["Content-Type"].startswith("text/csv"), answer.content
        return b"".join(answer.streaming_content).decode()

    rows = list(csv.DictReader(io.StringIO(taken("/admin/runs/run/", run))))
    assert rows[0]["id"] == str(run.pk)
    assert rows[0]["workflow_id"] == str(run.workflow_id)
    assert own.password not in taken("/admin/projects/user/", own)
    assert AuditEntry.objects.filter(action="admin.exported").count() == 2


def test_prices_come_from_a_file_after_a_dry_run_with_row_errors(staff):
    path = "/admin/agents/modelprice/"
    assert "import/" in staff.get(path).content.decode()

    def send(text):
        file = SimpleUploadedFile("prices.csv", (PRICES + text).encode())
        return staff.post(f"{path}import/", {"import_file": file, "format": "0"})

    good = "01a209a3-867d-75d0-948d-ebc4587ade83,openai,m,1.5,6,USD,2026-01-01 00:00:00,operator\n"
    bad = send(good + good.replace("1.5", "much").replace("83,", "84,"))
    assert bad.status_code == 200
    assert ModelPrice.objects.filter(model="m").count() == 0
    assert "confirm_form" not in bad.context
    tried = send(good)
    assert "confirm_form" in tried.context, tried.content.decode()[-3000:]
    form = tried.context["confirm_form"]
    assert ModelPrice.objects.filter(model="m").count() == 0
    done = staff.post(f"{path}process_import/", form.initial)
    assert done.status_code == 302
    assert str(ModelPrice.objects.get(model="m").input_per_million).startswith("1.5")
    assert AuditEntry.objects.get(action="admin.imported").after == {"new": 1}
