"""Secrets: encrypted, bound, replaced, never shown."""

from datetime import timedelta

import pytest
import time_machine
from cryptography.fernet import Fernet
from django.utils import timezone

from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.ids import uuid7
from governance.models import AuditEntry
from projects import crypto, vault
from projects.models import Secret
from projects.redaction import redact

VALUE = "sk-canary-1234567890"


@pytest.fixture
def body(project):
    hosts = ["api.example.com", "*.openai.com", "10.0.0.1:8443"]
    return {"project": str(project.pk), "name": "openai", "value": VALUE, "allowed_hosts": hosts}


def test_a_value_goes_in_and_never_out(api, ada, vic, body):
    answers = [api(ada).post("/secrets", body)]
    assert answers[0].status_code == 201
    path = f"/secrets/{answers[0].json()['id']}"
    answers += [
        api(vic).get("/secrets"),
        api(vic).get(path),
        api(ada).patch(path, {"value": VALUE + "2"}),
        api(ada).post(f"{path}/rotate", {"value": VALUE + "3"}),
        api(ada).put(path, {"project": body["project"], "name": "openai", "value": VALUE}),
        api(ada).get("/audit"),
    ]
    assert {a.status_code for a in answers} == {200, 201}
    for answer in answers:
        assert "canary" not in answer.content.decode()
    assert b"canary" not in bytes(Secret.objects.get().ciphertext)


def test_rotation_keeps_the_hosts_and_is_audited(api, ada, body):
    path = f"/secrets/{api(ada).post('/secrets', body).json()['id']}"
    answer = api(ada).post(f"{path}/rotate", {"value": "new-value"})
    assert answer.json()["rotated_at"]
    secret = Secret.objects.get()
    assert secret.allowed_hosts == body["allowed_hosts"]
    assert vault.reveal_for(secret, "api.example.com") == "new-value"
    actions = AuditEntry.objects.filter(target_type="secret").values_list("action", flat=True)
    assert list(actions) == ["secret.rotated", "secret.created"]


def test_changing_the_hosts_keeps_the_value(api, ada, body):
    path = f"/secrets/{api(ada).post('/secrets', body).json()['id']}"
    assert api(ada).patch(path, {"allowed_hosts": ["B.example.com"]}).status_code == 200
    assert vault.reveal_for(Secret.objects.get(), "b.example.com") == VALUE


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"value": ""}, "value"),
        ({"value": "line\nbreak"}, "value"),
        ({"name": "Has Spaces"}, "name"),
        ({"allowed_hosts": ["https://a.example.com"]}, "allowed_hosts"),
        ({"allowed_hosts": ["a.example.com/path"]}, "allowed_hosts"),
        ({"allowed_hosts": "a.example.com"}, "allowed_hosts"),
        ({"project": "00000000-0000-0000-0000-000000000000"}, "project"),
    ],
)
def test_a_bad_secret_names_its_field(api, ada, body, change, field):
    answer = api(ada).post("/secrets", {**body, **change})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].split(".")[0] == field
    assert VALUE not in answer.content.decode()
    assert not Secret.objects.exists()


def test_a_missing_value_and_a_taken_name_are_named(api, ada, body):
    without = {k: v for k, v in body.items() if k != "value"}
    assert api(ada).post("/secrets", without).json()["errors"][0]["field"] == "value"
    assert api(ada).post("/secrets", body).status_code == 201
    assert api(ada).post("/secrets", body).status_code == 422


def test_a_name_cannot_change(api, ada, body):
    path = f"/secrets/{api(ada).post('/secrets', body).json()['id']}"
    assert api(ada).patch(path, {"name": "other"}).json()["errors"][0]["code"] == "immutable"


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("api.example.com", None),
        ("API.example.com.", 443),
        ("eu.api.openai.com", None),
        ("10.0.0.1", 8443),
        ("10.0.0.1:8443", None),
    ],
)
def test_a_secret_goes_to_its_hosts(make_secret, body, host, port):
    secret = make_secret(allowed_hosts=body["allowed_hosts"], value=VALUE)
    assert vault.reveal_for(secret, host, port) == VALUE


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("evil.com", None),
        ("api.example.com.evil.com", None),
        ("openai.com", None),
        ("notopenai.com", None),
        ("10.0.0.1", None),
        ("10.0.0.1:8444", None),
        ("", None),
    ],
)
def test_a_secret_goes_nowhere_else(make_secret, body, host, port):
    secret = make_secret(allowed_hosts=body["allowed_hosts"], value=VALUE)
    with pytest.raises(vault.SecretRefused) as refused:
        vault.reveal_for(secret, host, port)
    assert "api.example.com" in refused.value.message
    assert VALUE not in str(refused.value)


def test_a_secret_without_hosts_goes_nowhere(make_secret):
    with pytest.raises(vault.SecretRefused, match="no host yet"):
        vault.reveal_for(make_secret(allowed_hosts=[]), "api.example.com")


def test_use_is_noted_once_a_minute(make_secret):
    secret, now = make_secret(), timezone.now()
    with time_machine.travel(now, tick=False):
        vault.reveal_for(secret, "api.example.com")
        vault.reveal_for(Secret.objects.get(), "api.example.com")
    assert Secret.objects.get().last_used_at == now
    with time_machine.travel(now + timedelta(minutes=2), tick=False):
        vault.reveal_for(Secret.objects.get(), "api.example.com")
    assert Secret.objects.get().last_used_at > now


def test_a_missing_secret_is_named(project):
    with pytest.raises(DomainError, match="no secret named gone"):
        vault.named(project.pk, "gone")


def test_a_ciphertext_opens_for_its_own_row_only(db):
    first, second = uuid7(), uuid7()
    ciphertext = crypto.encrypt(VALUE, bound_to=first)
    assert crypto.decrypt(ciphertext, bound_to=first) == VALUE
    with pytest.raises(DomainError, match="opens this secret"):
        crypto.decrypt(ciphertext, bound_to=second)


def test_an_older_key_still_opens_and_a_lost_one_says_so(settings):
    row, old, new = uuid7(), Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [old]
    ciphertext = crypto.encrypt(VALUE, bound_to=row)
    settings.ENCRYPTION_KEYS = [new, old]
    assert crypto.decrypt(ciphertext, bound_to=row) == VALUE
    renewed = crypto.renew(ciphertext)
    settings.ENCRYPTION_KEYS = [new]
    assert crypto.decrypt(renewed, bound_to=row) == VALUE
    with pytest.raises(DomainError, match="opens this secret"):
        crypto.decrypt(ciphertext, bound_to=row)


def test_a_private_key_of_many_lines_is_kept_as_it_is(project):
    pem = "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n"
    secret = vault.store(
        project, name="pem", value=pem, allowed_hosts=["a.example.com"], actor=None
    )
    assert vault.reveal_for(secret, "a.example.com") == pem
    with pytest.raises(InvalidInput):
        vault.check_value("a\x00b")


def test_redaction_masks_text_and_json():
    found = redact({"a": [f"Bearer {VALUE}", 1], VALUE: None}, [VALUE])
    assert VALUE not in str(found)
    assert found["a"][1] == 1
    assert redact("nothing here", [VALUE]) == "nothing here"
