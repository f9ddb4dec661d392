"""A request target has one reading, and is passed on in one spelling."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.rules.request_target import LONGEST_TARGET, Target, TargetError, read_target

REFUSED = {
    "": "target_is_not_a_path",
    "*": "target_is_not_a_path",
    "http://other/lab": "target_is_not_a_path",
    "/a" * LONGEST_TARGET: "target_is_too_long",
    "/a#b": "target_has_odd_characters",
    "/a b": "target_has_odd_characters",
    "/a\\b": "target_has_odd_characters",
    "/ä": "target_has_odd_characters",
    "/a\tb": "target_has_odd_characters",
    "//lab": "path_has_an_empty_part",
    "/api//contents": "path_has_an_empty_part",
    "/lab//": "path_has_an_empty_part",
    "/a/../files": "path_climbs",
    "/a/./files": "path_climbs",
    "/%2e%2e/files": "escape_hides_a_letter",
    "/.%2E/files": "escape_hides_a_letter",
    "/%66iles/a.csv": "escape_hides_a_letter",
    "/api/contents/..%2ffiles": "escape_is_dangerous",
    "/api/contents/..%5cfiles": "escape_is_dangerous",
    "/api/contents/%252e%252e": "escape_is_dangerous",
    "/api/contents/a%00b": "escape_is_dangerous",
    "/api/contents/a%0d%0aSet-Cookie:x": "escape_is_dangerous",
    "/api/contents/a%7fb": "escape_is_dangerous",
    "/api/contents/%": "escape_is_cut_off",
    "/api/contents/%4": "escape_is_cut_off",
    "/api/contents/%zz": "escape_is_cut_off",
    "/api/contents/%ff": "escape_is_no_text",
    "/api/contents/%c0%ae": "escape_is_no_text",
    "/" + "%20" * 256: "path_part_is_too_long",
    "/lab?": "query_is_empty",
    "/lab?=1": "parameter_has_no_name",
    "/lab?a=1&a=2": "parameter_is_doubled",
    "/lab?a&&b": "parameter_has_no_name",
    "/api/contents?type=file&t%79pe=directory": "escape_hides_a_letter",
    "/api/contents?type=file%00": "escape_is_dangerous",
}


@pytest.mark.parametrize(("raw", "rule"), REFUSED.items(), ids=[each[:40] for each in REFUSED])
def test_what_could_be_read_in_two_ways_is_refused(raw: str, rule: str):
    """Each refusal names its rule; none echoes the target."""
    with pytest.raises(TargetError) as refused:
        read_target(raw)
    assert refused.value.rule == rule


READ = {
    "/": ((), True, ()),
    "/lab": (("lab",), False, ()),
    "/lab/": (("lab",), True, ()),
    "/lab/tree/My%20scan%20%231.ipynb": (("lab", "tree", "My scan #1.ipynb"), False, ()),
    "/api/contents/%E2%98%83": (("api", "contents", "☃"), False, ()),
    "/api/contents/a+b": (("api", "contents", "a+b"), False, ()),
    "/api/kernels?1763786400000": (("api", "kernels"), False, (("1763786400000", ""),)),
    "/lab?a=b+c&d=e%2Ff": (("lab",), False, (("a", "b c"), ("d", "e/f"))),
}


@pytest.mark.parametrize(("raw", "read"), READ.items(), ids=READ.keys())
def test_an_ordinary_target_is_read(raw: str, read: tuple[tuple[str, ...], bool, object]):
    """What browsers send for a notebook is understood."""
    segments, slash, query = read
    target = read_target(raw)
    assert (target.segments, target.trailing_slash, target.query) == (segments, slash, query)


_NAME = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/\\%"), min_size=1
).filter(lambda name: name not in {".", ".."} and len(name.encode()) <= 255)


@given(st.lists(_NAME, max_size=4), st.dictionaries(_NAME, _NAME, max_size=3))
def test_what_is_passed_on_is_read_as_what_was_judged(names: list[str], query: dict[str, str]):
    """Reading and writing are each other's inverse: there is one spelling."""
    target = Target(segments=tuple(names), trailing_slash=not names, query=tuple(query.items()))
    if len(target.text) <= LONGEST_TARGET:
        assert read_target(target.text) == target
        assert read_target(target.text).text == target.text


@given(_NAME)
def test_a_name_as_a_browser_escapes_it_is_read(name: str):
    """A browser leaves other characters unescaped than we write; both are the same name."""
    raw = "/" + quote(name, safe="!~*'()")
    if len(raw) <= LONGEST_TARGET:
        assert read_target(raw).segments == (name,)


@given(st.text(max_size=64))
def test_no_text_makes_it_fail_otherwise(raw: str):
    """Whatever is sent is read or refused."""
    try:
        read_target("/" + raw)
    except TargetError as refused:
        assert refused.rule  # noqa: PT017 - either outcome is right, any other error is not
