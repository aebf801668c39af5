"""What `nc` prints, and what it proves: what is not in the table of docs/proof.md is unknown."""

import pytest

from exporter.foundation.view import ProbeResult
from webhook.runbook.cloud_controller import MAX_WORDS, bash, nc, read_nc
from webhook.writer import ExecResult

HOST = "diego-api.cf.svc.cluster.local"
REFUSED = ExecResult(1, f"nc: connect to {HOST} (10.96.0.89) port 8889 (tcp) failed: Connection refused\n")
SUCCEEDED = ExecResult(0, f"Connection to {HOST} (10.96.0.89) 8889 port [tcp/*] succeeded!\n")
NO_NAME = ExecResult(1, f'nc: getaddrinfo for host "{HOST}" port 8889: Name or service not known\n')
NC_MISSING = ExecResult(127, "env: 'nc': No such file or directory\n")
LINES = {
    "refused": "nc: connect to h (10.96.0.89) port 8889 (tcp) failed: Connection refused",
    "timed out": "nc: connect to h (10.96.0.90) port 8889 (tcp) timed out: Operation now in progress",
    "no route": "nc: connect to h (fd00::1) port 8889 (tcp) failed: No route to host",
    "denied": "nc: connect to h (fd00::2) port 8889 (tcp) failed: Permission denied",
    "resolver failed": 'nc: getaddrinfo for host "h" port 8889: Temporary failure in name resolution',
    "beside": "10.96.0.89: inverse host lookup failed: Unknown host",
}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (SUCCEEDED, ProbeResult.SUCCESS),
        (ExecResult(0), ProbeResult.SUCCESS),
        (ExecResult(0, "Connection refused, then connected to the other address"), ProbeResult.SUCCESS),
        (REFUSED, ProbeResult.REFUSED),
        (ExecResult(1, "nc: connect to h port 8889 (tcp) failed: Connection timed out"), ProbeResult.TIMEOUT),
        (ExecResult(1, "nc: connect to h port 8889 (tcp) timed out: Operation now in progress"), ProbeResult.TIMEOUT),
        (ExecResult(1, "nc: connect to h port 8889 (tcp) failed: No route to host"), ProbeResult.UNREACHABLE),
        (ExecResult(1, "nc: connect to h port 8889 (tcp) failed: Network is unreachable"), ProbeResult.UNREACHABLE),
        (NO_NAME, ProbeResult.DNS),
        (
            ExecResult(1, 'nc: getaddrinfo for host "h" port 8889: No address associated with hostname'),
            ProbeResult.DNS,
        ),
        (
            ExecResult(
                1, "nc: connect to h (fd00::1) failed: Network is unreachable\nnc: … failed: Connection refused"
            ),
            ProbeResult.UNREACHABLE,
        ),
    ],
)
def test_what_the_table_knows(answer: ExecResult, expected: ProbeResult) -> None:
    assert read_nc(answer)[0] is expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["refused", "refused"], ProbeResult.REFUSED),
        (["refused", "timed out"], ProbeResult.REFUSED),
        (["no route", "refused"], ProbeResult.UNREACHABLE),
        (["beside", "refused", ""], ProbeResult.REFUSED),
        (["refused", "denied"], ProbeResult.ERROR),
        (["denied", "refused"], ProbeResult.ERROR),
        (["refused", "resolver failed"], ProbeResult.ERROR),
        (["refused", "junk"], ProbeResult.ERROR),
        (["beside"], ProbeResult.ERROR),
        (["", "  "], ProbeResult.ERROR),
    ],
)
def test_of_several_addresses_each_line_must_be_in_the_table(lines: list[str], expected: ProbeResult) -> None:
    """A known line beside one that is not known proves nothing: the BBS may be behind the other address."""
    stderr = "\n".join(LINES.get(line, line) for line in lines)

    assert read_nc(ExecResult(1, stderr))[0] is expected


@pytest.mark.parametrize(
    "answer",
    [
        ExecResult(1),
        ExecResult(1, "junk"),
        ExecResult(1, "\ufffd\x00\x1b[31m"),
        ExecResult(1, 'nc: getaddrinfo for host "h" port 8889: Temporary failure in name resolution'),
        ExecResult(1, 'nc: getaddrinfo for host "h" port 8889: Non-recoverable failure in name resolution'),
        ExecResult(1, "nc: connect to h port 8889 (tcp) failed: Permission denied"),
        ExecResult(1, "nc: connect to h port 8889 (tcp) failed: Operation now in progress"),
        ExecResult(2, "nc: connect to h port 8889 (tcp) failed: Connection refused"),
        ExecResult(124, "nc: connect to h port 8889 (tcp) failed: Connection timed out"),
        ExecResult(126, "env: 'nc': Permission denied"),
        ExecResult(137, ""),
        ExecResult(-1, "Connection refused"),
        ExecResult(None, "nc: connect to h port 8889 (tcp) failed: Connection refused", "cut off"),
        ExecResult(None, "", "no answer within 20 s"),
        NC_MISSING,
    ],
)
def test_what_is_not_in_the_table_is_unknown(answer: ExecResult) -> None:
    assert read_nc(answer)[0] is ProbeResult.ERROR


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ExecResult(1, "  two\n lines \n"), "exit code 1: two lines"),
        (ExecResult(1), "exit code 1"),
        (ExecResult(None, "", "no answer within 20 s"), "no exit code: no answer within 20 s"),
        (
            ExecResult(0, "Connection to h 8889 port [tcp/*] succeeded!\n"),
            "Connection to h 8889 port [tcp/*] succeeded!",
        ),
    ],
)
def test_it_keeps_the_words(answer: ExecResult, expected: str) -> None:
    assert read_nc(answer)[1] == expected


def test_what_a_pod_prints_is_cut_short() -> None:
    """It goes to the journal, which has a bound."""
    _, words = read_nc(ExecResult(1, "Connection refused " * 100_000))

    assert len(words) == MAX_WORDS


def test_the_documents_command_without_a_shell() -> None:
    assert nc("h", 8889) == ("env", "LC_ALL=C", "nc", "-zv", "-w", "5", "h", "8889")
    assert bash("h", 8889)[:6] == ("env", "LC_ALL=C", "timeout", "5", "bash", "-c")
    assert bash("$(reboot)", 1)[-2:] == ("$(reboot)", "1")
    assert "$(reboot)" not in bash("$(reboot)", 1)[6]
