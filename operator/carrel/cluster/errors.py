"""What can go wrong between Carrel and the API server, in Carrel's words."""

from typing import Any


class ClusterError(Exception):
    """A call to the API server failed; the message names the call and the server's reason."""

    def __init__(self, message: str, *, call: str, status: int | None = None) -> None:
        super().__init__(f"{call}: {message}")
        self.call = call
        """Verb, kind, namespace and name of the call."""
        self.status = status
        """HTTP status, None where the server never answered."""


class NotFound(ClusterError):  # noqa: N818 - named as Kubernetes names the reason
    """The object, its namespace or its kind does not exist."""


class Conflict(ClusterError):  # noqa: N818 - as NotFound
    """Somebody else wrote first, the name is taken, or a precondition did not hold."""


class AlreadyExists(Conflict):
    """The name is taken.

    Not every conflict of a creation is this one: the admission of a quota, which counts by
    writing into the quota, answers a pod with a Conflict when somebody else wrote there first.
    """


class Forbidden(ClusterError):  # noqa: N818 - as NotFound
    """We may not do this: missing rights, a quota, or an admission policy."""


class Invalid(ClusterError):  # noqa: N818 - as NotFound
    """The server refuses the object itself; sending it again cannot help."""


class Gone(ClusterError):  # noqa: N818 - as NotFound
    """The version asked for is no longer held: list again."""


class Unavailable(ClusterError):  # noqa: N818 - as NotFound
    """The server cannot answer now; the same call may succeed later."""


class Timeout(Unavailable):
    """No answer before the deadline; the call may or may not have had its effect."""


_BY_STATUS: dict[int, type[ClusterError]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    405: NotFound,
    409: Conflict,
    410: Gone,
    412: Conflict,
    413: Invalid,
    415: Invalid,
    422: Invalid,
}


def from_status(status: int, body: Any, *, call: str) -> ClusterError:
    """Translate an HTTP answer above 399; `body` is the parsed `Status` object or text."""
    message = body.get("message") if isinstance(body, dict) else str(body)[:400]
    reason = body.get("reason") if isinstance(body, dict) else None
    kind = _BY_STATUS.get(status, Unavailable if status >= 429 else ClusterError)
    if kind is Conflict and reason == "AlreadyExists":
        kind = AlreadyExists
    return kind(message or f"HTTP {status}", call=call, status=status)
