"""The researchers' library's half of the desk's answers, written from the platform's half."""

from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from carrel.kinds.desk import DeskAnswer, Explanation, Me, Refusal

_HEAD = '''"""What the desk of a workspace answers.

Generated from operator/carrel/kinds/desk.py by `carrel generate`; edit the models there.
"""

from dataclasses import dataclass
'''


def desk_wire() -> str:
    """Return the module `carrel.wire` of the researchers' library."""
    return _HEAD + "".join(_class(model) for model in (Refusal, Explanation, Me))


def _class(model: type[DeskAnswer]) -> str:
    lines = ["", "", "@dataclass(frozen=True)", f"class {model.__name__}:"]
    lines += [f'    """{model.__doc__}"""', ""]
    for name, field in model.model_fields.items():
        lines += [f"    {name}: {_type(field.annotation)}", f'    """{field.description}"""']
    return "\n".join(lines) + "\n"


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " | ".join(sorted({type(each).__name__ for each in get_args(annotation)}))
    if isinstance(annotation, UnionType):
        return " | ".join(_type(each) for each in get_args(annotation))
    return "None" if annotation is NoneType else str(annotation.__name__)
