"""The short form of the many kills."""

import pytest

from tests.chaos.scene import Scene
from tests.chaos.storm import storm

pytestmark = pytest.mark.chaos


def test_kills_at_any_moment_lose_no_run_and_finish_none_twice(scene: Scene) -> None:
    report = storm(scene, runs=150, kills=8, workers=2, pause=(0.1, 0.6), seconds=60)
    report.check()
