"""The short form of the many kills."""

import pytest

from tests.chaos.scene import Scene
from tests.chaos.storm import storm

pytestmark = pytest.mark.chaos


def test_kills_at_any_moment_lose_no_run_and_finish_none_twice(scene: Scene) -> None:
    report = storm(scene, runs=150, kills=8, workers=2, pause=(0.1, 0.6), seconds=60)
    assert sum(report.stands.values()) == 150
    assert set(report.stands) <= {"succeeded", "waiting"}
    # Only runs with a call in doubt wait for a person.
    assert report.stands.get("waiting", 0) <= report.in_doubt
