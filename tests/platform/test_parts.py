"""The pieces of the supervisor that need no process."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from controlplane.supervisor import config, folders, logs, secrets_file, stamps
from controlplane.supervisor.children import pause_before
from controlplane.supervisor.config import StartError
from controlplane.supervisor.ports import stable
from controlplane.supervisor.postgres import Postgres, find_binaries
from controlplane.supervisor.spawn import Identity
from tests.support import assets, chromium, locks
from tests.support.servers import TestPostgres


def test_vendored_files_are_those_of_the_checksum_list() -> None:
    assert assets.faults() == []


def test_locks_hold_what_is_pinned() -> None:
    assert locks.misfits() == []


def test_no_lock_names_a_package_index() -> None:
    for lock in config.ROOT.glob("*.lock"):
        assert "://" not in lock.read_text()


def test_pauses_grow_to_half_a_minute() -> None:
    assert [pause_before(failures) for failures in range(1, 9)] == [0, 1, 2, 4, 8, 16, 30, 30]


def test_a_start_without_variables_is_embedded_on_port_8000() -> None:
    read = config.read({})
    assert (read.address, read.database_url, read.redis_url) == (
        "http://127.0.0.1:8000",
        None,
        None,
    )
    assert read.demo
    assert read.workers == 1


def test_listening_on_all_addresses_is_reached_by_loopback() -> None:
    assert config.read({"HOST": "0.0.0.0"}).address == "http://127.0.0.1:8000"  # noqa: S104
    assert config.read({"HOST": "::1"}).address == "http://[::1]:8000"


def test_secrets_are_made_once(tmp_path: Path) -> None:
    assert secrets_file.load(tmp_path) == secrets_file.load(tmp_path)
    assert stat.S_IMODE((tmp_path / secrets_file.NAME).stat().st_mode) == 0o600


def test_damaged_secrets_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / secrets_file.NAME).write_text("{}")
    with pytest.raises(StartError, match="backup"):
        secrets_file.load(tmp_path)


def test_a_port_stays_the_same_from_start_to_start(tmp_path: Path) -> None:
    with stable(tmp_path, "demo") as first:
        port = first.getsockname()[1]
    with stable(tmp_path, "demo") as second:
        assert second.getsockname()[1] == port


def test_a_stable_port_that_is_taken_is_replaced(tmp_path: Path) -> None:
    with stable(tmp_path, "demo") as first:
        first.listen()
        with stable(tmp_path, "demo") as second:
            assert second.getsockname()[1] != first.getsockname()[1]


def test_a_deep_data_folder_still_has_a_short_socket_folder(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120) / ("y" * 120)
    assert len(str(folders.socket_dir(deep))) < 80
    folders.socket_dir(deep).rmdir()


def test_a_socket_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders.os, "geteuid", lambda: 987654)
    monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path))
    with pytest.raises(StartError, match="belongs to somebody else"):
        folders.socket_dir(tmp_path / "data")


def test_a_large_log_is_moved_aside(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with log.open("wb") as file:
        file.truncate(logs.LARGEST_BYTES + 1)
    logs.trim(tmp_path)
    assert log.stat().st_size == 0
    assert (tmp_path / "web.log.1").stat().st_size > logs.LARGEST_BYTES


def test_the_last_words_of_a_command_are_its_sentence(tmp_path: Path) -> None:
    log = tmp_path / "prepare.log"
    log.write_text("Applying…\nCommandError: The database cannot be reached.\n\n")
    assert logs.last_words(log) == "The database cannot be reached."


def test_data_of_another_postgres_version_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("9\n")
    with pytest.raises(StartError, match="made by PostgreSQL 9"):
        find_binaries(tmp_path)


def test_the_state_of_the_code_changes_with_the_demo_address() -> None:
    assert stamps.state("a")["code"] != stamps.state("b")["code"]
    assert stamps.state("a")["static"] == stamps.state("b")["static"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_without_user_namespaces_runs_postgres_as_nobody() -> None:
    nobody = Identity(uid=65534, gid=65534)
    with tempfile.TemporaryDirectory(prefix="sparkops-") as name:
        folder = Path(name)
        data_dir = folder / "data"
        sockets = folder / "sockets"
        sockets.mkdir()
        data_dir.mkdir(mode=0o700)
        folder.chmod(0o755)
        postgres = TestPostgres(data_dir)
        postgres.server = Postgres(data_dir / "pg", sockets, data_dir / "log", identity=nobody)
        postgres.start()
        try:
            assert postgres.server.data == data_dir / "pg" / "data"
            assert postgres.server.data.stat().st_uid == nobody.uid
            assert Path(f"/proc/{postgres.pid}").stat().st_uid == nobody.uid
        finally:
            postgres.stop()


def test_a_chromium_that_is_named_but_missing_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")
    with pytest.raises(chromium.NoChromiumError, match="cannot be run"):
        chromium.find()


def test_a_chromium_playwright_downloaded_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "chromium-1200" / "chrome-linux64" / "chrome"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    assert chromium.find() == str(program)
