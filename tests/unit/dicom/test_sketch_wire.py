"""A sketch comes out of a worker process as it went in."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from carrel.dicom.sketch import Sketch
from carrel.dicom.sketch_wire import sketch_from_wire, sketch_to_wire


@settings(deadline=None)
@given(st.from_type(Sketch))
def test_what_is_written_is_read(sketch: Sketch) -> None:
    wire = json.loads(json.dumps(sketch_to_wire(sketch)))
    # As text: two numbers that are none are not equal.
    assert repr(sketch_from_wire({**wire, "field_of_a_later_version": 1})) == repr(sketch)
