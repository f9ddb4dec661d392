"""Makes the modules of images importable that run from folders of their own there."""

import sys
from pathlib import Path

_IMAGES = Path(__file__).resolve().parents[3] / "images"
for folder in (_IMAGES / "workspace", _IMAGES / "workspace" / "selfcheck", _IMAGES / "identity"):
    sys.path.insert(0, str(folder))
