"""What the gate says of a folder before anything is sent."""

import dataclasses
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from carrel.cli.dataset import app
from carrel.dicom import STRICT
from carrel.flows.demo_data import write_demo_data
from carrel.flows.folder_check import Checked, RefusedLocally, check
from carrel.flows.upload_folder import survey


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check") / "sample"
    write_demo_data(folder)
    return folder


def checked(folder: Path) -> Checked:
    return check(survey(folder), folder, policy=STRICT, workers=1, tell=lambda *_: None)


@pytest.mark.long
def test_cleaned_images_pass(sample: Path) -> None:
    done = checked(sample)
    assert (done.refused, done.findings, done.refusals) == (0, (), ())
    assert done.accepted == done.files == sum(1 for _ in sample.rglob("*.dcm"))


def test_every_bad_file_is_told_with_its_rule(sample: Path, tmp_path: Path) -> None:
    good = min(sample.rglob("*.dcm")).read_bytes()
    for name, data in {
        "a.dcm": good,
        "b.dcm": good,
        "c.dcm": good[:-100],
        "d.dcm": good.replace(b"YES ", b"NO  "),
        "e.txt": b"not an image",
        "f.dcm": b"",
    }.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "g.dcm").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "h.dcm")
    done = checked(tmp_path)
    assert {(Path(each.file).name, each.rule) for each in done.refusals} == {
        ("b.dcm", "content_is_duplicated"),
        ("c.dcm", "file_is_corrupt"),
        ("d.dcm", "identity_is_not_removed"),
        ("e.txt", "file_is_not_dicom"),
        ("f.dcm", "file_is_empty"),
        ("g.dcm", "file_is_a_symlink"),
        ("h.dcm", "file_is_not_regular"),
    }
    assert (done.files, done.accepted, done.refused) == (8, 1, 7)


def test_other_bytes_under_one_uid_refuse_all_that_bear_it(sample: Path, tmp_path: Path) -> None:
    good = min(sample.rglob("*.dcm")).read_bytes()
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(good[:-1] + name.encode())
    done = checked(tmp_path)
    assert done.refusals == tuple(
        RefusedLocally(str(tmp_path / name), "instance_is_duplicated", "(0008,0018)")
        for name in ("a", "b", "c")
    )
    assert done.accepted == 0


def test_a_name_of_a_file_warns_and_refuses_nothing(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "Doe^John.dcm").write_bytes(min(sample.rglob("*.dcm")).read_bytes())
    done = checked(tmp_path)
    assert (done.accepted, [each.rule for each in done.warnings]) == (1, ["name_looks_identifying"])
    assert "Doe" not in str(dataclasses.asdict(done))


def test_the_command_says_by_its_exit_code_whether_all_pass(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no image")
    runner = CliRunner()
    assert runner.invoke(app, ["check", str(sample), "--json"]).exit_code == 0
    assert runner.invoke(app, ["check", str(tmp_path), "--json"]).exit_code == 1
    assert runner.invoke(app, ["check", str(tmp_path / "absent")]).exit_code == 2


@pytest.mark.long
def test_cleaning_a_folder_leaves_files_that_pass(sample: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["clean", str(sample), str(tmp_path / "out")])
    assert result.exit_code == 0
    assert checked(tmp_path / "out").refused == 0


def test_a_dictionary_finds_what_it_was_made_of(tmp_path: Path) -> None:
    (tmp_path / "names").write_text("Muster^Hedwig\n")
    made = tmp_path / "made"
    runner = CliRunner()
    assert runner.invoke(app, ["dictionary", str(tmp_path / "names"), str(made)]).exit_code == 0
    assert made.stat().st_mode & 0o777 == 0o600
    assert runner.invoke(app, ["dictionary", str(tmp_path / "names"), str(made)]).exit_code == 2
