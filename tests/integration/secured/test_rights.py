"""Check that no program of a secured stack may do more than it needs, and that no password is shown."""

from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import boto3
import psutil
import psycopg2
import pytest
import requests
from botocore.exceptions import ClientError, SSLError
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from psycopg2.errors import InsufficientPrivilege

from core.kafka_client import client_configuration
from core.s3_client import client_arguments
from core.settings import EXCHANGE, EXTRACTORS, JOBS, SERVER, Program, Settings
from core.topics import EXCHANGE_CANDLES, FEED_EVENTS
from infra import supervision
from infra.services import kafka
from infra.stack import Stack
from tests.support.postgres import execute, rows

TIMEOUT = 30.0

OWN_SECRETS = {
    "kafka": {"kafka-administrator"},
    "minio": {"s3-administrator"},
    "postgres": set(),
    "exchange": set(),
    "binance": {"kafka-extractors", "s3-extractors"},
    "kucoin": {"kafka-extractors", "s3-extractors"},
    "jobs": {"kafka-jobs", "s3-jobs", "postgres-crypto"},
    "server": {"postgres-reader", "server-api-key"},
}
"""Passwords that each program needs, by the name of their file."""

CLIENT_FILE = "KAFKA_CLIENT_PROPERTIES"


def secrets_of(stack: Stack) -> dict[str, str]:
    return {path.name: path.read_text() for path in (stack.folder / "secrets").iterdir()}


def environment_of(stack: Stack, program: str) -> dict[str, str]:
    """Return the environment of a running program, its file of Kafka properties included."""
    pids = {each["name"]: each["pid"] for each in supervision.programs(stack)}
    found = psutil.Process(pids[program]).environ()
    if CLIENT_FILE in found:
        found[f"text of {CLIENT_FILE}"] = Path(found[CLIENT_FILE]).read_text()
    return found


@pytest.mark.parametrize("program", OWN_SECRETS)
def test_program_has_its_own_passwords_only(secured: Stack, program: str) -> None:
    text = "\n".join(environment_of(secured, program).values())
    shown = {name for name, secret in secrets_of(secured).items() if secret in text}
    # The broker reads its password from its configuration.
    assert shown == OWN_SECRETS[program] - {"kafka-administrator"}


def test_passwords_are_in_private_files_and_in_no_log(secured: Stack) -> None:
    private = ("secrets", "environments", "kafka-clients", "certificates")
    for folder in private:
        assert (folder, oct((secured.folder / folder).stat().st_mode & 0o777)) == (folder, "0o700")
    secrets = secrets_of(secured)
    assert len(set(secrets.values())) == len(secrets)
    for path in (secured.folder / "secrets").iterdir():
        assert (path.name, oct(path.stat().st_mode & 0o777)) == (path.name, "0o600")
    for path in secured.log_folder.iterdir():
        log = path.read_text()
        assert [name for name, secret in secrets.items() if secret in log] == [], path.name


def test_no_command_line_has_a_password(secured: Stack) -> None:
    secrets = secrets_of(secured)
    for process in supervision.processes_of(secured):
        line = " ".join(process.cmdline())
        assert [name for name, secret in secrets.items() if secret in line] == [], process.name()


def produce(settings: Settings, topic: str) -> int:
    """Try to produce a message. Return the code of the error, or 0 without an error."""
    errors: list[KafkaError | None] = []

    def done(error: KafkaError | None, _message: Message) -> None:
        errors.append(error)

    producer = Producer({**client_configuration(settings), "log_level": 0})
    producer.produce(topic, b"[]", on_delivery=done)
    assert producer.flush(TIMEOUT) == 0
    (error,) = errors
    return error.code() if error else 0


@pytest.mark.parametrize("topic", [each.topic for each in kafka.TOPICS])
def test_jobs_may_not_write_to_kafka(secured: Stack, topic: str) -> None:
    assert produce(secured.settings_of(JOBS), topic) == KafkaError.TOPIC_AUTHORIZATION_FAILED


@pytest.mark.parametrize("topic", [EXCHANGE_CANDLES, FEED_EVENTS])
def test_extractors_may_not_read_what_only_jobs_need(secured: Stack, topic: str) -> None:
    group = {"group.id": "extractors", "enable.auto.commit": False, "log_level": 0}
    consumer = Consumer({**client_configuration(secured.settings_of(EXTRACTORS)), **group})
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(TIMEOUT)
    consumer.close()
    assert message is not None
    error = message.error()
    assert error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


@pytest.mark.parametrize("program", [EXTRACTORS, JOBS], ids=lambda each: each.name)
def test_program_may_not_create_topics(secured: Stack, program: Program) -> None:
    admin = AdminClient({**client_configuration(secured.settings_of(program)), "log_level": 0})
    with pytest.raises(KafkaException) as refused:
        admin.create_topics([NewTopic("another", 1, 1)])["another"].result(timeout=TIMEOUT)
    assert refused.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_kafka_refuses_a_client_without_tls_and_login(secured: Stack) -> None:
    plain = replace(secured.settings, kafka_client_properties="")
    assert not kafka.is_ready(plain)


def status(settings: Settings, method: str, **arguments: object) -> int:
    """Return the HTTP status of a request to the bucket."""
    store = boto3.client("s3", **client_arguments(settings), region_name="us-east-1")
    try:
        answer = getattr(store, method)(Bucket=settings.s3_bucket, **arguments)
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
    return int(answer["ResponseMetadata"]["HTTPStatusCode"])


def test_extractors_may_only_put_objects_into_landing(secured: Stack) -> None:
    ask = partial(status, secured.settings_of(EXTRACTORS))
    assert ask("put_object", Key="landing/test", Body=b"") == 200
    for prefix in ("raw", "tickers", "staging"):
        assert (prefix, ask("put_object", Key=f"{prefix}/test", Body=b"")) == (prefix, 403)
    for method in ("get_object", "delete_object"):
        assert (method, ask(method, Key="landing/test")) == (method, 403)
    assert ask("list_objects_v2", Prefix="landing/") == 403


def test_jobs_may_not_write_to_landing_nor_change_the_bucket(secured: Stack) -> None:
    ask = partial(status, secured.settings_of(JOBS))
    assert ask("list_objects_v2", Prefix="landing/") == 200
    assert ask("put_object", Key="raw/test", Body=b"") == 200
    assert ask("delete_object", Key="raw/test") == 204
    assert ask("put_object", Key="landing/another", Body=b"") == 403
    assert ask("delete_object", Key="landing/test") == 403
    assert ask("list_objects_v2", Prefix="") == 403
    assert ask("get_bucket_lifecycle_configuration") == 403
    rule = {
        "ID": "raw",
        "Status": "Enabled",
        "Filter": {"Prefix": "raw/"},
        "Expiration": {"Days": 1},
    }
    shorter = {"Rules": [rule]}
    assert ask("put_bucket_lifecycle_configuration", LifecycleConfiguration=shorter) == 403
    assert ask("delete_bucket") == 403


def test_replay_exchange_has_no_key_of_the_object_store(secured: Stack) -> None:
    assert secured.settings_of(EXCHANGE).aws_access_key_id == ""


def test_object_store_without_the_authority_is_not_trusted(secured: Stack) -> None:
    with pytest.raises(SSLError):
        status(replace(secured.settings, s3_ca_bundle=""), "list_objects_v2")


def test_role_of_the_jobs_is_no_superuser(secured: Stack) -> None:
    with closing(psycopg2.connect(secured.settings_of(JOBS).database_url)) as database:
        can = "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
        asked = f"SELECT {can} FROM pg_roles WHERE rolname = current_user"
        assert rows(database, asked) == [(False,) * 5]
        # As a rebuild does.
        execute(database, "CREATE SCHEMA own")
        execute(database, "DROP SCHEMA own")
        with pytest.raises(InsufficientPrivilege):
            execute(database, "COPY live_prices TO PROGRAM 'cat'")


def test_role_of_the_server_may_not_write(secured: Stack) -> None:
    with closing(psycopg2.connect(secured.settings_of(SERVER).reader_database_url)) as database:
        database.autocommit = True
        execute(database, "SET default_transaction_read_only = off")
        for statement in ("DELETE FROM live_prices", "CREATE TABLE own (n int)"):
            with pytest.raises(InsufficientPrivilege):
                execute(database, statement)
        assert len(rows(database, "SELECT count(*) FROM live_prices")) == 1


def test_postgres_refuses_a_connection_without_tls(secured: Stack) -> None:
    plain = secured.settings.database_url.replace("sslmode=verify-full", "sslmode=disable")
    with pytest.raises(psycopg2.OperationalError, match="no encryption"):
        psycopg2.connect(plain)


def test_postgres_has_no_login_for_extractors(secured: Stack) -> None:
    url = secured.settings.database_url
    kafka_password = secrets_of(secured)["kafka-extractors"]
    for user in ("extractors", "crypto", "postgres"):
        login = url.replace(url[: url.index("@")], f"postgresql://{user}:{kafka_password}")
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(login)
    variables = environment_of(secured, "binance")
    assert [name for name in variables if name.endswith("DATABASE_URL")] == []


def test_object_stores_console_has_tls(secured: Stack) -> None:
    address = f"https://127.0.0.1:{secured.settings.s3_console_port}/"
    trusted = str(secured.folder / "certificates" / "authority.crt")
    assert requests.get(address, verify=trusted, timeout=TIMEOUT).ok
