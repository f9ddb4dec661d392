"""Makes the workspace image's own modules importable: they run from /opt/carrel in the image."""

import sys
from pathlib import Path

_WORKSPACE = Path(__file__).resolve().parents[3] / "images" / "workspace"
for folder in (_WORKSPACE, _WORKSPACE / "selfcheck"):
    sys.path.insert(0, str(folder))
