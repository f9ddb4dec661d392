"""Foreign bytes and texts made fit for a record."""

LONGEST = 1024
_CUT = "…"


def plain(value: bytes | str, *, at_most: int = LONGEST) -> str:
    r"""Return `value` as text that every record takes: bytes that are no UTF-8 become `\xNN`.

    Lone surrogates are escaped likewise; what is too long ends with an ellipsis.
    """
    data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    # No text grows shorter in characters than a quarter of its bytes: cut before decoding.
    text = data[: 4 * at_most + 4].decode("utf-8", "backslashreplace")
    return text if len(text) <= at_most else text[: at_most - 1] + _CUT
