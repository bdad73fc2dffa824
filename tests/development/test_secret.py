import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.development.defaults import kept_secret


def test_secret_is_drawn_once_and_kept(tmp_path: Path) -> None:
    file = tmp_path / ".dev" / "secret"
    drawn = kept_secret(file)
    assert len(drawn) == 43
    assert kept_secret(file) == drawn
    assert kept_secret(tmp_path / "other" / "secret") != drawn


def test_secret_is_for_its_owner_only_and_leaves_no_other_file(tmp_path: Path) -> None:
    kept_secret(tmp_path / "secret")
    [file] = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_processes_that_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        drawn = set(pool.map(lambda _: kept_secret(tmp_path / "secret"), range(64)))
    assert len(drawn) == 1
