"""Where the cache is, what stays in it and how long a build is said to take."""

import os
from pathlib import Path

import pytest

from carrel.embedded.images import ImageError, ImageName, Places, find_source
from carrel.embedded.images.progress import Pace
from carrel.embedded.images.recipes import RECIPES
from carrel.embedded.images.retention import KEPT, KEPT_SECONDS, Retention


@pytest.mark.parametrize(
    ("environment", "cache"),
    [
        ({"CARREL_CACHE": "/big/carrel", "XDG_CACHE_HOME": "/x"}, "/big/carrel/images"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/carrel/images"),
        ({"XDG_CACHE_HOME": "", "CARREL_CACHE": ""}, f"{Path.home()}/.cache/carrel/images"),
    ],
)
def test_the_cache_is_where_the_environment_says(environment: dict[str, str], cache: str):
    assert Places.of_environment(environment, source=Path("/src")).cache == Path(cache)


def test_two_caches_do_not_share_their_mount_state():
    here, there = (Places(source=Path("/s"), cache=Path(cache)) for cache in ("/a", "/b"))
    assert here.run != there.run


def test_the_checkout_is_found_from_any_folder_in_it(tmp_path: Path):
    mark = tmp_path / "images/base/Containerfile"
    inside = tmp_path / "docs/reference"
    mark.parent.mkdir(parents=True)
    inside.mkdir(parents=True)
    mark.touch()
    assert find_source(inside) == tmp_path


def test_time_left_is_of_this_machine_once_it_is_known(tmp_path: Path):
    pace = Pace(tmp_path / "cache" / "pace.json")
    both = [ImageName.PLATFORM, ImageName.NODE]
    expected = sum(RECIPES[name].expected_seconds for name in both)
    assert pace.left(both, spent=0) == expected
    pace.remember(ImageName.PLATFORM, 8)
    pace.remember(ImageName.NODE, 5)
    assert pace.left(both, spent=2) == 11
    assert pace.left(both, spent=60) == 6
    assert pace.left([], spent=2) == 0


@pytest.mark.parametrize("content", ["", "{", '{"gone": 3}'])
def test_a_damaged_memory_of_times_is_no_error(tmp_path: Path, content: str):
    file = tmp_path / "pace.json"
    file.write_text(content)
    assert Pace(file).seconds(ImageName.BASE) == RECIPES[ImageName.BASE].expected_seconds


def aged(cache: Path, ages: dict[str, float]) -> Retention:
    retention = Retention(cache)
    for content, age in ages.items():
        retention.used(ImageName.NODE, content)
        mark = cache / "used" / f"node-{content}"
        then = mark.stat().st_mtime - age
        os.utime(mark, (then, then))
    return retention


def test_layers_go_when_they_are_neither_new_nor_used_lately(tmp_path: Path):
    ages = {"lately": 0.5 * KEPT_SECONDS, "long-ago": 2 * KEPT_SECONDS}
    retention = aged(tmp_path, {f"new-{n}": n for n in range(KEPT)} | ages)
    assert retention.newest(ImageName.NODE)[KEPT:] == ["lately", "long-ago"]
    assert retention.out_of_use(ImageName.NODE) == ["long-ago"]


def test_layers_stay_while_they_are_among_the_last_used(tmp_path: Path):
    retention = aged(tmp_path, {f"{n}": (n + 2) * KEPT_SECONDS for n in range(KEPT)})
    assert retention.out_of_use(ImageName.NODE) == []


def test_a_use_makes_old_layers_new_again(tmp_path: Path):
    retention = aged(tmp_path, {f"{n}": (n + 2) * KEPT_SECONDS for n in range(KEPT + 1)})
    retention.used(ImageName.NODE, f"{KEPT}")
    assert retention.newest(ImageName.NODE)[0] == f"{KEPT}"
    assert retention.out_of_use(ImageName.NODE) == [f"{KEPT - 1}"]


def test_an_error_says_rule_finding_and_next_step():
    error = ImageError("A is needed", found="no A", next_step="Get A")
    assert str(error) == "A is needed: no A. Get A"
