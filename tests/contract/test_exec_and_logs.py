"""What a program in a container says, to the letter: the proofs of the runbook are read from these words."""

import aiohttp
import pytest

from tests.contract.conftest import HOST, Kube, over_http

BASH = ["env", "LC_ALL=C", "timeout", "5", "bash", "-c", 'exec 3<>"/dev/tcp/$1/$2"', "probe"]


async def address(kube: Kube) -> str:
    """The Service's."""
    found = await kube.found(f"{kube.core}/services/diego-api")
    return str(found["spec"]["clusterIP"])


async def passive(kube: Kube) -> str:
    """The address of the pod that does not serve."""
    (pod,) = [pod for pod in await kube.pods() if pod["metadata"]["labels"]["skiff-role-active"] == "false"]
    return str(pod["status"]["podIP"])


async def test_nc_that_succeeds(kube: Kube) -> None:
    result = await kube.nc()
    assert (result.code, result.stdout) == (0, "")
    expected = f"Connection to {HOST} ({await address(kube)}) 8889 port [tcp/*] succeeded!\n"
    assert result.stderr == expected
    assert result.status == {"metadata": {}, "status": "Success"}


async def test_nc_that_succeeds_on_an_address(kube: Kube) -> None:
    ip = await address(kube)
    assert (await kube.nc(ip)).stderr == f"Connection to {ip} 8889 port [tcp/*] succeeded!\n"


async def test_nc_that_is_refused(kube: Kube) -> None:
    ip = await passive(kube)
    result = await kube.nc(ip)
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr == f"nc: connect to {ip} port 8889 (tcp) failed: Connection refused\n"
    assert result.status["reason"] == "NonZeroExitCode"
    expected = f"error executing command [env LC_ALL=C nc -zv -w 5 {ip} 8889], exit code 1"
    assert result.status["message"] == f"command terminated with non-zero exit code: {expected}"


async def test_nc_by_name_when_no_pod_is_behind_the_service(kube: Kube) -> None:
    """The incident as the Cloud Controller sees it."""
    await kube.fault("locket-db-down")

    async def empty() -> bool:
        return await kube.endpoints() == []

    await kube.eventually(empty)

    async def refused() -> bool:  # the network follows the API a moment later
        result = await kube.nc()
        expected = f"nc: connect to {HOST} ({await address(kube)}) port 8889 (tcp) failed: Connection refused\n"
        return (result.code, result.stderr) == (1, expected)

    await kube.eventually(refused)


async def test_nc_that_times_out(kube: Kube) -> None:
    """An address where nobody is; on the sandbox's network, as on the real one, packets to it are lost."""
    ip = (await address(kube)).rsplit(".", 1)[0] + ".251"
    result = await kube.nc(ip, wait=1)
    assert result.code == 1
    assert result.stderr == f"nc: connect to {ip} port 8889 (tcp) timed out: Operation now in progress\n"


async def test_nc_with_a_name_that_is_not_there(kube: Kube) -> None:
    host = "nosuch.cf.svc.cluster.local"
    result = await kube.nc(host)
    assert result.code == 1
    assert result.stderr == f'nc: getaddrinfo for host "{host}" port 8889: Name or service not known\n'


async def test_nc_that_is_missing(kube: Kube) -> None:
    await kube.fault("no-nc")
    result = await kube.nc()
    assert (result.code, result.stderr) == (127, "env: 'nc': No such file or directory\n")
    await kube.fault("yes-nc")
    assert (await kube.nc()).code == 0


async def test_a_program_that_is_missing_without_env_is_no_exit_code(kube: Kube) -> None:
    result = await kube.exec(f"{kube.core}/pods/api-0", ["nosuch"], container="api")
    assert result.code is None
    assert (result.status["status"], result.status["reason"], result.status["code"]) == (
        "Failure",
        "InternalError",
        500,
    )
    assert 'exec: "nosuch": executable file not found in $PATH' in result.status["message"]


async def test_bash_that_succeeds(kube: Kube) -> None:
    result = await kube.exec(f"{kube.core}/pods/api-0", [*BASH, HOST, "8889"], container="api")
    assert (result.code, result.stdout, result.stderr) == (0, "", "")


async def test_bash_that_is_refused(kube: Kube) -> None:
    ip = await passive(kube)
    result = await kube.exec(f"{kube.core}/pods/api-0", [*BASH, ip, "8889"], container="api")
    assert result.code == 1
    expected = f"probe: connect: Connection refused\nprobe: line 1: /dev/tcp/{ip}/8889: Connection refused\n"
    assert result.stderr == expected


async def test_bash_that_times_out(kube: Kube) -> None:
    # Not the address that nc has asked: who was not found is remembered for a while, and then there is no route to it.
    ip = (await address(kube)).rsplit(".", 1)[0] + ".252"
    argv = ["env", "LC_ALL=C", "timeout", "1", *BASH[4:], ip, "8889"]
    result = await kube.exec(f"{kube.core}/pods/api-0", argv, container="api")
    assert (result.code, result.stderr) == (124, "")


async def test_bash_with_a_name_that_is_not_there(kube: Kube) -> None:
    host = "nosuch.cf.svc.cluster.local"
    result = await kube.exec(f"{kube.core}/pods/api-0", [*BASH, host, "8889"], container="api")
    assert result.code == 1
    first, second = f"line 1: {host}: Name or service not known", f"line 1: /dev/tcp/{host}/8889: Invalid argument"
    assert result.stderr == f"probe: {first}\nprobe: {second}\n"


async def test_a_program_that_timeout_does_not_find(kube: Kube) -> None:
    argv = ["env", "LC_ALL=C", "timeout", "5", "nosuch"]
    result = await kube.exec(f"{kube.core}/pods/api-0", argv, container="api")
    expected = "timeout: failed to run command 'nosuch': No such file or directory\n"
    assert (result.code, result.stderr) == (127, expected)


async def test_standard_output_is_a_channel_of_its_own(kube: Kube) -> None:
    result = await kube.exec(f"{kube.core}/pods/api-0", ["echo", "hello"], container="api")
    assert (result.code, result.stdout, result.stderr) == (0, "hello\n", "")


@pytest.mark.parametrize(
    ("pod", "container", "code"), [("api-0", "nosuch", 400), ("nosuch", "api", 404), ("api-0", None, 400)]
)
async def test_exec_where_there_is_no_such_container(kube: Kube, pod: str, container: str | None, code: int) -> None:
    """Two containers and none named is refused as well."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await kube.exec(f"{kube.core}/pods/{pod}", ["true"], container=container)
    assert refused.value.status == code


@over_http
async def test_exec_has_no_json_to_give(kube: Kube) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await kube.exec(f"{kube.core}/pods/api-0", ["true"], container="api", accept="application/json")
    assert refused.value.status == 406


async def test_exec_without_an_upgrade_is_refused(kube: Kube) -> None:
    answer = await kube.get(f"{kube.core}/pods/api-0/exec", command="true", container="api", stdout="true")
    assert answer.reason == (400, "BadRequest")
    assert answer.json["message"] == "Upgrade request required"


async def test_the_log_of_the_active_bbs(kube: Kube) -> None:
    (active,) = await kube.endpoints()
    path = f"{kube.core}/pods/{active}/log"
    answer = await kube.get(path, container="diego-api", tailLines="1")
    assert (answer.code, answer.text) == (200, "acquired the lock\n")
    cut = await kube.get(path, container="diego-api", limitBytes="8")
    assert cut.text == "acquired"
    stamped = await kube.get(path, container="diego-api", timestamps="true")
    assert stamped.text.split(" ", 1)[1] == "acquired the lock\n"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({}, "a container name must be specified for pod diego-api-0, choose one of: [diego-api loggregator-agent]"),
        ({"container": "nosuch"}, "container nosuch is not valid for pod diego-api-0"),
        (
            {"container": "diego-api", "previous": "true"},
            'previous terminated container "diego-api" in pod "diego-api-0" not found',
        ),
    ],
)
async def test_logs_that_are_not_there(kube: Kube, query: dict[str, str], message: str) -> None:
    answer = await kube.get(f"{kube.core}/pods/diego-api-0/log", **query)
    assert answer.reason == (400, "BadRequest")
    assert answer.json["message"] == message
