"""An embedded instance on which tests install and remove the platform."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from carrel.cli.release import NAMESPACE_NAME, Images, install, uninstall
from carrel.embedded import Instance, Person, kubectl

PEOPLE = {
    "researcher": (Person.RESEARCHER, Person.RESEARCHER_2),
    "grantAdmin": (Person.GRANT_ADMIN,),
    "approver": (Person.APPROVER, Person.APPROVER_2),
    "dataManager": (Person.DATA_MANAGER,),
    "auditor": (Person.AUDITOR,),
}
VALUES: Mapping[str, Any] = {
    "roleBindings": {
        role: {"users": [f"oidc:{person.subject}" for person in people]}
        for role, people in PEOPLE.items()
    },
    # Short, because one test waits for it in vain.
    "retirement": {"deadlineSeconds": 10},
}


@dataclass(frozen=True, kw_only=True)
class Site:
    """An instance and the images that it holds."""

    instance: Instance
    images: Images

    @property
    def helm(self) -> Path:
        """The instance's own Helm."""
        return self.instance.programs / "helm"

    def install(self, **values: Any) -> None:
        """Install or upgrade with the tests' values and, over them, others."""
        install(
            self.instance.kubeconfig(),
            images=self.images,
            values={**VALUES, **values},
            helm=self.helm,
            timeout=timedelta(minutes=4),
        )

    def uninstall(self) -> None:
        """Retire and remove the platform."""
        uninstall(self.instance.kubeconfig(), helm=self.helm, timeout=timedelta(minutes=3))

    def kubectl(self, *arguments: str, text: str = "", person: Person = Person.ADMIN) -> str:
        """Run kubectl as a person."""
        return kubectl(self.instance, *arguments, text=text, person=person)

    def names(self, kind: str) -> list[str]:
        """Return the names of all objects of a kind in the platform's namespace."""
        found = self.kubectl("get", kind, "-n", NAMESPACE_NAME, "-o", "json")
        return sorted(each["metadata"]["name"] for each in json.loads(found)["items"])
