"""At least 300 kills over at least 10,000 runs."""

import sys

import pytest

from tests.chaos.scene import Scene
from tests.chaos.storm import SHORT, storm

pytestmark = [pytest.mark.chaos, pytest.mark.long, pytest.mark.timeout(1_800)]


def test_300_kills_over_10_000_runs_lose_none_and_finish_none_twice(scene: Scene) -> None:
    report = storm(
        scene, runs=10_000, kills=300, workers=4, pause=(1.5, 6.0), seconds=900, calls=SHORT,
        at_once=600,
    )  # fmt: skip
    sys.stdout.write(f"\n{report}\n")
    report.check()
