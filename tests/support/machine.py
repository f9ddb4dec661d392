"""What figures were measured on."""

import os
import platform
import re
from pathlib import Path


def machine() -> dict[str, object]:
    """Return cores, memory, kernel, Python and the load at this moment."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    assert found
    return {
        "cores": os.cpu_count(),
        "memoryMiB": int(found[1]) // 1024,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "loadBefore": [round(each, 1) for each in os.getloadavg()],
    }
