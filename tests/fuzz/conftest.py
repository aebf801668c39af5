"""How many examples: a few, and always the same, with the other tests; many, by chance, with `make fuzz`."""

import os

from hypothesis import HealthCheck, Phase, settings

FEW = 200
"""A file has some ten seconds; a test may ask for fewer or more with `few`."""

_slow = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
settings.register_profile(
    "few", max_examples=FEW, derandomize=True, deadline=None, database=None, suppress_health_check=_slow
)
settings.register_profile(
    "many",
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "1000")),
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=_slow,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
settings.load_profile("many" if "FUZZ_EXAMPLES" in os.environ else "few")
