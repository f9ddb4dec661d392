"""How hard the laws are tried: quickly in `make check`, long in `make soak`.

`CARREL_LAWS=soak` tries each law 2,000 times. There is no deadline per example: other work on
the machine would decide whether a law holds.
"""

import os

from hypothesis import HealthCheck, settings

for profile, examples in (("quick", 30), ("soak", 2000)):
    settings.register_profile(
        profile,
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(os.environ.get("CARREL_LAWS", "quick"))
