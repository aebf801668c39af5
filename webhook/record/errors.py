"""Why the journal cannot be used, and why a process must not act any more."""

from webhook.record.reasons import RunReason


class JournalError(Exception):
    """The journal cannot be used; requests are refused for `reason`."""

    reason: RunReason


class JournalLostError(JournalError):
    """The journal is unreadable, or there was one and it is missing. Nothing is done until a person runs `reset`."""

    reason = RunReason.JOURNAL_LOST


class ForeignJournalError(JournalError):
    """The ConfigMap of this name belongs to another foundation."""

    reason = RunReason.FOREIGN_JOURNAL


class FencedError(Exception):
    """Another process has taken the lease: this one must not act any more."""
