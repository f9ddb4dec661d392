"""Questions to the desk of this workspace, which listens on its loopback address."""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from .show import ExplanationView, MeView, RefusalsView
from .wire import Explanation, Me, Refusal

ADDRESS = "http://127.0.0.1:3142"
_PATIENCE = 10.0
_LARGEST = 4 * 2**20


class DeskAwayError(Exception):
    """Nobody answers at the desk."""


class DeskRefusedError(Exception):
    """The desk does not answer this question; the message says why."""


def why(last: int = 20) -> RefusalsView:
    """Return what was refused lately, newest last.

    Parameters
    ----------
    last
        How many at most.

    Raises
    ------
    DeskAwayError
        When nobody answers at the desk.
    """
    told = _ask("/v1/why")
    refusals = [_made(Refusal, each) for each in told["refusals"]]
    shown = tuple(refusals[-last:]) if last > 0 else ()
    return RefusalsView(shown, lost=int(told["lost"]), total=int(told["total"]))


def explain(target: str) -> ExplanationView:
    """Return whether this workspace could reach `target`, and why.

    Parameters
    ----------
    target
        A package (`pypi:numpy`), a name (`example.org`) or an address (`8.8.8.8:443`).

    Raises
    ------
    DeskRefusedError
        When `target` is none of these.
    """
    told = _ask("/v1/explain?" + urllib.parse.urlencode({"to": target}))
    return ExplanationView(_made(Explanation, told))


def me() -> MeView:
    """Return the grant, the person and the policy of this workspace."""
    return MeView(_made(Me, _ask("/v1/me")))


def _ask(path: str) -> dict[str, Any]:
    address = os.environ.get("CARREL_DESK", ADDRESS)
    # A proxy that somebody set must not stand between a workspace and its own desk.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address + path, timeout=_PATIENCE) as answer:
            return _object(answer.read(_LARGEST))
    except urllib.error.HTTPError as error:
        with error:
            told = _object(error.read(_LARGEST))
        raise DeskRefusedError(f"{told.get('sentence')} ({told.get('rule')})") from None
    except OSError as error:
        raise DeskAwayError(
            f"Nobody answers at the desk of this workspace ({address}: {error}). Your code and "
            "data are not affected. Try again in a minute; if it stays so, tell the "
            "administrator of the platform. Outside of a Carrel workspace there is no desk."
        ) from None


def _object(data: bytes) -> dict[str, Any]:
    try:
        told = json.loads(data)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise DeskRefusedError("The desk answered something that is not understood.")
    return told


def _made(model: Any, told: dict[str, Any]) -> Any:
    # What a newer desk adds is left out; what is missing is told.
    names = model.__dataclass_fields__
    try:
        return model(**{name: told[name] for name in names})
    except KeyError as error:
        raise DeskRefusedError(f"The desk did not say {error}; it is of another age.") from None
