"""Why the mirror does not give what it was asked for."""

from carrel.rules.egress_attempt import visible


class MirrorError(Exception):
    """A request cannot be answered; becomes an answer with status, rule and sentence."""

    def __init__(self, status: int, rule: str, sentence: str) -> None:
        super().__init__(f"{rule}: {sentence}")
        self.status = status
        self.rule = rule
        self.sentence = sentence


def not_listed(project: str) -> MirrorError:
    """Return the refusal of a package that no policy lists; nobody outside is asked for it."""
    return MirrorError(
        404,
        "mirror.not_listed",
        f"No EgressPolicy lists {visible(project)!r} here; nobody outside was asked for it.",
    )


def no_file(filename: str) -> MirrorError:
    """Return the refusal of a file that the package's page does not have."""
    return MirrorError(
        404,
        "mirror.no_such_file",
        f"The package's page has no file {visible(filename)!r}; nobody outside was asked for it.",
    )


def not_here_yet() -> MirrorError:
    """Return the answer while a page was never fetched."""
    return MirrorError(
        503,
        "mirror.page_not_here_yet",
        "The mirror fetches pages on its own schedule and does not have this one yet; try again "
        "in a minute. If it stays so, the index does not answer the mirror: see its log.",
    )


def unknown_upstream() -> MirrorError:
    """Return the answer where the index does not know the package."""
    return MirrorError(
        404,
        "mirror.unknown_to_the_index",
        "A policy lists this package, but the index does not have it; look for a typing error "
        "in the policy.",
    )


def full() -> MirrorError:
    """Return the answer where the cache has no room."""
    return MirrorError(
        507,
        "mirror.cache_is_full",
        "The mirror's volume has no room for a new file; files that are there are still served. "
        "Ask the platform's administrator for a larger one.",
    )


def upstream_failed(why: str) -> MirrorError:
    """Return the answer where the index did not give a file as its page says."""
    return MirrorError(
        502,
        "mirror.upstream_failed",
        f"The index did not give the file as its page says: {visible(why)}. Nothing of it was "
        "kept; try again later.",
    )
