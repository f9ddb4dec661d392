"""What every reconcile is given."""

from dataclasses import dataclass

from carrel.cluster import JSON, Cluster
from carrel.flows.clock import Clock
from carrel.flows.store import Source, Store
from carrel.ledger import Ledger
from carrel.render.site import Site
from carrel.rules import SiteFacts

MANAGER = "carrel-operator"
"""Field manager of everything that the operator applies, and its name in records."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What every reconcile is given: where to read, where to write, and what time it is."""

    cluster: Cluster
    """Where to write."""
    store: Store
    """Where to read."""
    ledger: Ledger
    """Where to record."""
    clock: Clock
    """What time it is."""
    facts: SiteFacts
    """What decisions know of the site."""
    site: Site
    """What bundles know of the site."""

    def learn(self, answer: JSON) -> None:
        """Remember what the server answered to a write of ours."""
        self.store.put(answer, source=Source.OURSELVES)
