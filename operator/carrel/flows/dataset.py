"""One dataset: Ready while its signature is the platform's own."""

import base64
import binascii
from datetime import datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import ValidationError

from carrel.cluster.refs import CONFIG_MAP, Ref
from carrel.flows.malformed import malformed_status
from carrel.flows.store import DATASETS
from carrel.flows.surroundings import Surroundings
from carrel.flows.writing import write_status
from carrel.kinds import Dataset
from carrel.kinds.dataset import DatasetSpec, DatasetStatus
from carrel.kinds.resource import Condition, ConditionStatus
from carrel.rules import condition, settle
from carrel.rules.dataset_signature import message

PUBLIC_KEY = "carrel-ingest-public-key"
PUBLIC_KEY_FIELD = "public.pem"


async def reconcile_dataset(name: str, around: Surroundings) -> datetime | None:
    """Say in its status whether a dataset version is the platform's own."""
    stored = around.store.get(Ref(DATASETS, name))
    if stored is None:
        return None
    try:
        dataset = Dataset.model_validate(stored)
    except ValidationError as error:
        malformed = malformed_status(stored, error, types=("Ready",), now=around.clock.now())
        await write_status(stored, malformed, around)
        return None
    generation = dataset.metadata.generation or 0
    ready = _judge(dataset.spec, await public_key(around)).model_copy(
        update={"observed_generation": generation}
    )
    status = DatasetStatus(
        conditions=settle((ready,), present=dataset.status.conditions, now=around.clock.now()),
        observed_generation=generation,
    )
    await write_status(stored, status.to_wire(), around)
    return None


async def public_key(around: Surroundings) -> Ed25519PublicKey | None:
    """Return the key that the platform's ingest signs with, None where it cannot be read.

    Read anew each time: the operator may get this one ConfigMap and watch none.
    """
    ref = Ref(CONFIG_MAP, PUBLIC_KEY, around.site.platform_namespace)
    stored = await around.cluster.get(ref)
    text = (stored or {}).get("data", {}).get(PUBLIC_KEY_FIELD, "")
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PublicKey) else None


def _judge(spec: DatasetSpec, key: Ed25519PublicKey | None) -> Condition:
    if key is None:
        return condition(
            "Ready",
            ConditionStatus.UNKNOWN,
            "NoPublicKey",
            f"The ConfigMap {PUBLIC_KEY} holds no Ed25519 key in {PUBLIC_KEY_FIELD}: "
            "install the platform's trust again.",
        )
    signed = message(
        name=spec.name,
        version=spec.version,
        digest=spec.digest,
        manifest_digest=spec.manifest_digest,
    )
    try:
        key.verify(base64.b64decode(spec.signature, validate=True), signed)
    except (InvalidSignature, binascii.Error):
        return condition(
            "Ready",
            ConditionStatus.FALSE,
            "SignatureInvalid",
            "The signature is not the platform's own: what this version names did not pass the "
            "gate here. Ingest the images again.",
        )
    return condition(
        "Ready",
        ConditionStatus.TRUE,
        "Signed",
        "The gate of this platform published this version.",
    )
