"""Where a pod is deleted: the only place. It deletes pods on the run's list, by name and UID, and each at most once.

The pods were listed by the pre-flight check of `webhook.runbook`, after the Cloud Controller proved that it does not
reach the BBS and no guard tripped. Before each delete the journal is read again, and the intent is written.
"""

import asyncio
import logging

import msgspec

from exporter.kubernetes.api import PODS, ApiError, KubernetesError, NotFoundError
from webhook.record.journal import Outcome, PodRecord, Run
from webhook.runbook.execution import End, Execution
from webhook.writer import Deleted, Writer

log = logging.getLogger(__name__)

PATIENCE = 120.0
"""Seconds for which the fate of one pod is asked for while the API server does not say."""
_WAIT = 2.0


async def delete_listed(pod: PodRecord, *, execution: Execution, writer: Writer) -> None:
    """Deletes one pod of the run's list, as the document's step 5 says, and puts on record how it went.

    Raises End: paused, every alert resolved, or the API server does not say what became of the pod.
    """
    await execution.checkpoint()
    if pod.intent is None:
        await execution.intend(pod.uid)
        answer = await _delete(pod, execution, writer)
    else:  # the intent is of a process that died: whether it came to the delete is to be found out
        answer = await _insist(pod, execution, writer)
    log.info("pod", extra={"run": execution.run.id, "pod": pod.name, "uid": pod.uid, "answer": answer})
    await execution.save(lambda run: answered(run, uid=pod.uid, answer=answer, deleted=True))


def answered(run: Run, *, uid: str, answer: str, deleted: bool) -> Run:
    """The run with what became of the pod with this UID."""
    pods = tuple(
        msgspec.structs.replace(pod, answer=answer, deleted=deleted) if pod.uid == uid else pod for pod in run.pods
    )
    return msgspec.structs.replace(run, pods=pods)


async def fate(pod: PodRecord, *, writer: Writer) -> Deleted | None:
    """What became of a pod whose delete was not answered: it is read, and its UID compared. None: it stands untouched.

    Raises End where the API server does not say for `PATIENCE`.
    """
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        try:
            found = await writer.get(PODS, pod.name)
        except NotFoundError:
            return Deleted.GONE
        except KubernetesError as error:
            _stop_where_refused(pod, error)
            if asyncio.get_running_loop().time() >= deadline:
                raise End(Outcome.FAILED, "deadline", f"what became of {pod.name} is not known: {error}") from error
            await asyncio.sleep(_WAIT)
        else:
            if found.uid != pod.uid:
                return Deleted.REPLACED
            return Deleted.ACCEPTED if found.terminating else None


async def _delete(pod: PodRecord, execution: Execution, writer: Writer) -> Deleted:
    try:
        answer = await writer.delete_pod(pod.name, uid=pod.uid)
        if answer is not Deleted.CONFLICT:
            return answer
        log.warning("a delete was refused with a conflict", extra={"pod": pod.name})
    except KubernetesError as error:
        _stop_where_refused(pod, error)
        log.warning("a delete was not answered", extra={"pod": pod.name, "error": str(error)})
    return await _insist(pod, execution, writer)


async def _insist(pod: PodRecord, execution: Execution, writer: Writer) -> Deleted:
    """Where the pod stands untouched the delete never took effect, and is sent again: for this UID and no other.

    Only after what may have changed since the first was asked again.
    """
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        gone = await fate(pod, writer=writer)
        if gone is not None:
            return gone
        await execution.checkpoint()
        try:
            answer = await writer.delete_pod(pod.name, uid=pod.uid)
            if answer is not Deleted.CONFLICT:
                return answer
            why = "409 Conflict"
        except KubernetesError as error:
            _stop_where_refused(pod, error)
            why = str(error)
        if asyncio.get_running_loop().time() >= deadline:
            raise End(Outcome.FAILED, "deadline", f"{pod.name} could not be deleted: {why}")
        await asyncio.sleep(_WAIT)


def _stop_where_refused(pod: PodRecord, error: KubernetesError) -> None:
    """Raises End where the API server said no; 429 says later."""
    if isinstance(error, ApiError) and 400 <= error.status < 500 and error.status != 429:
        raise End(Outcome.FAILED, f"delete-refused {pod.name}", str(error)) from error
