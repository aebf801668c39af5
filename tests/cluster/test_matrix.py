"""A sample of the fault matrix; `make fault-matrix` plays all of it: docs/fault-matrix.md."""

from pathlib import Path

import pytest

from tests.matrix.cell import Cell, play
from tests.matrix.table import chosen
from tests.matrix.tail import Tail
from tests.support.cluster import RealCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

SAMPLE = chosen(["none/await-wait", "stopped/intent", "api-killed/delete", "back/intent", "nc/restart"])


@pytest.mark.parametrize("cell", SAMPLE, ids=[cell.key for cell in SAMPLE])
async def test_a_fault_at_a_crash_point(cell: Cell, real_cluster: RealCluster, tmp_path: Path) -> None:
    tail = Tail(real_cluster.environment)
    tail.here()

    result = await play(cell, tail, tmp_path)

    assert result.violations == [], result
