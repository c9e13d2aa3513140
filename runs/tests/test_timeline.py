"""Where the bars of a run's timeline stand."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from runs.timeline import SHOWN_OF_A_BODY, Bar, Scale, in_tree_order, kind_words, node_fields, rows

T0 = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def at(seconds):
    return T0 + timedelta(seconds=seconds)


def bar(n, start=None, end=None, *, parent=None, status="succeeded", path="", kind="tool"):
    parent_id = UUID(int=parent) if parent else None
    return Bar(
        UUID(int=n), parent_id, f"n{n}", path, f"Step {n}", kind, status,
        None if start is None else at(start), None if end is None else at(end),
    )  # fmt: skip


def test_bars_share_the_width_by_time():
    drawn, _, _ = rows([bar(1, 0, 1), bar(2, 1, 4)], at(4))
    assert [(r["x"], r["width"]) for r in drawn] == [("0.00", "25.00"), ("25.00", "75.00")]
    assert [r["ms"] for r in drawn] == [1000, 3000]


def test_a_running_step_reaches_to_now():
    drawn, _, _ = rows([bar(1, 0, 1), bar(2, 1, status="running")], at(2))
    assert drawn[1]["live"]
    assert drawn[1]["ms"] == 1000
    assert float(drawn[1]["x"]) + float(drawn[1]["width"]) == pytest.approx(100)


def test_a_step_that_has_not_begun_has_no_bar():
    drawn, ticks, _ = rows([bar(1, status="pending")], at(0))
    assert drawn[0]["x"] is None
    assert ticks == []


def test_a_step_of_no_length_can_still_be_seen():
    drawn, _, _ = rows([bar(1, 0, 10), bar(2, 10, 10)], at(10))
    assert float(drawn[1]["width"]) > 0
    assert float(drawn[1]["x"]) + float(drawn[1]["width"]) <= 100.001


def test_one_long_wait_is_drawn_shorter():
    bars = [bar(1, 0, 1), bar(2, 1, 3), bar(3, 3, 303, kind="approval")]
    drawn, ticks, broken = rows(bars, at(303))
    assert broken
    assert float(drawn[2]["width"]) == pytest.approx(35, abs=0.1)
    assert float(drawn[1]["width"]) == pytest.approx(65 * 2 / 3, abs=0.1)
    assert ticks[-1]["broken"]


def test_long_work_keeps_its_length():
    drawn, _, broken = rows([bar(1, 0, 1), bar(2, 1, 33)], at(33))
    assert not broken
    assert float(drawn[1]["width"]) == pytest.approx(100 * 32 / 33, abs=0.1)


def test_the_scale_never_runs_backwards():
    scale = Scale([(at(0), at(1)), (at(1), at(200)), (at(200), at(201))])
    places = [scale.at(ms) for ms in range(0, 201_001, 500)]
    assert places == sorted(places)
    assert places[0] == 0
    assert places[-1] == pytest.approx(100)


@pytest.mark.parametrize("seconds", [0.003, 0.4, 7, 95, 4_000, 500_000])
def test_marks_are_few_and_apart(seconds):
    ticks = Scale([(at(0), at(seconds))]).ticks()
    places = [place for _, place in ticks]
    assert 1 <= len(ticks) <= 8
    assert all(b - a >= 9 for a, b in itertools.pairwise(places))


def test_body_steps_stand_under_their_step():
    bars = [bar(1, 0, 3), bar(2, 3, 4), bar(3, 0, 1, parent=1, path="n1[0]")]
    assert [b.id.int for b, *_ in in_tree_order(bars)] == [1, 3, 2]
    assert rows(bars, at(4))[0][1]["name"] == "Step 3[0]"
    assert rows(bars, at(4))[0][1]["depth"] == 1


def test_a_long_body_is_cut_until_it_is_opened():
    bars = [bar(1, 0, 3), *(bar(n + 10, 0, 1, parent=1) for n in range(40))]
    cut = in_tree_order(bars)
    assert cut[-1] == (None, 1, bars[0], 40 - SHOWN_OF_A_BODY)
    assert len(in_tree_order(bars, UUID(int=1))) == 41


def test_of_a_long_body_what_failed_or_is_at_work_is_shown_first_in_its_order():
    bars = [bar(n + 10, 0, 1, parent=1) for n in range(40)]
    bars[35] = replace(bars[35], status="failed")
    bars[30] = replace(bars[30], status="running")
    shown = [b.id.int - 10 for b, *_ in in_tree_order([bar(1, 0, 3), *bars])[1:-1]]
    assert shown == [*range(SHOWN_OF_A_BODY - 2), 30, 35]


def test_a_node_says_what_it_works_with():
    definition = {
        "nodes": [
            {"id": "a", "kind": "tool", "tool": "weather"},
            {"id": "m", "kind": "map", "body": {"nodes": [{"id": "b", "agent": "packer"}]}},
        ]
    }
    fields = node_fields(definition)
    assert kind_words("tool", fields["a"]) == "tool · weather"
    assert kind_words("agent", fields["b"]) == "agent · packer"
    assert kind_words("map", fields["m"]) == "map"
