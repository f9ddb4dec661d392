"""What a browser may ask a workspace for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.rules.front_door import CHECKS, ROUTES, Admitted, Refused, admit

KERNEL = "/api/kernels/0a1b2c3d-0000-4000-8000-000000000000"

ADMITTED = {
    ("GET", "/lab"): ("/lab", "/lab"),
    ("GET", "/lab/tree/a/My%20scan.ipynb"): ("/lab/tree/{rest}", "/lab/tree/a/My%20scan.ipynb"),
    ("GET", "/static/lab/main.js?v=abc"): ("/static/{rest}", "/static/lab/main.js?v=abc"),
    ("GET", "/api/kernels?1763786400000"): ("/api/kernels", "/api/kernels?1763786400000"),
    ("POST", f"{KERNEL}/interrupt"): ("/api/kernels/{id}/interrupt", f"{KERNEL}/interrupt"),
    ("PUT", "/api/contents/a.ipynb"): ("/api/contents/{rest}", "/api/contents/a.ipynb"),
    ("GET", "/api/contents/a.csv?content=0"): (
        "/api/contents/{rest}",
        "/api/contents/a.csv?content=0",
    ),
    ("GET", "/api/contents/a.png"): (
        "/api/contents/{rest}",
        "/api/contents/a.png?type=directory&format=text",
    ),
    ("GET", "/api/contents?content=1&1763786400000"): (
        "/api/contents",
        "/api/contents?content=1&1763786400000&type=directory&format=text",
    ),
    ("GET", "/api/contents/a.csv?type=file"): (
        "/api/contents/{rest}",
        "/api/contents/a.csv?type=file&format=text",
    ),
    ("GET", "/api/contents/a.csv?type=file&format=json"): (
        "/api/contents/{rest}",
        "/api/contents/a.csv?type=file&format=text",
    ),
    ("GET", "/api/contents/a.ipynb?type=notebook"): (
        "/api/contents/{rest}",
        "/api/contents/a.ipynb?type=notebook&format=text",
    ),
    ("POST", "/api/contents/a.ipynb/checkpoints"): (
        "/api/contents/{rest}/checkpoints",
        "/api/contents/a.ipynb/checkpoints",
    ),
}


@pytest.mark.parametrize("asked", ADMITTED, ids=" ".join)
def test_a_notebook_session_gets_what_it_needs(asked: tuple[str, str]):
    """The template goes into records, the target to the workspace."""
    template, sent = ADMITTED[asked]
    answer = admit(*asked)
    assert isinstance(answer, Admitted)
    assert (answer.route.template, answer.target.text) == (template, sent)


REFUSED = {
    ("GET", "/files/a.csv"): "path_is_not_listed",
    ("GET", "/view/a.html"): "path_is_not_listed",
    ("GET", "/nbconvert/html/a.ipynb?download=true"): "path_is_not_listed",
    ("GET", "/api/nbconvert"): "path_is_not_listed",
    ("POST", "/api/terminals"): "path_is_not_listed",
    ("GET", "/terminals/websocket/1"): "path_is_not_listed",
    ("POST", "/api/shutdown"): "path_is_not_listed",
    ("GET", "/metrics"): "path_is_not_listed",
    ("GET", "/lab/api/extensions"): "path_is_not_listed",
    ("GET", "/lab/api/news"): "path_is_not_listed",
    ("GET", "/lab/"): "path_is_not_listed",
    ("GET", "/static"): "path_is_not_listed",
    ("GET", "/LAB"): "path_is_not_listed",
    ("GET", "/api/kernels/not-an-id/channels"): "path_is_not_listed",
    ("GET", "/api/contents/..%2f..%2fetc"): "escape_is_dangerous",
    ("GET", "/static/../files/a.csv"): "path_climbs",
    ("GET", "/%66iles/a.csv"): "escape_hides_a_letter",
    ("GET", "/api/contents/a?type=file&type=directory"): "parameter_is_doubled",
    ("GET", "/api/contents/a.png?type=file&format=base64"): "contents_are_bytes",
    ("PUT", "/api/contents/a.png?format=base64"): "contents_are_bytes",
    ("GET", "/api/contents/a?type=other"): "contents_question_is_unknown",
    ("GET", "/api/contents/a?content=2"): "contents_question_is_unknown",
    ("GET", "/api/contents/a?format=raw"): "contents_question_is_unknown",
    ("GET", "/api/contents/a?download=1"): "parameter_is_not_listed",
    ("GET", "/lab?token=x"): "parameter_is_not_listed",
    ("DELETE", "/lab"): "method_is_not_listed",
    ("get", "/lab"): "method_is_not_listed",
    ("PROPFIND", "/api/contents"): "method_is_not_listed",
    ("GET", f"{KERNEL}/channels"): "socket_is_not_asked_for",
}


@pytest.mark.parametrize("asked", REFUSED, ids=" ".join)
def test_everything_else_is_refused_by_name(asked: tuple[str, str]):
    """Downloads, exports, terminals, other spellings, other methods."""
    answer = admit(*asked)
    assert isinstance(answer, Refused)
    assert answer.rule == REFUSED[asked]
    assert answer.sentence


def test_a_kernel_is_spoken_to_through_a_websocket_only():
    """`Upgrade` names WebSocket, in whatever case."""
    answer = admit("GET", f"{KERNEL}/channels?session_id=1", upgrade="WebSocket")
    assert isinstance(answer, Admitted)
    for method, path, upgrade, rule in (
        ("GET", "/lab", "h2c", "upgrade_is_unknown"),
        ("GET", "/lab", "websocket", "upgrade_is_unknown"),
        ("GET", f"{KERNEL}/channels", "websocket, h2c", "upgrade_is_unknown"),
        ("POST", f"{KERNEL}/channels", "websocket", "method_is_not_listed"),
    ):
        refused = admit(method, path, upgrade=upgrade)
        assert isinstance(refused, Refused)
        assert refused.rule == rule


@given(st.sampled_from(["GET", "HEAD", "POST", "PUT"]), st.text(max_size=40))
def test_no_path_is_admitted_that_no_template_lists(method: str, rest: str):
    """Whatever is written behind a download path, nothing of it is served."""
    for place in ("/files/", "/view/", "/nbconvert/", "/api/terminals/"):
        assert isinstance(admit(method, place + rest), Refused)


@given(
    st.sampled_from(["", "file", "notebook", "directory"]), st.sampled_from(["", "text", "json"])
)
def test_what_is_read_of_a_file_is_always_named(kind: str, form: str):
    """No question reaches the server in which it would choose bytes by itself."""
    query = "&".join(
        f"{name}={value}" for name, value in (("type", kind), ("format", form)) if value
    )
    answer = admit("GET", "/api/contents/a" + (f"?{query}" if query else ""))
    assert isinstance(answer, Admitted)
    sent = dict(answer.target.query)
    assert (sent["type"], sent["format"]) in {
        ("file", "text"),
        ("notebook", "text"),
        ("directory", "text"),
    }


def test_every_template_is_listed_once_and_every_check_has_a_name():
    """Two routes of one template would make the order decide."""
    assert len({route.template for route in ROUTES}) == len(ROUTES)
    assert len({check.__name__ for check in CHECKS}) == len(CHECKS)
