"""What holds of every name, whatever text it is made of."""

import re

from hypothesis import given
from hypothesis import strategies as st

from carrel.rules import canonical_json, node_report_name, workspace_name
from carrel.rules.view_path import view_component

ANY_TEXT = st.text(alphabet=st.characters(), max_size=300)
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
OBJECT_NAME = st.from_regex(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?", fullmatch=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(grant=ANY_TEXT, uid=ANY_TEXT, subject=ANY_TEXT)
def test_a_workspace_has_a_valid_label_of_known_length(grant: str, uid: str, subject: str) -> None:
    name = workspace_name(grant_name=grant, grant_uid=uid, subject=subject)
    assert LABEL.fullmatch(name)
    assert len(name) <= 36


@given(node=OBJECT_NAME, other=OBJECT_NAME)
def test_two_nodes_never_share_a_report(node: str, other: str) -> None:
    names = {node_report_name(node=each, workspace="ws-a-0") for each in (node, other)}
    assert len(names) == len({node, other})


@given(one=ANY_TEXT, other=ANY_TEXT)
def test_two_identifiers_never_share_a_path(one: str, other: str) -> None:
    assert (view_component(one) == view_component(other)) == (one == other)


@given(identifier=ANY_TEXT)
def test_a_path_component_is_safe(identifier: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_%][A-Za-z0-9._%~-]{0,199}", view_component(identifier))


@given(value=JSON)
def test_canonical_json_reads_back_and_is_its_own_canonical_form(value: object) -> None:
    import json  # noqa: PLC0415 - the independent reader

    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text
