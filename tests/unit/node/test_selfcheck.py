"""Reading the one file of a home that is read: whatever it holds, only numbers come out."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from carrel.kinds.node_report import Figure
from carrel.node.selfcheck import Outcome, ResultError, read_result

RESULT = {
    "version": 1,
    "outcome": "Passed",
    "series": 3,
    "slices": 20,
    "rows": 512,
    "columns": 512,
    "writeRefused": "Refused",
    "connectRefused": "Allowed",
    "milliseconds": 900,
    "reason": "",
}


def _folder(home: Path) -> Path:
    folder = home / ".carrel" / "selfcheck"
    folder.mkdir(parents=True)
    return folder


def _write(home: Path, value: object) -> None:
    (_folder(home) / "result.json").write_text(json.dumps(value))


def test_a_result_gives_its_figures(tmp_path: Path) -> None:
    _write(tmp_path, RESULT)
    found = read_result(tmp_path)
    assert found is not None
    assert found.result.outcome is Outcome.PASSED
    assert found.result.figures() == (
        Figure(name="series", value=3),
        Figure(name="slices", value=20),
        Figure(name="rows", value=510),
        Figure(name="columns", value=510),
        Figure(name="writeRefused", value=1),
        Figure(name="connectRefused", value=0),
        Figure(name="milliseconds", value=900),
    )


def test_no_file_is_no_result(tmp_path: Path) -> None:
    assert read_result(tmp_path) is None
    assert read_result(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    "change",
    [
        {"slices": "20"},
        {"slices": -1},
        {"slices": 2**40},
        {"slices": 1.5},
        {"outcome": "Perfect"},
        {"writeRefused": "patient Smith"},
        {"note": "more"},
        {"version": 2},
        {"reason": "x" * 201},
    ],
)
def test_what_the_check_does_not_write_is_refused(
    tmp_path: Path, change: dict[str, object]
) -> None:
    _write(tmp_path, RESULT | change)
    with pytest.raises(ResultError, match="result_is_malformed"):
        read_result(tmp_path)


def _link(folder: Path) -> None:
    (folder / "result.json").symlink_to("/etc/shadow")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "result.json")


def _directory(folder: Path) -> None:
    (folder / "result.json").mkdir()


def _large(folder: Path) -> None:
    (folder / "result.json").write_text(json.dumps(RESULT) + " " * 5000)


@pytest.mark.parametrize("trap", [_link, _pipe, _directory, _large])
def test_what_is_no_plain_small_file_is_not_read(
    tmp_path: Path, trap: Callable[[Path], None]
) -> None:
    trap(_folder(tmp_path))
    with pytest.raises(ResultError, match="result_is_no_plain_file"):
        read_result(tmp_path)


@pytest.mark.parametrize("component", [".carrel", ".carrel/selfcheck"])
def test_no_folder_on_the_way_may_be_a_link(tmp_path: Path, component: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    _write(elsewhere, RESULT)
    home = tmp_path / "home"
    (home / component).parent.mkdir(parents=True)
    (home / component).symlink_to(elsewhere / component)
    with pytest.raises(ResultError, match="result_is_no_plain_file"):
        read_result(home)


@pytest.mark.parametrize("text", ["", "[" * 3000, "nonsense", "null", '"Passed"', "\x00"])
def test_bytes_that_are_no_object_are_refused(tmp_path: Path, text: str) -> None:
    (_folder(tmp_path) / "result.json").write_text(text)
    with pytest.raises(ResultError, match="result_is_malformed"):
        read_result(tmp_path)
