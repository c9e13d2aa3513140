"""Log lines on their way into the database."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.logs import LARGEST_DATA_BYTES, LONGEST_MESSAGE, LogBuffer, storable_text


@pytest.mark.parametrize(
    ("text", "kept"),
    [("plain", "plain"), ("a\0b", "a�b"), ("\ud800x\udfff", "�x�"), ("é漢🙂", "é漢🙂"), ("", "")],
)
def test_what_the_database_refuses_is_replaced(text: str, kept: str) -> None:
    assert storable_text(text) == kept


def test_a_long_message_is_cut() -> None:
    assert len(storable_text("x" * 9_999_999)) == LONGEST_MESSAGE


@given(st.text(st.characters(codec=None)))
def test_no_text_is_too_odd_to_be_stored(text: str) -> None:
    kept = storable_text(text)
    assert "\0" not in kept
    assert kept.encode().decode() == kept


@pytest.fixture
def add() -> Any:
    """Add a line to a buffer nobody empties; answers the line as it will be written."""
    buffer = LogBuffer("")

    def added(level: str = "info", message: str = "m", data: Any = None) -> Any:
        buffer.add(uuid4(), uuid4(), uuid4(), level, message, data)
        return buffer.lines.get_nowait()

    return added


def test_an_unknown_level_is_info(add: Any) -> None:
    assert [add(level)["level"] for level in ("error", "fatal", "")] == ["error", "info", "info"]


@pytest.mark.parametrize("data", [{"x": "\0"}, {"n": float("nan")}, {1: 2}, {"s": {1}}])
def test_data_that_cannot_be_stored_is_left_out_and_said(add: Any, data: Any) -> None:
    assert add(data=data)["data"] == {"omitted": "too large or not storable"}


def test_data_that_is_too_large_is_left_out(add: Any) -> None:
    assert add(data={"x": "y" * LARGEST_DATA_BYTES})["data"] != {"x": "y" * LARGEST_DATA_BYTES}
    assert add(data={"x": 1})["data"] == {"x": 1}
