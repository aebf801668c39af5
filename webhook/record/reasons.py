"""Why a run ended as it did: a closed list. The metrics, docs/runs.md, the tests and the code share it."""

from enum import StrEnum
from typing import Self


class RunReason(StrEnum):
    """The first word of a run's `reason`; `sentence` explains it to a person."""

    sentence: str

    def __new__(cls, value: str, sentence: str = "") -> Self:
        """Members are written as (value, sentence)."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    # not needed
    REACHABLE = "reachable", "The Cloud Controller reaches the BBS: no restart is needed."
    NOT_RESTARTED = "not-restarted", "The BBS recovered before this run deleted a pod."
    # observe
    OBSERVE = "observe", "The mode is `observe`: the run would have deleted pods."
    # cancelled
    RESOLVED = "resolved", "Every alert that requested the run was resolved before the first delete."
    NOT_APPROVED = "not-approved", "Nobody approved the run within `approval_timeout`."
    # inconclusive
    CLOUD_CONTROLLER_DOWN = "cloud-controller-down", "No api pod is fully ready, so the BBS cannot be checked from one."
    EXEC_FAILED = "exec-failed", "The check inside an api pod did not return a result that proves anything."
    NC_MISSING = "nc-missing", "An api pod has no `nc`, and only `nc` proves that the BBS is unreachable."
    NAME_UNKNOWN = "name-unknown", "An api pod cannot resolve the BBS's name, and the Service is not known to be empty."
    PODS_DISAGREE = "pods-disagree", "Some api pods reach the BBS and others do not."
    FLAPPING = "flapping", "The BBS was reachable at one check and unreachable at the next."
    API_UNREACHABLE = "api-unreachable", "The API server did not answer in time."
    FORBIDDEN = "forbidden", "The API server refused a request: a permission is missing."
    DEADLINE = "deadline", "The run reached a time limit."
    PROOF_EXPIRED = "proof-expired", "The proof became too old before a pod could be deleted."
    INTERNAL_ERROR = "internal-error", "A defect in diego-medic ended the run. The log has the traceback."
    # guards
    PAUSED = "paused", "A person paused remediation."
    BREAKER_OPEN = "breaker-open", "The breaker opened while the run waited for approval."
    SPLIT_BRAIN = "split-brain", "Two or more diego-api pods may be active: a person must decide which one is right."
    BBS_SERVING = "bbs-serving", "A BBS accepts connections on its pod's address: the label or the Service is wrong."
    SCALED_DOWN = "scaled-down", "A StatefulSet is scaled to zero."
    ROLLOUT = "rollout", "A restart would deploy another revision of the StatefulSet."
    ALREADY_TERMINATING = "already-terminating", "Every pod is terminating already: somebody else restarts them."
    EXCLUDED = "excluded", "A StatefulSet has the annotation `diego-medic/exclude`."
    NO_TARGET = "no-target", "A StatefulSet does not exist or has no pods."
    MAX_PODS = "max-pods", "The restart would delete more pods than `max_pods` allows."
    FOREIGN_JOURNAL = "foreign-journal", "The journal's ConfigMap belongs to another foundation."
    JOURNAL_LOST = "journal-lost", "The journal is missing or unreadable: a person must run `diego-runbook reset`."
    # failed
    DELETE_REFUSED = "delete-refused", "The API server refused to delete a pod."
    STILL_TERMINATING = "still-terminating", "A deleted pod did not terminate in time."
    NOT_CREATED = "not-created", "A replacement pod was not created in time."
    NOT_READY = "not-ready", "A replacement pod did not become fully ready in time."
    NO_ACTIVE_LABEL = "no-active-label", "No diego-api pod was labelled active in time."
    MULTIPLE_ACTIVE = "multiple-active", "More than one diego-api pod is labelled active."
    UNREACHABLE = "unreachable", "The Cloud Controller does not reach the BBS after the restart."
    NOT_VERIFIED = "not-verified", "The check after the restart was inconclusive."


GUARDS = frozenset(
    {
        RunReason.PAUSED,
        RunReason.BREAKER_OPEN,
        RunReason.SPLIT_BRAIN,
        RunReason.BBS_SERVING,
        RunReason.SCALED_DOWN,
        RunReason.ROLLOUT,
        RunReason.ALREADY_TERMINATING,
        RunReason.EXCLUDED,
        RunReason.NO_TARGET,
        RunReason.MAX_PODS,
        RunReason.FOREIGN_JOURNAL,
        RunReason.JOURNAL_LOST,
    }
)
"""Why a run is refused."""

PASSING_REFUSALS = frozenset(
    {RunReason.ALREADY_TERMINATING, RunReason.ROLLOUT, RunReason.SPLIT_BRAIN, RunReason.BBS_SERVING}
)
"""Guards that may stop applying without a person: a run that one of them refused is decided again after `retry`."""


def reason_of(text: str) -> RunReason | None:
    """The reason that a run's `reason` text starts with; None for an empty text or one of an older version."""
    word = text.partition(" ")[0]
    return next((reason for reason in RunReason if reason.value == word), None)
