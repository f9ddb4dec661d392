"""`python3 -m settle REALM.json`: make or renew the realm, say so in one line, and end."""

import sys
from pathlib import Path

from settle.volume import SettleError, settle

HOME = Path("/opt/keycloak")

if __name__ == "__main__":
    try:
        print(settle(Path(sys.argv[1]), home=HOME))  # noqa: T201 - the one line of an init container
    except (SettleError, OSError, ValueError) as error:
        sys.exit(f"settle: {error}")
