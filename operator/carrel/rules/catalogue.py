"""The catalogue record of a dataset version: HealthDCAT-AP with EUCAIM's additions, as JSON-LD.

What the platform knows is computed, what only a person can know is taken from that person, and
what nobody said is listed as missing: a record never holds an invented value. Properties and
obligations follow the EUCAIM DCAT Application Profile 2.0 for datasets, which builds on DCAT-AP 3
and HealthDCAT-AP release 7. Conditional demands that concern neither are left out.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from carrel.rules.catalogue_given import CatalogueGiven, Organisation
from carrel.rules.small_numbers import at_least

JSON = dict[str, Any]

CONTEXT = {
    "adms": "http://www.w3.org/ns/adms#",
    "cv": "http://data.europa.eu/m8g/",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dcatap": "http://data.europa.eu/r5r/",
    "dct": "http://purl.org/dc/terms/",
    "eucaim": "https://cancerimage.eu/ontology/EUCAIM#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "healthdcatap": "https://w3id.org/healthdcat-ap#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "spdx": "http://spdx.org/rdf/terms#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_AUTHORITY = "http://publications.europa.eu/resource/authority/"
_EHDS = "http://data.europa.eu/eli/reg/2025/327/oj"
_AGE = re.compile(r"(?P<first>[0-9]{1,3})(-(?P<last>[0-9]{1,3})| and more)\Z")


class Tier(StrEnum):
    """EUCAIM's interoperability tiers, as far as what is there reaches."""

    NONE = "none"
    """The record is not complete: no catalogue takes it."""
    TIER_1 = "Tier 1"
    """The record can be found in a catalogue."""
    TIER_2 = "Tier 2"
    """And the dataset can be searched: sex, age, modality, body part and machine are indexed."""
    TIER_3 = "Tier 3"
    """And it can be worked with: gated, signed, and mountable in this environment."""


class Serving(StrEnum):
    """Whether workspaces can be given the dataset."""

    READY = "Ready"
    NOT_READY = "NotReady"


@dataclass(frozen=True, kw_only=True)
class CatalogueFacts:
    """What the platform knows of a dataset version."""

    name: str
    version: str
    title: str
    digest: str
    """Content digest, as `sha256:` and hexadecimal."""
    subjects: int
    studies: int
    bytes: int
    modalities: tuple[str, ...]
    manufacturers: tuple[str, ...]
    body_parts: tuple[str, ...]
    sexes: tuple[str, ...]
    ages: tuple[str, ...]
    """Bands that enough subjects share, as `60-69` or `90 and more`."""
    serving: Serving
    smallest_group: int


@dataclass(frozen=True)
class Missing:
    """A mandatory property that has no value."""

    term: str
    """Property, such as `dct:publisher`."""
    give: str
    """What to write into the file of given values, or why the platform cannot say it."""


@dataclass(frozen=True)
class CatalogueRecord:
    """A record and what it lacks."""

    json_ld: JSON
    missing: tuple[Missing, ...]
    tier: Tier


def catalogue_record(facts: CatalogueFacts, given: CatalogueGiven) -> CatalogueRecord:
    """Return the record of a dataset version."""
    body = _computed(facts, given) | _said(given)
    body["dcat:distribution"] = _distribution(facts, given)
    record = {key: value for key, value in body.items() if value not in (None, [], {})}
    missing = tuple(
        Missing(term, give) for term, give in _MANDATORY.items() if term not in record
    ) + _missing_below(given)
    tier = _tier(record, missing=missing, facts=facts)
    if tier is not Tier.NONE:
        # Named by its label: the hyper-ontology's IRIs of tiers are the catalogue's to assign.
        record["eucaim:interoperabilityLevel"] = _concept(tier.value, given, "eucaim:SPEC1000008")
    identified = {"@context": CONTEXT, "@id": _iri(facts, given), "@type": "dcat:Dataset"}
    return CatalogueRecord({**identified, **record}, missing, tier)


_MANDATORY = {
    "dct:description": "`description`: what the dataset is, in English",
    "dct:publisher": "`publisher`: name, and email or page",
    "dcat:contactPoint": "`contactPoint`: name, and email or page",
    "healthdcatap:healthCategory": "`healthCategories`: IRIs of the categories of article 51 EHDS",
    "dct:type": "`types`: IRIs of dataset types, such as a dpv:Data concept",
    "dct:provenance": "`provenance`: how the images were collected and processed",
    "dcat:keyword": "`keywords`: at least one",
    "healthdcatap:hdab": "`healthDataAccessBody`: the competent body; leave it out until named",
    "eucaim:collectionMethod": "`collectionMethods`: IRIs below eucaim:SPEC1000002",
    "eucaim:hasCondition": "`condition`: IRI below eucaim:CLIN1007977",
    "healthdcatap:numberOfUniqueIndividuals": "fewer subjects than the smallest group: not told",
    "healthdcatap:numberOfRecords": "fewer studies than the smallest group: not told",
    "eucaim:hasBirthSex": "no sex is shared by enough subjects, or images do not state it",
    "eucaim:hasImageModality": "no modality is stated",
    "eucaim:hasEquipmentManufacturer": "no manufacturer is shared by enough subjects",
    "eucaim:hasImageBodyPart": "no body part is shared by enough subjects",
}


def _computed(facts: CatalogueFacts, given: CatalogueGiven) -> JSON:
    subjects = at_least(facts.subjects, smallest=facts.smallest_group)
    # Where subjects are not told, studies are not either: there are at least as many.
    studies = at_least(facts.studies, smallest=facts.smallest_group) if subjects else 0
    return {
        "dct:identifier": _iri(facts, given),
        "dct:title": _english(facts.title),
        "dcat:version": facts.version,
        "dcat:theme": {"@id": f"{_AUTHORITY}data-theme/HEAL"},
        "dct:accessRights": {"@id": f"{_AUTHORITY}access-right/NON_PUBLIC"},
        "dcatap:applicableLegislation": {"@id": _EHDS},
        "healthdcatap:hasStructuredData": {"@type": "xsd:boolean", "@value": "false"},
        "healthdcatap:numberOfUniqueIndividuals": _number(subjects),
        "healthdcatap:numberOfRecords": _number(studies),
        "eucaim:hasBirthSex": [_concept(each, given, "eucaim:COM1001396") for each in facts.sexes],
        "eucaim:hasImageModality": [
            _concept(each, given, "eucaim:IMG1000009") for each in facts.modalities
        ],
        "eucaim:hasEquipmentManufacturer": [
            _concept(each, given, "eucaim:IMG1000010") for each in facts.manufacturers
        ],
        "eucaim:hasImageBodyPart": [
            _concept(each, given, "eucaim:BP1000024") for each in facts.body_parts
        ],
        **_ages(facts.ages),
    }


def _said(given: CatalogueGiven) -> JSON:
    contact = given.contact_point
    return {
        "dct:description": _english(given.description) if given.description else None,
        "dcat:keyword": [_english(each) for each in given.keywords],
        "dct:publisher": _agent(given.publisher),
        "healthdcatap:hdab": _agent(given.health_data_access_body),
        "dcat:contactPoint": contact
        and {
            "@type": "vcard:Kind",
            "vcard:fn": contact.name,
            **({"vcard:hasEmail": {"@id": f"mailto:{contact.email}"}} if contact.email else {}),
            **({"vcard:hasURL": {"@id": contact.page}} if contact.page else {}),
        },
        "healthdcatap:healthCategory": [{"@id": each} for each in given.health_categories],
        "dct:type": [{"@id": each} for each in given.types],
        "dct:provenance": given.provenance
        and {"@type": "dct:ProvenanceStatement", "rdfs:label": _english(given.provenance)},
        "eucaim:collectionMethod": [{"@id": each} for each in given.collection_methods],
        "eucaim:hasCondition": given.condition and {"@id": given.condition},
    }


def _distribution(facts: CatalogueFacts, given: CatalogueGiven) -> JSON:
    return {
        "@type": "dcat:Distribution",
        "dcat:mediaType": {"@id": "https://www.iana.org/assignments/media-types/application/dicom"},
        "dcat:byteSize": _number(facts.bytes),
        "dcatap:applicableLegislation": {"@id": _EHDS},
        "spdx:checksum": {
            "@type": "spdx:Checksum",
            "spdx:algorithm": {"@id": "spdx:checksumAlgorithm_sha256"},
            "spdx:checksumValue": {
                "@type": "xsd:hexBinary",
                "@value": facts.digest.removeprefix("sha256:"),
            },
        },
        **({"dcat:accessURL": {"@id": given.access_url}} if given.access_url else {}),
        **(
            {"dct:rights": {"@type": "dct:RightsStatement", "rdfs:label": _english(given.rights)}}
            if given.rights
            else {}
        ),
    }


def _missing_below(given: CatalogueGiven) -> tuple[Missing, ...]:
    """Return what the distribution lacks."""
    found = []
    if not given.access_url:
        found.append(Missing("dcat:accessURL", "`accessUrl`: where access is asked for"))
    if not given.rights:
        found.append(Missing("dct:rights", "`rights`: under which terms the data may be used"))
    return tuple(found)


def _tier(record: JSON, *, missing: tuple[Missing, ...], facts: CatalogueFacts) -> Tier:
    if missing:
        return Tier.NONE
    searchable = ("healthdcatap:minTypicalAge", "eucaim:hasBirthSex", "eucaim:hasImageModality",
                  "eucaim:hasImageBodyPart", "eucaim:hasEquipmentManufacturer")  # fmt: skip
    if not all(term in record for term in searchable):
        return Tier.TIER_1
    return Tier.TIER_3 if facts.serving is Serving.READY else Tier.TIER_2


def _iri(facts: CatalogueFacts, given: CatalogueGiven) -> str:
    if given.base_iri:
        return f"{given.base_iri.rstrip('/')}/{facts.name}/{facts.version}"
    # Without an address of its own a record is named by what it describes (RFC 6920).
    return f"nih:sha-256;{facts.digest.removeprefix('sha256:')}"


def _concept(label: str, given: CatalogueGiven, kind: str) -> JSON:
    iri = given.concepts.get(label)
    if iri:
        return {"@id": iri}
    return {"@type": ["skos:Concept", kind], "skos:prefLabel": _english(label)}


def _agent(organisation: Organisation | None) -> JSON | None:
    if organisation is None:
        return None
    contact: JSON = {"@type": "cv:ContactPoint"}
    if organisation.email:
        contact["cv:email"] = organisation.email
    if organisation.page:
        contact["cv:contactPage"] = {"@id": organisation.page}
    return {"@type": "foaf:Agent", "foaf:name": organisation.name, "cv:contactPoint": contact}


def _ages(bands: tuple[str, ...]) -> JSON:
    found = [match for band in bands if (match := _AGE.match(band))]
    if not found:
        return {}
    oldest = [match["last"] for match in found]
    ages: JSON = {"healthdcatap:minTypicalAge": _number(min(int(match["first"]) for match in found),
                                                       zero=True)}  # fmt: skip
    if all(oldest):
        ages["healthdcatap:maxTypicalAge"] = _number(max(int(each) for each in oldest))
    return ages


def _number(number: int, *, zero: bool = False) -> JSON | None:
    if number == 0 and not zero:
        return None
    return {"@type": "xsd:nonNegativeInteger", "@value": str(number)}


def _english(text: str) -> JSON:
    return {"@language": "en", "@value": text}
