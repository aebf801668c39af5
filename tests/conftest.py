"""Fixtures for all tests."""

import asyncio

from tests.support.cluster import real_cluster

__all__ = ["real_cluster"]

# Once a loop was set, even to none, asyncio makes none up. looptime asks for the current one before each test, and what
# asyncio made up for a synchronous one would be left unclosed: a ResourceWarning in whichever test runs when it goes.
asyncio.set_event_loop(None)
