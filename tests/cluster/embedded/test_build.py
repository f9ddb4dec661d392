"""Compiling a part, with the smallest of them: done once, remembered, and never half done."""

import dataclasses
from pathlib import Path

import pytest

from carrel.embedded import EmbeddedError, build, parts

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CARREL_CACHE", str(tmp_path))
    return tmp_path


def built(part: parts.Part = parts.PAUSE) -> list[bool]:
    """Compile and return, for each line of progress, whether it was an end."""
    steps: list[bool] = []
    build.build([part], report=lambda step: steps.append(step.took is not None))
    return steps


def test_a_part_is_compiled_once() -> None:
    assert built() == [False, True]
    assert build.program(parts.PAUSE, "pause").read_bytes().startswith(b"\x7fELF")
    assert built() == []


def test_a_program_that_is_not_compiled_is_refused_with_the_command() -> None:
    with pytest.raises(EmbeddedError, match="run `carrel cluster build`"):
        build.program(parts.PAUSE, "pause")


def test_a_build_that_was_stopped_is_begun_again() -> None:
    target = build.folder(parts.PAUSE)
    halfway = target.with_name(f"{target.name}.part")
    halfway.mkdir(parents=True)
    (halfway / "pause").write_text("half", encoding="ascii")
    assert built() == [False, True]
    assert not halfway.exists()
    assert build.program(parts.PAUSE, "pause").stat().st_size > 1000


def test_a_failed_compile_is_one_sentence_with_its_log(cache: Path) -> None:
    broken = dataclasses.replace(
        parts.PAUSE, programs=(parts.Program(name="pause", package="absent.c"),)
    )
    with pytest.raises(EmbeddedError, match="Compiling pause failed") as refusal:
        built(broken)
    assert str(cache / "build-pause.log") in str(refusal.value)
    assert "absent.c" in (cache / "build-pause.log").read_text(encoding="utf-8")
    assert build.missing([broken]) == (broken,)


def test_the_next_estimate_is_what_it_took() -> None:
    patient = dataclasses.replace(parts.PAUSE, estimate=500)
    assert build.expected_seconds(patient) == 500
    built(patient)
    assert build.expected_seconds(patient) < 500
