"""Connections that no foundation uses any more, in virtual time."""

import asyncio

import pytest

from exporter.kubernetes.connection import LINGER, Connection, Connections

pytestmark = pytest.mark.looptime


async def test_what_a_reload_leaves_behind_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A medic that is stopped gives its lease back on it."""
    closed: list[Connection] = []

    async def close(connection: Connection) -> None:
        closed.append(connection)

    monkeypatch.setattr(Connection, "close", close)
    connections = Connections()
    used, unused = (connections.connection(kubeconfig=name, context=None) for name in "ab")

    connections.retain([("a", None)])
    await asyncio.sleep(LINGER - 1)
    assert closed == []
    await asyncio.sleep(2)
    assert closed == [unused]
    assert connections.connection(kubeconfig="a", context=None) is used
