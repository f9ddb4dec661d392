"""What the job says of an ingest: Staged, Gated and Published, always all three."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from carrel.ingest.collected import LARGEST_REFUSALS
from carrel.kinds.ingest import DatasetIngestStatus, Refusal, RuleCount
from carrel.kinds.resource import Condition, ConditionStatus
from carrel.rules import condition

_TRUE, _FALSE, _UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


@dataclass(frozen=True)
class Progress:
    """How far the job is; a value that grows by `replace`."""

    staged: Condition
    gated: Condition
    published: Condition
    done: int = 0
    accepted: int = 0
    refused: tuple[RuleCount, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    dataset: str | None = None

    def status(self, *, generation: int) -> DatasetIngestStatus:
        """Return the status; conditions still lack their times."""
        return DatasetIngestStatus(
            conditions=tuple(
                each.model_copy(update={"observed_generation": generation})
                for each in (self.staged, self.gated, self.published)
            ),
            observed_generation=generation,
            done=self.done,
            accepted=self.accepted,
            refused=self.refused,
            refusals=self.refusals[:LARGEST_REFUSALS],
            dataset=self.dataset,
        )


def begun() -> Progress:
    """Return what is said before anything is known."""
    return Progress(
        staged=condition("Staged", _UNKNOWN, "Looking", "The job looks at what was uploaded."),
        gated=condition("Gated", _UNKNOWN, "Waiting", "No file was read yet."),
        published=condition("Published", _UNKNOWN, "Waiting", "The gate comes first."),
    )


def lacking(progress: Progress, sentence: str) -> Progress:
    """Say that what was uploaded is not what was sealed."""
    return _ended(
        replace(progress, staged=condition("Staged", _FALSE, "UploadDiffers", sentence)), sentence
    )


def reading(progress: Progress, *, done: int, accepted: int, total: int) -> Progress:
    """Say how many files were read; duplicates show only at the end."""
    return replace(
        progress,
        gated=condition("Gated", _UNKNOWN, "Reading", f"{done:,} of {total:,} files were read."),
        done=done,
        accepted=accepted,
    )


def stumbled(progress: Progress, reason: str) -> Progress:
    """Say that the job ended before its work and is made anew."""
    sentence = f"The store or staging failed: {reason}. The job tries again and goes on."
    return replace(progress, gated=condition("Gated", _UNKNOWN, "StoreFailed", sentence))


def gated(
    progress: Progress,
    *,
    accepted: int,
    refusals: tuple[Refusal, ...],
    by_rule: Iterable[RuleCount],
) -> Progress:
    """Say that all files were read and are what was sealed."""
    total = accepted + len(refusals)
    sentence = f"{accepted:,} of {total:,} files were accepted" + (
        f", {len(refusals):,} refused: see refused and refusals." if refusals else "."
    )
    known = replace(
        progress,
        staged=condition("Staged", _TRUE, "Complete", f"All {total:,} files arrived as sealed."),
        done=total,
        accepted=accepted,
        refused=tuple(by_rule),
        refusals=refusals,
    )
    if not accepted:
        nothing = f"{sentence} Mend the files and begin a new ingest."
        return _ended(
            replace(known, gated=condition("Gated", _FALSE, "NothingAccepted", nothing)),
            "No file was accepted, so there is nothing to publish.",
        )
    return replace(known, gated=condition("Gated", _TRUE, "Read", sentence))


def published(progress: Progress, *, dataset: str) -> Progress:
    """Say that the Dataset stands."""
    return replace(
        progress,
        published=condition("Published", _TRUE, "Published", f"Published as {dataset}."),
        dataset=dataset,
    )


def _ended(progress: Progress, sentence: str) -> Progress:
    return replace(
        progress,
        gated=progress.gated
        if progress.gated.status is _FALSE
        else condition("Gated", _FALSE, "NotReached", sentence),
        published=condition("Published", _FALSE, "NotPublished", sentence),
    )
