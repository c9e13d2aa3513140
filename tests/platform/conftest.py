"""Instances for the platform tests."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.supervisor import stamps
from controlplane.supervisor.config import ROOT
from tests.platform.instance import Instance
from tests.support.servers import KEYS, TestPostgres, migrated_data
from tests.support.stack import collected_static


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failing test shows what the instances wrote last."""
    outcome: Any = yield
    report = outcome.get_result()
    make = getattr(item, "funcargs", {}).get("new_instance")
    if report.failed and call.when != "teardown" and make:
        for instance in make.made[-2:]:
            report.sections.append((f"logs in {instance.data_dir}", instance.logs()))


@pytest.fixture(scope="session")
def new_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Instance]]:
    """An instance in a new folder, or in `data_dir`; ended at the end of the session."""
    made: list[Instance] = []

    def make(data_dir: Path | None = None, **options: str | int) -> Instance:
        folder = data_dir or tmp_path_factory.mktemp("instance") / "data"
        made.append(Instance(folder, **options))  # type: ignore[arg-type]
        return made[-1]

    make.made = made  # type: ignore[attr-defined]
    yield make
    for instance in made:
        instance.end()


@pytest.fixture(scope="session")
def prepared_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A data folder as a first start without the demo leaves it, put together from the caches."""

    def make() -> Path:
        data_dir = tmp_path_factory.mktemp("prepared") / "data"
        postgres = TestPostgres(data_dir)
        shutil.copytree(migrated_data(postgres.server.binaries), postgres.server.data)
        shutil.copytree(collected_static({**os.environ, **KEYS}), data_dir / "static")
        stamps.remember(data_dir, stamps.state("", sys.executable, str(ROOT)))
        return data_dir

    return make


@pytest.fixture
def quick(
    new_instance: Callable[..., Instance], prepared_data: Callable[[], Path]
) -> Callable[..., Instance]:
    """An instance that has been started before: it need not prepare anything."""
    return lambda **options: new_instance(prepared_data(), **{"SPARKOPS_DEMO": "off", **options})


@pytest.fixture(scope="session")
def running(new_instance: Callable[..., Instance]) -> Instance:
    """One instance the tests share, started from an empty folder."""
    return new_instance().start()
