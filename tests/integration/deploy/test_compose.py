"""docker-compose.yml and the Dockerfile, as far as they can be judged without Docker."""

import re
from typing import Any

import pytest
from compose_spec import PyCompose, PyOptions

from gateway.settings import Settings
from tests.support.compose import ROOT, compose, compose_text

_PRODUCT = {"rabbitmq", "redis", "postgres", "lark-service"}
_SERVERS = ("rabbitmq", "redis", "postgres")
_DOCKERFILE = (ROOT / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"]
    return found


def test_the_file_follows_the_compose_specification() -> None:
    PyOptions(apply_merge=True).from_yaml(compose_text()).validate()


def test_the_validator_refuses_a_key_that_compose_does_not_know() -> None:
    with pytest.raises(ValueError, match="stop_grace"):
        PyCompose.from_yaml("services: {a: {image: b, stop_grace: 3s}}")


def test_a_plain_start_runs_the_product_and_the_profile_adds_the_demo(
    services: dict[str, Any],
) -> None:
    plain = {name for name, service in services.items() if "profiles" not in service}
    demo = {name for name, service in services.items() if service.get("profiles") == ["demo"]}

    assert plain == _PRODUCT
    assert demo == {"sandbox", "demo"}


def test_everything_that_waits_waits_for_healthy_servers(services: dict[str, Any]) -> None:
    for name in ("lark-service", "demo"):
        conditions = services[name]["depends_on"]
        assert conditions == {server: {"condition": "service_healthy"} for server in _SERVERS}
    assert all("healthcheck" in services[name] for name in (*_PRODUCT, "sandbox"))


def test_every_port_is_open_on_loopback_only(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]

    assert len(ports) == 5
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_operators_reach_the_servers_from_the_machine_at_their_usual_ports(
    services: dict[str, Any],
) -> None:
    usual = {"rabbitmq": 5672, "redis": 6379, "postgres": 5432}

    for name, port in usual.items():
        assert services[name]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert services["postgres"]["environment"]["POSTGRES_USER"] == "lark"
    assert services["postgres"]["environment"]["POSTGRES_DB"] == "lark_service"


def test_every_server_keeps_its_data_in_a_named_volume(services: dict[str, Any]) -> None:
    named = set(compose()["volumes"])
    for server in _SERVERS:
        sources = {volume.partition(":")[0] for volume in services[server]["volumes"]}
        assert sources & named == {f"{server}-data"}


def test_every_mounted_file_is_in_the_repository(services: dict[str, Any]) -> None:
    mounted = [
        source
        for service in services.values()
        for volume in service.get("volumes", [])
        if (source := volume.partition(":")[0]).startswith("./")
    ]

    assert len(mounted) == 3
    assert all((ROOT / source).is_file() for source in mounted)


def test_every_config_that_is_mounted_is_defined(services: dict[str, Any]) -> None:
    mounted = {
        config["source"] for service in services.values() for config in service.get("configs", [])
    }

    assert mounted == set(compose()["configs"])


def test_the_gateway_is_given_time_to_finish_what_it_started(services: dict[str, Any]) -> None:
    drain = Settings.model_fields["drain_timeout"].default
    assert int(services["lark-service"]["stop_grace_period"].removesuffix("s")) >= drain + 5


def test_every_variable_given_to_the_gateway_is_one_that_it_reads(services: dict[str, Any]) -> None:
    assert set(services["lark-service"]["environment"]) <= set(Settings.variables())


def test_the_demo_shares_no_vhost_and_no_database_with_the_gateway(
    services: dict[str, Any],
) -> None:
    gateway, demo = services["lark-service"]["environment"], services["demo"]["environment"]

    assert all(gateway[name] != demo[name] for name in demo)


def test_images_are_built_from_stages_that_exist(services: dict[str, Any]) -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", _DOCKERFILE, re.MULTILINE))
    targets = {service["build"]["target"] for service in services.values() if "build" in service}

    assert targets <= stages


def test_the_scripts_of_the_recovery_guide_are_where_the_image_works() -> None:
    runtime = _DOCKERFILE[_DOCKERFILE.index("AS runtime") : _DOCKERFILE.index("AS demo")]
    (folder,) = re.findall(r"^WORKDIR (\S+)$", runtime, re.MULTILINE)

    assert f"COPY scripts {folder}/scripts\n" in runtime
    assert "!scripts/*.py\n" in (ROOT / ".dockerignore").read_text()


def test_the_image_runs_without_rights_and_with_locked_dependencies() -> None:
    runtime = _DOCKERFILE[_DOCKERFILE.index("AS runtime") :]
    assert re.findall(r"^USER (\S+)$", runtime, re.MULTILINE) == ["lark"]
    installs = re.findall(r"pip install (?:\S+ )*?(-c constraints\.txt|--no-deps)", _DOCKERFILE)
    assert len(installs) == _DOCKERFILE.count("pip install") == 3
