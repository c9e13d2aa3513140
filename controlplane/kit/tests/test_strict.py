"""Bodies say what they mean: no number for a text, no text for a number."""

import pytest
from rest_framework import serializers

from controlplane.kit.bodies import Body


class Example(Body):
    text = serializers.CharField(required=False, allow_null=True)
    whole = serializers.IntegerField(required=False)
    number = serializers.FloatField(required=False)
    truth = serializers.BooleanField(required=False)
    at = serializers.DateTimeField(required=False)
    tags = serializers.ListField(child=serializers.CharField(), required=False)
    told = serializers.CharField(read_only=True)


def faults(**body):
    example = Example(data=body)
    return {} if example.is_valid() else example.errors


@pytest.mark.parametrize(
    "body",
    [
        {"text": "0"}, {"text": None}, {"whole": 3}, {"whole": 3.0}, {"number": 3},
        {"number": 3.5}, {"truth": False}, {"at": "2026-01-01T00:00:00Z"}, {"tags": ["a"]}, {},
    ],
)  # fmt: skip
def test_values_of_the_fields_type_are_taken(body):
    assert faults(**body) == {}


@pytest.mark.parametrize(
    "body",
    [
        {"text": 0}, {"text": 1.5}, {"text": True}, {"text": ["a"]}, {"text": {}},
        {"whole": "3"}, {"whole": True}, {"whole": 3.5}, {"whole": float("inf")}, {"whole": []},
        {"number": "3"}, {"number": False}, {"truth": "true"}, {"truth": 1}, {"truth": "on"},
        {"at": 5}, {"tags": [0]}, {"tags": ["a", None, True]},
    ],
)  # fmt: skip
def test_values_of_another_type_are_refused_by_name(body):
    assert set(faults(**body)) == set(body)


def test_the_fault_says_which_item_of_a_list_and_of_what_type():
    assert faults(tags=["a", 5])["tags"][1][0].code == "invalid_type"


def test_by_the_api_it_is_422_with_the_field(api, ana, project):
    body = {"project": str(project.pk), "slug": "t", "name": 7, "kind": "python",
            "config": {"function": "echo"}, "tags": ["x", 1]}  # fmt: skip
    answer = api(ana).post("/tools", body)
    assert answer.status_code == 422
    found = {(e["field"], e["code"]) for e in answer.json()["errors"]}
    assert found == {("name", "invalid_type"), ("tags.1", "invalid_type")}
