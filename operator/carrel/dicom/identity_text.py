"""What text tells of a person by its shape: addresses, telephone numbers, dates, names.

Shapes find what has a shape; a bare surname has none: that is what the dictionary is for.
"""

import re

_YEAR = r"(?:19|20)\d{2}"
_MONTH = r"(?:0[1-9]|1[0-2])"
_DAY = r"(?:0[1-9]|[12]\d|3[01])"
_MONTH_NAME = r"(?:jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-zä]{0,7}"

_SHAPES = re.compile(
    "|".join(
        (
            r"[\w.+-]{1,64}@[\w-]{1,63}\.\w",  # e-mail
            rf"(?<!\d){_YEAR}(?P<between>[-/. ]?){_MONTH}(?P=between){_DAY}(?!\d)",
            rf"(?<![\d.])(?:{_DAY}|[1-9])[./-](?:{_MONTH}|[1-9])[./-]{_YEAR}(?![\d.])",
            rf"(?<![\d.])(?:{_MONTH}|[1-9])/(?:{_DAY}|[1-9])/(?:{_YEAR}|\d\d)(?!\d)",
            rf"(?<!\d){_DAY}[ .-]{{1,2}}{_MONTH_NAME}[ .,-]{{1,2}}{_YEAR}",
            rf"\b{_MONTH_NAME}[ .]{{1,2}}\d{{1,2}},? {_YEAR}",
            r"(?<![\w.])\+\d[\d ()/-]{6,17}\d",  # telephone, international
            r"(?<![\w.])\(?\d{3,5}\)?[ /-]\d{3}[ -]\d{3,4}(?![\w.])",
            r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)",  # social security number
            r"(?<![\d.])\d{7,}(?![\d.])",  # record numbers
            r"\b(?:dr|prof|mr|mrs|ms|herrn?|frau|mme|sig|doctor|docteur)\b\.? {1,2}[^\W\d_]{2}",
            r"[^\W\d_]{2,}\^[^\W\d_]",  # DICOM's own way to write a name
            r"\b(?:name|dob|mrn|born|ssn|geb|pat(?:ient)?[ _-]?(?:id|nr|no))\.?\s{0,2}[:=#]",
        )
    ),
    re.IGNORECASE,
)
_DUMMY = re.compile(
    r"(?:anon(?:ymous|ymi[sz]ed)?|dummy|removed|de-?identified|unknown|none|no value|x+)\Z",
    re.IGNORECASE,
)


def looks_identifying(text: str) -> bool:
    """Whether a text holds something of the shape of an identifier."""
    return _SHAPES.search(text) is not None


def is_dummy(text: str) -> bool:
    """Whether a text is one of the words that tools write in place of a value."""
    return _DUMMY.match(text.strip(" ^\0")) is not None
