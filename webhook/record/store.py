"""Where the journal is stored: one ConfigMap, changed by compare-and-swap only.

Callers pass a pure function of the journal. Those that arrive during a write are applied together by the next one, so
that two hundred notifications at once cost a few writes.

The Lease of the same name remembers the journal, by the UID of its ConfigMap: it is created after the first journal. So
a Lease without a ConfigMap, or with another one, means that the journal is lost, also to a process that has just
started.
"""

import asyncio
from contextlib import suppress
from typing import TypeVar

import msgspec

from exporter.config.model import Foundation
from exporter.foundation.pulse import Pulse
from exporter.kubernetes.api import ApiUnreachableError, ConflictError, NotFoundError
from exporter.kubernetes.objects import Metadata
from webhook.record.batch import Change, apply, claimed, fail, fenced
from webhook.record.encoding import JournalUnreadableError, decode, encode
from webhook.record.errors import ForeignJournalError, JournalLostError
from webhook.record.journal import MAX_BYTES, Journal
from webhook.record.lease import JOURNAL_UID
from webhook.writer import ConfigMap, Writer

R = TypeVar("R")

_KEY = "journal.json"
_OWNER = "foundation"
_LOST = "lost"
_ATTEMPTS = 20
_MIN_WAIT, _MAX_WAIT = 0.05, 1.0  # seconds between attempts


def journal_name(foundation: Foundation) -> str:
    """The name of the ConfigMap and of the Lease, in the foundation's namespace."""
    return f"diego-medic-{foundation.diego_api.statefulset[0]}"


class Store:
    """Reads and changes the journal of one foundation. Raises KubernetesError and JournalError."""

    def __init__(self, *, name: str, foundation: str, writer: Writer) -> None:
        self.name = name
        self.foundation = foundation
        self.journal: Journal | None = None  # as last read or written
        self.changed = Pulse()  # at every change that is seen
        self.seen_at: float | None = None  # the loop's time at which `journal` was last known to be true
        self._last: Journal | None = None
        self._text: tuple[str, Journal] | None = None  # what was decoded last: a journal rarely changes
        self._writer = writer
        self._metadata: Metadata | None = None  # of the ConfigMap that `journal` was read from; None: there is none yet
        self._beside: dict[str, str] = {}  # what else stands in the ConfigMap, and stays there
        self._uid = ""  # of the ConfigMap that is the journal
        self._known = False
        self._lock = asyncio.Lock()
        self._queue: list[tuple[Change[object], asyncio.Future[object]]] = []

    def recent(self, age: float) -> Journal | None:
        """The journal as last seen, if that was at most `age` seconds ago."""
        if self.seen_at is None or asyncio.get_running_loop().time() - self.seen_at > age:
            return None
        return self._last

    @property
    def uid(self) -> str:
        """The UID of the journal's ConfigMap; empty while it is not known."""
        return self._uid

    @property
    def epoch(self) -> int:
        """The last holder's epoch that was seen in the journal, also while it cannot be read."""
        return self._last.epoch if self._last is not None else 0

    async def refresh(self) -> Journal:
        """Reads the journal as it is now; a foundation that was never acted on has an empty one."""
        async with self._lock:
            return await self._read()

    async def update(self, change: Change[R], *, epoch: int | None = None) -> R:
        """Applies a change and returns its second value, once the first is on record.

        With `epoch` (the holder's, from its lease) the change is refused with FencedError where a later holder has
        written, and marks the journal as this holder's.
        """
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._queue.append((fenced(change, epoch), future))
        try:
            async with self._lock:
                if not future.done():
                    await self._flush()
        finally:
            future.cancel()  # of a caller that was cancelled while it waited: its change is dropped
        return future.result()  # type: ignore[return-value] # the queue holds changes of any type

    async def claim(self, epoch: int) -> None:
        """The first write of a holder: from now on those before it are refused. Raises FencedError as well."""
        await self.update(claimed(epoch))

    async def _flush(self) -> None:
        batch, self._queue = self._queue, []
        try:
            await self._commit(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, each caller of the batch is told
            for _, future in batch:
                fail(future, error)
        except BaseException:
            # This caller gives up; the others wait for the lock, and the first of them takes the whole batch again.
            self._queue = batch + self._queue
            raise

    async def _commit(self, batch: list[tuple[Change[object], asyncio.Future[object]]]) -> None:
        wait = _MIN_WAIT
        for _ in range(_ATTEMPTS):
            journal = self.journal if self.journal is not None else await self._read()
            changed, results = apply(batch, journal)
            try:
                if changed != journal:
                    await self._write(changed)
                elif await self._read() != journal:
                    continue  # that there is nothing to write was true of an old journal only
            except ConflictError:  # somebody else wrote: read again, apply again
                await asyncio.sleep(wait)
                wait = min(wait * 2, _MAX_WAIT)
                continue
            for future, result, refused in results:
                if refused is not None:
                    fail(future, refused)
                elif not future.done():
                    future.set_result(result)
            return
        raise ApiUnreachableError(f"the journal could not be written: {_ATTEMPTS} conflicts in a row")

    async def _read(self) -> Journal:
        try:
            found = await self._writer.read_config_map(self.name)
            journal = self._decode(found)
            await self._recognize(found)
        except NotFoundError:
            self.journal = None
            if self._known or await self._was_there():
                self._known = True
                raise JournalLostError(f"ConfigMap {self.name} was there and is missing") from None
            self._metadata = None
            return self._seen(Journal(foundation=self.foundation))
        except BaseException:
            self.journal = None
            raise
        return self._seen(journal)

    async def _recognize(self, found: ConfigMap) -> None:
        """Raises JournalLostError where the ConfigMap is not the one that the Lease remembers."""
        uid = found.metadata.uid
        if not uid:
            raise ApiUnreachableError(f"not an answer of Kubernetes: ConfigMap {self.name} without a UID")
        if uid == self._uid:
            return
        remembered = (await self._lease_annotations()).get(JOURNAL_UID, uid)
        if remembered != uid:
            raise JournalLostError(f"ConfigMap {self.name} was replaced: the Lease remembers another one")
        self._uid = uid

    async def _lease_annotations(self) -> dict[str, str]:
        try:
            return (await self._writer.read_lease(self.name)).metadata.annotations or {}
        except NotFoundError:
            return {}

    async def _was_there(self) -> bool:
        """Whether there was a journal, although this process has never read it. Raises KubernetesError."""
        if await self._transitions() is None:
            return False
        try:
            # Another replica may have created both between the two reads.
            await self._writer.read_config_map(self.name)
        except NotFoundError:
            return True
        return False

    async def _transitions(self) -> int | None:
        """The epoch that the Lease remembers; None where there is no Lease."""
        try:
            return (await self._writer.read_lease(self.name)).spec.lease_transitions or 0
        except NotFoundError:
            return None

    def _decode(self, found: ConfigMap) -> Journal:
        data = found.data or {}
        if data.get(_OWNER, self.foundation) != self.foundation:
            raise ForeignJournalError(f"ConfigMap {self.name} is the journal of foundation {data[_OWNER]}")
        self._known = True
        try:
            journal = self._decode_text(data[_KEY])
        except KeyError:
            raise JournalLostError(f"ConfigMap {self.name} has no {_KEY}") from None
        except JournalUnreadableError as error:
            raise JournalLostError(f"ConfigMap {self.name} is not readable: {error}") from error
        if journal.foundation != self.foundation:
            raise ForeignJournalError(f"ConfigMap {self.name} is the journal of foundation {journal.foundation}")
        self._metadata = found.metadata
        self._beside = data
        return journal

    def _decode_text(self, text: str) -> Journal:
        if self._text is None or self._text[0] != text:
            self._text = text, decode(text)
        return self._text[1]

    async def _write(self, journal: Journal) -> None:
        text = encode(journal)
        data = self._beside | {_OWNER: self.foundation, _KEY: text}
        self.journal = None  # until the answer is there, what stands in the cluster is not known
        if self._metadata is not None:
            try:
                written = await self._writer.update_config_map(self.name, data, read=self._metadata)
            except NotFoundError:
                raise JournalLostError(f"ConfigMap {self.name} was there and is missing") from None
        else:
            if await self._was_there():
                raise JournalLostError(f"ConfigMap {self.name} was there and is missing")
            written = await self._writer.create_config_map(self.name, data)
            # Since the Lease was asked for, another process may have created both, and a person deleted the journal.
            await self._recognize(written)
        self._metadata = written.metadata
        self._known = True
        self._seen(self._decode_text(text))  # what was trimmed is gone here as well

    def _seen(self, journal: Journal) -> Journal:
        if journal != self._last:
            self.changed()
        self.journal = self._last = journal
        self.seen_at = asyncio.get_running_loop().time()
        return journal

    async def ensure(self) -> None:
        """Creates an empty journal where there is none. It must exist before the Lease: see the module's docstring."""
        async with self._lock:
            journal = await self._read()
            if self._metadata is None:
                try:
                    await self._write(journal)
                except ConflictError as error:  # another process was faster, or somebody else objects
                    await self._read()
                    if self._metadata is None:
                        raise ApiUnreachableError(f"the journal could not be created: {error}") from error

    async def reset_lost(self) -> bool:
        """Creates a new journal where the old one is lost; its text is kept beside it. False: it was not lost.

        The epoch is kept, by what the Lease and this process know: an older holder stays fenced.
        """
        async with self._lock:
            try:
                await self._read()
            except JournalLostError:
                pass
            else:
                return False
            epoch = max(self.epoch, await self._transitions() or 0)
            self._known = False
            fresh = {_OWNER: self.foundation, _KEY: encode(Journal(foundation=self.foundation, epoch=epoch))}
            try:
                found = await self._writer.read_config_map(self.name)
            except NotFoundError:
                written = await self._writer.create_config_map(self.name, fresh)
            else:
                lost = (found.data or {}).get(_KEY)
                data = fresh | ({_LOST: lost[:MAX_BYTES]} if lost is not None else {})
                written = await self._writer.update_config_map(self.name, data, read=found.metadata)
            await self._remember(written.metadata.uid)
            await self._read()
            return True

    async def _remember(self, uid: str) -> None:
        """Tells the Lease, if there is one, which ConfigMap is the journal from now on."""
        with suppress(NotFoundError):
            lease = await self._writer.read_lease(self.name)
            annotations = (lease.metadata.annotations or {}) | {JOURNAL_UID: uid}
            metadata = msgspec.structs.replace(lease.metadata, annotations=annotations)
            await self._writer.update_lease(self.name, lease.spec, read=metadata)
