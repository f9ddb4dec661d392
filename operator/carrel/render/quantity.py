"""Quantities in the one spelling that the API server keeps, so that equal reads as equal."""

_BINARY = ("Mi", "Gi", "Ti", "Pi")


def cpu(millis: int) -> str:
    """Return thousandths of a core as Kubernetes writes them: 1500 -> 1500m, 2000 -> 2."""
    return str(millis // 1000) if millis % 1000 == 0 else f"{millis}m"


def mebibytes(count: int) -> str:
    """Return MiB as Kubernetes writes them: 512 -> 512Mi, 2048 -> 2Gi."""
    suffix = 0
    while count and count % 1024 == 0 and suffix < len(_BINARY) - 1:
        count //= 1024
        suffix += 1
    return f"{count}{_BINARY[suffix]}"
