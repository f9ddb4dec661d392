"""What only a person can say for a catalogue record."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from carrel.kinds.resource import Model

Iri = Annotated[
    str, StringConstraints(pattern=r"^(https?|urn|ni|nih|tag):[^\s<>\"{}|\\^`]+$", max_length=2048)
]
"""An absolute IRI."""
_Text = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
_Email = Annotated[str, StringConstraints(pattern=r"^[^\s<>@\"]+@[^\s<>@\"]+$", max_length=320)]


class Organisation(Model):
    """A body that answers letters."""

    name: _Text
    """Official name."""
    email: _Email | None = None
    """Functional address, never a person's own."""
    page: Iri | None = None
    """Page with a form or an address."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.email is None and self.page is None:
            raise ValueError("an organisation needs an email or a page")
        return self


class CatalogueGiven(Model):
    """The given part of a record; what is left out is reported as missing, never invented."""

    base_iri: Iri | None = None
    """Where the records of this site stand; name and version are added."""
    description: _Text | None = None
    """What the dataset is, in English."""
    keywords: Annotated[tuple[_Text, ...], Field(max_length=64)] = ()
    """Words that people search for, in English."""
    publisher: Organisation | None = None
    """Who makes the dataset available."""
    contact_point: Organisation | None = None
    """Who answers questions about it."""
    health_data_access_body: Organisation | None = None
    """The competent body under the EHDS; leave it out until one is named."""
    health_categories: Annotated[tuple[Iri, ...], Field(max_length=32)] = ()
    """Categories of article 51 of the EHDS regulation."""
    types: Annotated[tuple[Iri, ...], Field(max_length=32)] = ()
    """Types of the dataset."""
    provenance: _Text | None = None
    """How the images were collected and processed, in English."""
    collection_methods: Annotated[tuple[Iri, ...], Field(max_length=32)] = ()
    """How the images were brought together."""
    condition: Iri | None = None
    """The primary condition."""
    access_url: Iri | None = None
    """Where access is asked for."""
    rights: _Text | None = None
    """Terms of use, in English."""
    concepts: Annotated[Mapping[str, Iri], Field(max_length=512)] = Field(default_factory=dict)
    """IRIs for values that the platform computes, such as `CT`, `female` or `Tier 3`."""
