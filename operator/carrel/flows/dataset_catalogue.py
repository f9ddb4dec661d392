"""Facts for a catalogue record: of a published version, or of a folder before that."""

import json
from collections.abc import Callable
from pathlib import Path

import yaml
from pydantic import ValidationError

from carrel.cluster import Cluster, KindRef, Ref
from carrel.dicom.bias import SMALLEST_GROUP, UNKNOWN, bias_card
from carrel.flows.dataset_report import looks_at
from carrel.flows.upload_folder import survey
from carrel.kinds import Dataset
from carrel.kinds.dataset import DatasetProfile
from carrel.kinds.resource import ConditionStatus
from carrel.rules.catalogue import CatalogueFacts, Serving
from carrel.rules.catalogue_given import CatalogueGiven
from carrel.rules.condition import find
from carrel.rules.content_digest import content_digest
from carrel.rules.dataset_report import BiasCard
from carrel.rules.view_path import view_path

_LARGEST_GIVEN = 2**20


class CatalogueError(Exception):
    """No record can be made; the message says what to do."""


def read_given(path: Path | None) -> CatalogueGiven:
    """Read what a person gives, as YAML or JSON; without a file nothing is given.

    Raises:
        CatalogueError: when the file is no such thing.
        OSError: when it cannot be read.

    """
    if path is None:
        return CatalogueGiven()
    with path.open("rb") as file:
        data = file.read(_LARGEST_GIVEN + 1)
    if len(data) > _LARGEST_GIVEN:
        raise CatalogueError(f"given_is_too_large: {path} has more than {_LARGEST_GIVEN:,} bytes.")
    try:
        return CatalogueGiven.model_validate(yaml.safe_load(data) or {})
    except (yaml.YAMLError, ValidationError, RecursionError) as error:
        wrong = (
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            if isinstance(error, ValidationError)
            else "it is no YAML"
        )
        raise CatalogueError(
            f"given_is_not_valid: {path}: {wrong}; the page catalogue-a-dataset shows a whole file."
        ) from error


async def facts_of_dataset(name: str, *, cluster: Cluster) -> CatalogueFacts:
    """Return the facts of a published version.

    Raises:
        CatalogueError: when there is no such version.
        ClusterError: when the API server refuses.

    """
    stored = await cluster.get(Ref(KindRef.of(Dataset), name))
    if stored is None:
        raise CatalogueError(
            f"dataset_is_unknown: there is no Dataset {name}; `carrel dataset list` tells the "
            "names, and a folder is given by its path."
        )
    dataset = Dataset.model_validate(stored)
    spec, ready = dataset.spec, find(dataset.status.conditions, "Ready")
    profile = spec.profile or _NO_PROFILE
    serving = ready is not None and ready.status is ConditionStatus.TRUE
    return CatalogueFacts(
        name=spec.name,
        version=str(spec.version),
        title=spec.title,
        digest=spec.digest,
        subjects=spec.counts.subjects,
        studies=spec.counts.studies,
        bytes=spec.counts.bytes,
        modalities=spec.modalities,
        manufacturers=profile.manufacturers,
        body_parts=profile.body_parts,
        sexes=profile.sexes,
        ages=profile.ages,
        serving=Serving.READY if serving else Serving.NOT_READY,
        smallest_group=SMALLEST_GROUP,
    )


def facts_of_folder(
    folder: Path, *, workers: int, tell: Callable[[int, int], None]
) -> CatalogueFacts:
    """Return the facts of a folder: of the files in it that the gate takes.

    Raises:
        CatalogueError: when there is none.
        OSError: when the folder cannot be listed.

    """
    found = survey(folder)
    looks = [
        each
        for each in looks_at(
            found, workers=workers, tell=lambda files: tell(files, len(found.files))
        )
        if each.sketch is not None and not each.refused
    ]
    if not looks:
        raise CatalogueError(f"folder_holds_no_image: the gate takes no file of {folder}.")
    sketches = [each.sketch for each in looks if each.sketch is not None]
    lines = {
        (
            each.sha256,
            each.size,
            view_path(
                subject=each.sketch.subject,
                study=each.sketch.study_uid,
                series=each.sketch.series_uid,
                instance=each.sketch.sop_uid,
            ),
        )
        for each in looks
        if each.sketch is not None
    }
    card = bias_card(sketches, smallest=SMALLEST_GROUP, stated={})
    name = folder.resolve().name
    return CatalogueFacts(
        name=name,
        version="unpublished",
        title=name,
        digest=content_digest(lines),
        subjects=len({each.subject for each in sketches}),
        studies=len({each.study_uid for each in sketches}),
        bytes=sum(size for _, size, _ in lines),
        modalities=tuple(sorted({each.modality for each in sketches})),
        manufacturers=_told(card, "manufacturer"),
        body_parts=_told(card, "body part"),
        sexes=_told(card, "sex"),
        ages=_told(card, "age"),
        serving=Serving.NOT_READY,
        smallest_group=SMALLEST_GROUP,
    )


def written(record: object) -> str:
    """Return a record as text."""
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


_NO_PROFILE = DatasetProfile(
    report="sha256:" + "0" * 64, tree="sha256:" + "0" * 64, findings=0, flawless_series=0
)


def _told(card: BiasCard, trait: str) -> tuple[str, ...]:
    return tuple(
        sorted(
            share.value
            for each in card.spreads
            if each.trait == trait
            for share in each.shares
            if share.value != UNKNOWN
        )
    )
