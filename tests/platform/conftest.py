"""Instances for the platform tests."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.platform.instance import Instance


@pytest.fixture(scope="session")
def new_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Instance]]:
    """An instance in a new folder, or in `data_dir`; ended at the end of the session."""
    made: list[Instance] = []

    def make(data_dir: Path | None = None, **options: str | int) -> Instance:
        folder = data_dir or tmp_path_factory.mktemp("instance") / "data"
        made.append(Instance(folder, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for instance in made:
        instance.end()


@pytest.fixture(scope="session")
def prepared(new_instance: Callable[..., Instance]) -> Path:
    """The data folder of an instance that was started once and stopped; to be copied."""
    instance = new_instance(SPARKOPS_DEMO="off").start()
    instance.stop()
    return instance.data_dir


@pytest.fixture
def copied(
    new_instance: Callable[..., Instance], prepared: Path, tmp_path: Path
) -> Callable[..., Instance]:
    """An instance on a copy of a prepared data folder: a quick start."""

    def copy(**options: str | int) -> Instance:
        folder = tmp_path / f"copy-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(prepared, folder)
        return new_instance(folder, **{"SPARKOPS_DEMO": "off", **options})

    return copy


@pytest.fixture(scope="session")
def running(new_instance: Callable[..., Instance]) -> Instance:
    """One instance the tests share, started from an empty folder."""
    return new_instance().start()
