"""A sample of the fault matrix (docs/fault-matrix.md): who holds the lease dies around a DELETE, or is fenced."""

from pathlib import Path

import pytest

from tests.matrix.cell import play
from tests.matrix.table import chosen
from tests.matrix.tail import Tail
from tests.support.cluster import RealCluster

pytestmark = pytest.mark.cluster

CONTROL = "none/await"
"""Nothing but a process that is killed where nothing is at stake."""
SAMPLE = (CONTROL, "none/intent", "stopped/delete", "stolen/between", "storm/confirm-wait", "back/intent")


@pytest.mark.parametrize("key", SAMPLE)
async def test_a_cell_of_the_fault_matrix(key: str, real_cluster: RealCluster, tmp_path: Path) -> None:
    (cell,) = chosen([key])
    tail = Tail(real_cluster.environment)
    tail.here()

    result = await play(cell, tail, tmp_path)

    assert result.violations == [], f"{result}\nlogs in {tmp_path}"
