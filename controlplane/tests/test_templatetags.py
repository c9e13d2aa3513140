"""How figures, times, states and JSON are written."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from controlplane.templatetags import formats, jsontext, marks, sparkops

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, "–"), (0, "0 ms"), (412, "412 ms"), (999.6, "1.00 s"), (1_240, "1.24 s"),
        (9_994, "9.99 s"), (9_996, "10.0 s"), (11_800, "11.8 s"), (59_960, "1 m 00 s"),
        (192_000, "3 m 12 s"), (300_000, "5 m 00 s"), (3_599_800, "1 h 00 m"),
        (7_500_000, "2 h 05 m"), (273_600_000, "3 d 4 h"), (-5, "0 ms"),
    ],
)  # fmt: skip
def test_a_duration_is_written_to_the_digit_that_matters(milliseconds, text):
    assert formats.format_duration(milliseconds) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "unpriced"), (Decimal("0"), "$0.0000"), ("0.0042", "$0.0042"), ("12.4", "$12.40"),
        ("1234.5", "$1,234.50"), ("0.0000312", "$0.000031"), ("-0.5", "−$0.5000"),
        ("no number", "unpriced"),
    ],
)  # fmt: skip
def test_money_is_written_with_its_sign_and_never_as_zero_by_accident(amount, text):
    assert sparkops.money(amount) == text


def test_a_currency_without_a_sign_is_named():
    assert sparkops.money("3.5", "NOK") == "3.50 NOK"


@pytest.mark.parametrize(
    ("past", "text"),
    [
        (timedelta(seconds=2), "now"), (timedelta(seconds=12), "12 s ago"),
        (timedelta(minutes=3), "3 min ago"), (timedelta(hours=1), "1 h ago"),
        (timedelta(days=5), "5 d ago"), (timedelta(days=60), "24 Sep 2026"),
        (timedelta(hours=-3), "in 3 h"),
    ],
)  # fmt: skip
def test_a_time_is_told_relative_to_now(past, text):
    assert formats.format_ago(NOW - past, NOW) == text


def test_a_relative_time_carries_the_exact_one():
    html = marks.ago(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert 'title="2026-01-02 03:04:05 UTC"' in html
    assert 'datetime="2026-01-02T03:04:05+00:00"' in html


def test_a_short_id_is_the_random_end():
    assert formats.short("0192c4f1-0000-7000-8000-00007f3a91c2") == "7f3a91c2"


@pytest.mark.parametrize(
    ("name", "letters"), [("Ada King", "AK"), ("ops@example.org", "OP"), ("", "?"), (None, "?")]
)
def test_initials_come_from_a_name_or_an_address(name, letters):
    assert formats.initials(name) == letters


def test_every_state_has_words_colour_and_shape():
    for word, look in formats.LOOKS.items():
        assert look.label
        assert look.tone in {"green", "blue", "grey", "amber", "red"}, word
        assert look.shape in {"done", "running", "queued", "waiting", "failed", "cancelled"}, word


def test_states_that_mean_trouble_never_share_a_look_with_success():
    assert formats.look_of("failed").tone != formats.look_of("succeeded").tone
    assert formats.look_of("timed_out").label == "Timed out"
    assert formats.look_of("never_heard_of").tone == "grey"


def test_json_is_escaped_and_coloured():
    html = jsontext.highlight({"a<b": ["<script>", 1.5, None, True]})
    assert "<script>" not in html
    assert '<span class="json-key">&quot;a&lt;b&quot;</span>' in html
    assert '<span class="json-number">1.5</span>' in html
    assert '<span class="json-word">null</span>' in html


def test_json_keeps_numbers_beyond_a_double():
    assert "12345678901234567890" in jsontext.as_json_text({"n": 12345678901234567890})


def test_text_that_would_reorder_or_move_the_cursor_is_shown_as_escapes():
    assert jsontext.visible_text("a\x1b[31m\u202eb\n") == "a\\x1b[31m\\u202eb\n"
    assert "\u202e" not in jsontext.as_json_text("\u202e")


def test_huge_json_is_cut_and_still_escaped():
    html = jsontext.highlight("<" * (jsontext.LIMIT + 10))
    assert html.endswith("…")
    assert "<" not in html
