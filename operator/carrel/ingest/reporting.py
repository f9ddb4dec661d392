"""The report that the ingest writes beside the manifest, and what the Dataset says of it."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from carrel.dicom.bias import SMALLEST_GROUP, bias_card
from carrel.dicom.quality import quality_report
from carrel.ingest.collected import Row, digest_tree
from carrel.ingest.manifest import REPORT, TREE
from carrel.kinds import DatasetIngest
from carrel.kinds.dataset import DatasetProfile
from carrel.kinds.ingest import RuleCount
from carrel.render.report_page import report_page
from carrel.rules.dataset_report import DatasetReport

UNTOLD = "not stated"
_VALUES = 64


@dataclass(frozen=True)
class Reported:
    """A report in the forms that are kept of it."""

    json: bytes
    page: bytes
    profile: DatasetProfile

    @property
    def metadata(self) -> dict[str, str]:
        """What the manifest says of report and tree, so that its signed digest covers both."""
        return {REPORT: self.profile.report, TREE: self.profile.tree}


def reported(
    ingest: DatasetIngest, rows: Sequence[Row], *, refused: Iterable[RuleCount]
) -> Reported:
    """Report on what an ingest accepted; the same rows give the same bytes."""
    sketches = [row.sketch for row in rows if row.sketch is not None]
    report = DatasetReport(
        title=ingest.spec.title,
        refused=tuple((each.rule, each.count) for each in refused),
        quality=quality_report(sketches, unreadable=len(rows) - len(sketches)),
        bias=bias_card(sketches, smallest=SMALLEST_GROUP, stated={}),
    )
    data = report.model_dump_json(by_alias=True, indent=2).encode()
    return Reported(
        json=data,
        page=report_page(report).encode(),
        profile=DatasetProfile(
            report=f"sha256:{hashlib.sha256(data).hexdigest()}",
            tree=f"sha256:{digest_tree(rows).digest}",
            findings=sum(each.count for each in report.quality.totals),
            flawless_series=report.quality.flawless,
            manufacturers=_told(report, "manufacturer"),
            body_parts=_told(report, "body part"),
            sexes=_told(report, "sex"),
            ages=_told(report, "age"),
        ),
    )


def _told(report: DatasetReport, trait: str) -> tuple[str, ...]:
    """Return the values that enough subjects share to be named."""
    shares = [share for each in report.bias.spreads if each.trait == trait for share in each.shares]
    return tuple(sorted(share.value for share in shares if share.value != UNTOLD))[:_VALUES]
