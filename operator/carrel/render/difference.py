"""Whether what is there is what was rendered, and the patch that makes it so."""

from collections.abc import Collection, Mapping
from typing import Any

_SERVER_FILLED = ("apiVersion", "kind")


def differs(desired: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """Tell whether `live` lacks or contradicts anything that `desired` says.

    What the server or others added beside it does not count, with one exception: a list
    or map that is rendered empty must be empty. Lists are compared in order and length.
    """
    return any(
        _contradicts(value, live.get(key))
        for key, value in desired.items()
        if key not in _SERVER_FILLED
    )


def _contradicts(desired: Any, live: Any) -> bool:
    if desired is None or desired in ({}, []):
        # The server drops empty fields of built-in kinds.
        return bool(live)
    if isinstance(desired, Mapping):
        return not isinstance(live, Mapping) or differs(desired, live)
    if isinstance(desired, list):
        if not isinstance(live, list) or len(live) != len(desired):
            return True
        return any(_contradicts(ours, theirs) for ours, theirs in zip(desired, live, strict=True))
    return bool(desired != live)


def merge_patch(
    desired: Mapping[str, Any], live: Mapping[str, Any], *, kept: Collection[str] = ()
) -> dict[str, Any]:
    """Return the merge patch (RFC 7386) that turns `live` into `desired`, empty if it is.

    Fields of the first level named in `kept` belong to others and are left as they are.
    """
    patch: dict[str, Any] = {}
    for key in {*desired, *live} - set(kept):
        if key not in desired:
            patch[key] = None
        elif isinstance(desired[key], Mapping) and isinstance(live.get(key), Mapping):
            if inner := merge_patch(desired[key], live[key]):
                patch[key] = inner
        elif key not in live or desired[key] != live[key]:
            patch[key] = desired[key]
    return patch
