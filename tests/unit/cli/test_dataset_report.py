"""`carrel dataset report` from a folder to a page."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from carrel.cli.dataset import app
from carrel.flows.demo_data import write_demo_data

RUN = CliRunner()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("report") / "sample"
    write_demo_data(made)
    (made / "note.txt").write_text("no image")
    (made / "link.dcm").symlink_to("/etc/passwd")
    return made


@pytest.mark.long
def test_a_report_says_what_is_there_as_json_and_as_a_page(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = RUN.invoke(app, ["report", str(folder), "--json", "--html", str(page)])
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["refused"] == [["file_is_a_symlink", 1], ["file_is_not_dicom", 1]]
    assert (told["quality"]["instances"], told["quality"]["series"]) == (36, 17)
    rules = {each["rule"] for each in told["quality"]["totals"]}
    assert {"attribute_is_missing", "slice_is_missing"} <= rules
    assert not {"frame_does_not_decode", "frame_was_not_decoded", "pixels_are_truncated"} & rules
    assert told["bias"]["smallestGroup"] == 10
    assert "36 images in 17 series" in page.read_text()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = RUN.invoke(app, ["report", str(tmp_path / "none")])
    assert done.exit_code == 2
    assert "No such file" in done.stderr


def test_no_group_smaller_than_five_can_be_asked_for(folder: Path) -> None:
    done = RUN.invoke(app, ["report", str(folder), "--smallest-group", "4"])
    assert done.exit_code == 2
