"""A DNS server for a cluster's Services, as CoreDNS answers: the Service's address, or those of its ready endpoints.

A headless Service without a ready endpoint has no record.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import Any, cast

_A, _IN = 1, 1
_ANSWER = 0x8580
"""A response, authoritative, recursion desired and available."""
_NO_SUCH_NAME = 3


def names(services: Mapping[str, Any], endpoints: Mapping[str, Any]) -> dict[str, list[str]]:
    """The addresses of each name, by the API's lists of Services and Endpoints; a name without any is left out."""
    ready = {
        _name(each): [
            address["ip"] for subset in each.get("subsets") or () for address in subset.get("addresses") or ()
        ]
        for each in endpoints["items"]
    }
    addresses = {
        _name(each): ready.get(_name(each), []) if each["spec"]["clusterIP"] == "None" else [each["spec"]["clusterIP"]]
        for each in services["items"]
    }
    return {name: found for name, found in addresses.items() if found}


def _name(each: Mapping[str, Any]) -> str:
    return f"{each['metadata']['name']}.{each['metadata']['namespace']}.svc.cluster.local"


def answer(query: bytes, known: Mapping[str, list[str]]) -> bytes:
    """The answer to a query with one question."""
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode().lower())
        at += 1 + length
    kind, of = struct.unpack_from("!HH", query, at + 1)
    found = known.get(".".join(labels))
    addresses = (found or []) if (kind, of) == (_A, _IN) else []
    flags = _ANSWER | (0 if found else _NO_SUCH_NAME)
    head = query[:2] + struct.pack("!HHHHH", flags, 1, len(addresses), 0, 0)
    # Each record: a pointer to the name in the question, A, IN, no time to live, four bytes.
    records = [struct.pack("!HHHIH", 0xC00C, _A, _IN, 0, 4) + IPv4Address(each).packed for each in addresses]
    return head + query[12 : at + 5] + b"".join(records)


class _Server(asyncio.DatagramProtocol):
    def __init__(self, known: Mapping[str, list[str]]) -> None:
        self._known = known
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # which it is, though no instance in Python 3.11

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        assert self._transport is not None
        self._transport.sendto(answer(data, self._known), addr)


@asynccontextmanager
async def serving_names(host: str, known: Mapping[str, list[str]]) -> AsyncIterator[int]:
    """A server on a free UDP port of `host`, which it yields; it answers by what `known` has at the moment."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Server(known), local_addr=(host, 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()
