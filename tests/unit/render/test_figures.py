"""The page of figures: nothing that was missed is hidden."""

from pathlib import Path

import pytest

from carrel.render.figures import NOT_MEASURED, REPEAT, TARGETS, figures_page

ROOT = Path(__file__).resolve().parents[3]


def _page(rate: float) -> str:
    return figures_page({"operator_throughput": {"operator": {"grantsPerSecond": rate}}})


@pytest.mark.parametrize(
    ("rate", "end"),
    [(40, "| 40 | met |"), (39.9, "| 39.9 | **missed** |")],
)
def test_a_figure_is_held_against_its_target(rate: float, end: str) -> None:
    what = "| grants rendered and applied per second | at least 40 "
    assert what + end in _page(rate)


def test_a_figure_of_fewer_objects_does_not_pass_for_the_whole() -> None:
    page = figures_page(
        {"operator_throughput": {"operator": {"grants": 300, "resync": {"writes": 0}}}}
    )
    assert "at most 0 with 2,000 objects | 0 | met, but with 300 objects of 2,000 |" in page


def test_what_was_not_measured_says_so() -> None:
    assert figures_page({}).count(NOT_MEASURED) == len(TARGETS)
    assert _page(40).count(NOT_MEASURED) == len(TARGETS) - 1


def test_a_result_of_another_shape_is_no_figure_and_no_fault() -> None:
    odd = {"start_latency": {"steps": [1, 2], "machine": "a laptop"}}
    assert figures_page(odd).count(NOT_MEASURED) == len(TARGETS)
    assert "not described" in figures_page(odd)


def test_a_machine_is_described_and_every_result_is_listed() -> None:
    page = figures_page({"other": {"machine": {"cores": 2, "load": [0.123456, 1]}}})
    row = "| [other](../../tests/bench/results/other.json) | cores 2; load 0.123, 1 | said in"
    assert row in page


@pytest.mark.parametrize("name", sorted(REPEAT))
def test_what_is_to_be_repeated_is_there(name: str) -> None:
    script = REPEAT[name].split()[1]
    assert (ROOT / script).is_file()
