"""A catalogue record holds what is known, lists what is not, and satisfies the shapes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyshacl import validate
from rdflib import Graph

from carrel.rules.catalogue import CatalogueFacts, Serving, Tier, catalogue_record
from carrel.rules.catalogue_given import CatalogueGiven, Organisation

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # rdflib's own
SHAPES = Path(__file__).with_name("shapes.ttl")
FACTS = CatalogueFacts(
    name="lung", version="3", title="Lung CT", digest="sha256:" + "ab" * 32, subjects=127,
    studies=254, bytes=10**9, modalities=("CT", "SEG"), manufacturers=("ACME",),
    body_parts=("CHEST",), sexes=("female", "male"), ages=("50-59", "60-69", "90 and more"),
    serving=Serving.READY, smallest_group=10,
)  # fmt: skip
BODY = Organisation(name="A body", email="desk@example.org")
GIVEN = CatalogueGiven(
    base_iri="https://data.example.org/datasets",
    description="CT of lungs.",
    keywords=("lung", "CT"),
    publisher=BODY,
    contact_point=BODY,
    health_data_access_body=Organisation(name="B", page="https://hdab.example.org/"),
    health_categories=("https://example.org/categories/EHRS",),
    types=("https://w3id.org/dpv#PseudonymisedData",),
    provenance="Screening round 3.",
    collection_methods=("https://cancerimage.eu/ontology/EUCAIM#SPEC1000003",),
    condition="https://cancerimage.eu/ontology/EUCAIM#CLIN1000075",
    access_url="https://data.example.org/ask",
    rights="In this environment only.",
    concepts={"CT": "https://example.org/ct"},
)
MANDATORY = (
    "description", "keywords", "publisher", "contact_point", "health_data_access_body",
    "health_categories", "types", "provenance", "collection_methods", "condition", "access_url",
    "rights",
)  # fmt: skip


def graph(json_ld: dict[str, Any]) -> Graph:
    return Graph().parse(data=json.dumps(json_ld), format="json-ld")


def conforms(json_ld: dict[str, Any]) -> tuple[bool, str]:
    found, _, text = validate(graph(json_ld), shacl_graph=Graph().parse(SHAPES))
    return bool(found), str(text)


def test_a_whole_record_satisfies_the_shapes() -> None:
    record = catalogue_record(FACTS, GIVEN)
    assert (record.missing, record.tier) == ((), Tier.TIER_3)
    assert conforms(record.json_ld) == (True, "Validation Report\nConforms: True\n")


@pytest.mark.parametrize("left_out", MANDATORY)
def test_what_is_left_out_is_listed_and_the_shapes_miss_it_too(left_out: str) -> None:
    default = CatalogueGiven.model_fields[left_out].get_default()
    record = catalogue_record(FACTS, GIVEN.model_copy(update={left_out: default}))
    assert len(record.missing) == 1
    assert record.tier is Tier.NONE
    found, text = conforms(record.json_ld)
    assert not found
    assert record.missing[0].term.partition(":")[2] in text


def test_without_a_person_nothing_is_invented() -> None:
    record = catalogue_record(FACTS, CatalogueGiven())
    assert len(record.missing) == len(MANDATORY)
    assert record.json_ld["@id"] == "nih:sha-256;" + "ab" * 32
    assert "eucaim:interoperabilityLevel" not in record.json_ld


@pytest.mark.parametrize(
    ("facts", "tier"),
    [
        (FACTS, Tier.TIER_3),
        (replace(FACTS, serving=Serving.NOT_READY), Tier.TIER_2),
        (replace(FACTS, ages=()), Tier.TIER_1),
        (replace(FACTS, sexes=()), Tier.NONE),
    ],
)
def test_the_tier_is_what_is_really_there(facts: CatalogueFacts, tier: Tier) -> None:
    assert catalogue_record(facts, GIVEN).tier is tier


@pytest.mark.parametrize(
    ("subjects", "studies", "told"),
    [(127, 254, ("120", "250")), (10, 19, ("10", "10")), (9, 400, None), (0, 0, None)],
)
def test_no_small_number_of_persons_is_told(
    subjects: int, studies: int, told: tuple[str, str] | None
) -> None:
    record = catalogue_record(replace(FACTS, subjects=subjects, studies=studies), GIVEN).json_ld
    terms = ("healthdcatap:numberOfUniqueIndividuals", "healthdcatap:numberOfRecords")
    found = tuple(record[term]["@value"] for term in terms if term in record)
    assert found == (told or ())


def test_the_record_carries_the_digest_and_ages_of_bands() -> None:
    record = catalogue_record(FACTS, GIVEN).json_ld
    checksum = record["dcat:distribution"]["spdx:checksum"]["spdx:checksumValue"]["@value"]
    assert checksum == "ab" * 32
    assert record["healthdcatap:minTypicalAge"]["@value"] == "50"
    assert "healthdcatap:maxTypicalAge" not in record
    assert record["eucaim:hasImageModality"][0] == {"@id": "https://example.org/ct"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"condition": "javascript:alert(1)"},
        {"accessUrl": "https://a b"},
        {"publisher": {"name": "nobody answers"}},
        {"description": ""},
        {"surprise": 1},
    ],
)
def test_what_is_no_address_or_unknown_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        CatalogueGiven.model_validate(wrong)
