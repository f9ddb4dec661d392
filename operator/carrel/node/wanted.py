"""What views and homes read of a Workspace."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from carrel.kinds.resource import Digest, Label
from carrel.kinds.workspace import Admission, Home, SelfCheck, ViewedDataset
from carrel.node.watched import Identity, MalformedError


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The part of a Workspace that says what a node must hold for it."""

    about: Identity
    grant: str
    grant_uid: str
    admission: Admission
    datasets: tuple[ViewedDataset, ...]
    view_digest: Digest
    home: Home
    self_check: SelfCheck

    @property
    def home_name(self) -> Label:
        """Name of the home."""
        return self.home.name

    def home_is_due(self, now: datetime) -> bool:
        """Tell whether the time has come to delete the home."""
        return self.home.deleted_after is not None and now >= self.home.deleted_after


def read_wanted(raw: Mapping[str, Any]) -> Wanted:
    """Read a Workspace. Raises MalformedError with the first thing that is wrong."""
    try:
        spec, metadata = raw["spec"], raw["metadata"]
        return Wanted(
            about=Identity(metadata["namespace"], metadata["name"], metadata["uid"]),
            grant=spec["grant"]["name"],
            grant_uid=spec["grant"]["uid"],
            admission=Admission(spec["admission"]),
            datasets=tuple(ViewedDataset.model_validate(each) for each in spec["datasets"]),
            view_digest=spec["viewDigest"],
            home=Home.model_validate(spec["home"]),
            self_check=SelfCheck(spec.get("selfCheck", SelfCheck.NONE)),
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedError(f"{where}: {first['msg']}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedError(f"{type(error).__name__}: {error}") from error
