"""The only floor that speaks to the Kubernetes API.

One Protocol, one deadline per call, library errors translated once.
"""

from carrel.cluster.connect import connect
from carrel.cluster.protocol import (
    Answer,
    Change,
    ChangeType,
    Cluster,
    Deadline,
    service_path,
)
from carrel.cluster.refs import JSON, KindRef, Ref, kind_of, ref_of

__all__ = [
    "JSON",
    "Answer",
    "Change",
    "ChangeType",
    "Cluster",
    "Deadline",
    "KindRef",
    "Ref",
    "connect",
    "kind_of",
    "ref_of",
    "service_path",
]
