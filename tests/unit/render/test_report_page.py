"""The page of a quality report: readable by everybody, and inert."""

from html.parser import HTMLParser

from carrel.render.report_page import report_page
from carrel.rules.dataset_report import (
    BiasCard,
    DatasetReport,
    Finding,
    Quality,
    QualityReport,
    SeriesFindings,
    Share,
    Spread,
)

HOSTILE = "<script>alert(1)</script>\"'&"
FINDING = Finding(rule=Quality.ATTRIBUTE_IS_MISSING, count=1200, detail=HOSTILE)
REPORT = DatasetReport(
    title=HOSTILE,
    refused=((HOSTILE, 3),),
    quality=QualityReport(
        instances=2000,
        series=2,
        flawless=1,
        totals=(FINDING,),
        found=(SeriesFindings(series="1.2", modality="CT", instances=7, findings=(FINDING,)),),
        untold=4,
    ),
    bias=BiasCard(
        smallest_group=10,
        subjects=0,
        spreads=(
            Spread(
                trait="protocol",
                shares=(Share(value=HOSTILE, subjects=30),),
                withheld="Something",
            ),
        ),
    ),
)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    return reader


def test_nothing_in_a_report_can_act() -> None:
    page = read(report_page(REPORT))
    assert not {"script", "img", "link", "iframe", "object"} & set(page.tags)
    assert not [each for each in page.attributes if each[1].startswith("on") or each[1] == "src"]
    assert HOSTILE in page.text


def test_tables_are_read_aloud_with_their_headings() -> None:
    page = read(report_page(REPORT))
    tables = page.tags.count("table")
    assert tables == 4
    assert page.tags.count("caption") == tables
    assert all(value for tag, name, value in page.attributes if tag == "th" and name == "scope")
    assert page.tags.count("th") == sum(
        tag == "th" and name == "scope" for tag, name, _ in page.attributes
    )
    assert ("html", "lang", "en") in page.attributes


def test_a_page_shows_what_the_report_says_and_no_small_number() -> None:
    text = read(report_page(REPORT)).text
    assert "2,000 images in 2 series were looked at; 1 series are without a finding" in text
    assert "Subjects: fewer than 10" in text
    assert "at least 30" in text
    assert "4 more series have findings" in text


def test_a_page_follows_the_reader_into_the_dark() -> None:
    page = report_page(REPORT)
    assert "prefers-color-scheme: dark" in page
    assert "color-scheme: light dark" in page
