"""How objects of any kind are named."""

from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

from typing_extensions import override

from carrel.kinds import KINDS
from carrel.kinds.resource import API_VERSION, Kind, Scope

JSON = dict[str, Any]
"""A Kubernetes object or patch as JSON."""

Objects = list[JSON]
"""Several of them; has a name because `Cluster.list` hides the builtin in its class."""


@dataclass(frozen=True)
class KindRef:
    """A kind and how its objects are addressed."""

    api_version: str
    """Group and version, such as `apps/v1`."""
    kind: str
    """Name of the kind."""
    plural: str
    """Name in URLs."""
    namespaced: bool
    """Whether objects live in namespaces."""

    @classmethod
    def of(cls, kind: type[Kind]) -> Self:
        """Return the reference of one of Carrel's own kinds."""
        resource = kind.resource
        return cls(
            api_version=API_VERSION,
            kind=resource.kind,
            plural=resource.plural,
            namespaced=resource.scope is Scope.NAMESPACED,
        )

    def path(self, *, namespace: str | None = None, name: str | None = None) -> str:
        """Return the URL path of the collection, or of one object in it."""
        root = "/api" if "/" not in self.api_version else "/apis"
        parts = [root, self.api_version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name is not None:
            # Names of RBAC objects hold colons; nothing may hold a slash.
            parts.append(quote(name, safe=":"))
        return "/".join(parts)


@dataclass(frozen=True)
class Ref:
    """One object."""

    kind: KindRef
    """Its kind."""
    name: str
    """Its name."""
    namespace: str | None = None
    """Its namespace; None for kinds without."""

    @property
    def path(self) -> str:
        """URL path of the object."""
        if self.kind.namespaced and self.namespace is None:
            msg = f"{self}: a {self.kind.kind} lives in a namespace; name it"
            raise ValueError(msg)
        return self.kind.path(namespace=self.namespace, name=self.name)

    @override
    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind.kind} {place}{self.name}"


def _core(kind: str, plural: str, *, namespaced: bool) -> KindRef:
    return KindRef(api_version="v1", kind=kind, plural=plural, namespaced=namespaced)


NAMESPACE = _core("Namespace", "namespaces", namespaced=False)
NODE = _core("Node", "nodes", namespaced=False)
PERSISTENT_VOLUME = _core("PersistentVolume", "persistentvolumes", namespaced=False)
PERSISTENT_VOLUME_CLAIM = _core("PersistentVolumeClaim", "persistentvolumeclaims", namespaced=True)
POD = _core("Pod", "pods", namespaced=True)
CONFIG_MAP = _core("ConfigMap", "configmaps", namespaced=True)
SECRET = _core("Secret", "secrets", namespaced=True)
SERVICE = _core("Service", "services", namespaced=True)
SERVICE_ACCOUNT = _core("ServiceAccount", "serviceaccounts", namespaced=True)
RESOURCE_QUOTA = _core("ResourceQuota", "resourcequotas", namespaced=True)
LIMIT_RANGE = _core("LimitRange", "limitranges", namespaced=True)
NETWORK_POLICY = KindRef(
    "networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", namespaced=True
)
JOB = KindRef("batch/v1", "Job", "jobs", namespaced=True)
LEASE = KindRef("coordination.k8s.io/v1", "Lease", "leases", namespaced=True)
CUSTOM_RESOURCE_DEFINITION = KindRef(
    "apiextensions.k8s.io/v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    namespaced=False,
)
CERTIFICATE_SIGNING_REQUEST = KindRef(
    "certificates.k8s.io/v1",
    "CertificateSigningRequest",
    "certificatesigningrequests",
    namespaced=False,
)
SELF_SUBJECT_REVIEW = KindRef(
    "authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False
)

BUILT_IN: tuple[KindRef, ...] = (
    NAMESPACE,
    NODE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    CONFIG_MAP,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    RESOURCE_QUOTA,
    LIMIT_RANGE,
    NETWORK_POLICY,
    JOB,
    LEASE,
    CUSTOM_RESOURCE_DEFINITION,
    CERTIFICATE_SIGNING_REQUEST,
)
"""The kinds of Kubernetes that Carrel touches."""

_KNOWN = {(ref.api_version, ref.kind): ref for ref in (*BUILT_IN, *map(KindRef.of, KINDS))}


def kind_of(obj: JSON) -> KindRef:
    """Return the kind that `obj` says it is of; ValueError for kinds that Carrel never touches."""
    key = (obj.get("apiVersion", ""), obj.get("kind", ""))
    found = _KNOWN.get(key)
    if found is None:
        msg = f"no such kind here: {key[1]} of {key[0]}; add it to carrel.cluster.refs"
        raise ValueError(msg)
    return found


def ref_of(obj: JSON) -> Ref:
    """Return the reference of an object that says apiVersion, kind and metadata."""
    metadata = obj["metadata"]
    return Ref(kind=kind_of(obj), name=metadata["name"], namespace=metadata.get("namespace"))
