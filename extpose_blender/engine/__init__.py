"""The library: what turns a clip into motion. Import from its modules."""

import os

# The many small matrices here gain nothing from BLAS threads, which spin while they wait for each other: on a
# busy machine a solve of half a second then takes half a minute. Read when numpy and scipy load their BLAS.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
