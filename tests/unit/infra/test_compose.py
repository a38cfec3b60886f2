"""Test that infra/compose.yaml has the native stack's ports, settings and, except for MinIO, versions."""

import re
from urllib.parse import urlsplit

import pytest

from core.settings import Settings
from infra import paths, ports
from infra.services import kafka, object_store, postgres
from infra.stack import stack_of
from tests.support.process import run

TEXT = (paths.PROJECT / "infra" / "compose.yaml").read_text()
SERVICES = ("kafka", "minio", "postgres")
DEFAULTS = Settings()

# Settings with paths or addresses, which differ in a container.
KAFKA_PLACES = {"listeners", "controller.quorum.voters", "log.dirs"}
POSTGRES_PLACES = {"listen_addresses", "port", "unix_socket_directories"}


def part(service: str) -> str:
    """Return the lines of a service, which are indented by more than two spaces."""
    found = re.search(rf"^  {service}:\n((?:   .*\n|\n)+)", TEXT, re.MULTILINE)
    assert found, service
    return found[1]


def image(service: str) -> str:
    [found] = re.findall(r"^    image: (\S+)$", part(service), re.MULTILINE)
    return str(found)


def environment(service: str) -> dict[str, str]:
    pairs = re.findall(r"^      ([A-Z_]+): (.*)$", part(service), re.MULTILINE)
    return {name: value.strip('"') for name, value in pairs}


def settings_of(lines: str) -> dict[str, str]:
    """Parse lines of the form name=value or name = 'value'."""
    pairs = (line.partition("=") for line in lines.splitlines())
    return {name.strip(): value.strip(" ").strip("'") for name, _, value in pairs}


def test_kafka_is_of_the_version_of_the_jars() -> None:
    jars = (paths.PROJECT / "infra" / "jars" / "kafka.xml").read_text()
    [version] = re.findall(r'name="kafka_2\.13" rev="([\d.]+)"', jars)
    assert image("kafka") == f"apache/kafka:{version}"


def test_postgres_is_of_the_version_of_the_wheel() -> None:
    program = paths.site_packages() / paths.POSTGRES_BIN / "postgres"
    received = run([program, "--version"])
    assert image("postgres") == f"postgres:{received.stdout.split()[-1]}"


def test_minio_is_a_pinned_release_and_not_newer_than_the_one_that_is_built() -> None:
    found = re.fullmatch(
        r"quay\.io/minio/minio:RELEASE\.(\d{4})-(\d\d)-(\d\d)T[\d-]+Z", image("minio")
    )
    assert found
    makefile = (paths.PROJECT / "Makefile").read_text()
    [built] = re.findall(r"minio@v0\.0\.0-(\d{8})", makefile)
    assert "".join(found.groups()) <= built


def test_ports_are_those_of_the_settings_on_loopback_alone() -> None:
    listed = re.findall(r"^    ports: \[(.*)\]$", TEXT, re.MULTILINE)
    assert ", ".join(listed).replace('"', "").split(", ") == [
        f"127.0.0.1:{number}:{number}"
        for number in (
            ports.kafka_address(DEFAULTS)[1],
            ports.s3_address(DEFAULTS)[1],
            DEFAULTS.s3_console_port,
            ports.postgres_address(DEFAULTS)[1],
        )
    ]


def test_kafka_has_the_settings_of_the_native_broker() -> None:
    native = settings_of(kafka.server_properties(stack_of("live", DEFAULTS)))
    expected = {
        f"KAFKA_{name.replace('.', '_').upper()}": value
        for name, value in native.items()
        if name not in KAFKA_PLACES
    }
    found = environment("kafka")
    assert found["CLUSTER_ID"] == kafka.CLUSTER_ID
    assert {name: found.get(name) for name in expected} == expected
    others = found.keys() - expected.keys() - {"CLUSTER_ID", "KAFKA_HEAP_OPTS"}
    assert others == {f"KAFKA_{name.replace('.', '_').upper()}" for name in KAFKA_PLACES}
    supervised = (paths.PROJECT / "infra" / "supervisord.conf").read_text()
    assert f"java {found['KAFKA_HEAP_OPTS']} " in supervised


def test_minio_has_the_environment_of_the_native_one() -> None:
    native = object_store.environment(DEFAULTS)
    found = environment("minio")
    assert found["MINIO_UPDATE"] == native["MINIO_UPDATE"]
    assert found["MINIO_ROOT_USER"].startswith("${AWS_ACCESS_KEY_ID:?")
    assert found["MINIO_ROOT_PASSWORD"].startswith("${AWS_SECRET_ACCESS_KEY:?")
    addresses = {"MINIO_ADDRESS", "MINIO_CONSOLE_ADDRESS"}
    assert found.keys() == native.keys() - addresses


def test_postgres_has_the_settings_user_and_encoding_of_the_native_one() -> None:
    native = settings_of(postgres.CONFIGURATION)
    expected = {name: value for name, value in native.items() if name not in POSTGRES_PLACES}
    options = re.findall(r'^      - "?--(\w+)=(.*?)"?$', part("postgres"), re.MULTILINE)
    assert dict(options) == expected
    found = environment("postgres")
    owner = urlsplit(DEFAULTS.database_url)
    assert found["POSTGRES_USER"] == owner.username
    assert found["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")
    assert found["POSTGRES_INITDB_ARGS"] == (
        "--encoding UTF8 --locale C.UTF-8 --auth-host scram-sha-256"
    )
    example = (paths.PROJECT / ".env.example").read_text()
    assert f"\nPOSTGRES_PASSWORD={owner.password}\n" in example


@pytest.mark.parametrize("service", SERVICES)
def test_service_is_checked_and_keeps_its_data_in_a_named_volume(service: str) -> None:
    assert re.search(
        r"^    healthcheck:\n(      #.*\n)?      test: \[", part(service), re.MULTILINE
    )
    assert f'    volumes: ["{service}:/' in part(service)
    volumes = TEXT.partition("\nvolumes:\n")[2]
    assert f"  {service}:\n" in volumes


def test_it_contains_no_secret() -> None:
    assert "password123" not in TEXT
