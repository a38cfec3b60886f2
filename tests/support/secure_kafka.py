"""Run a Kafka with TLS, logins and access rights, as in managed services.

with secure_kafka(tmp_path) as broker:
    broker.grant("Write", "binance_raw_data")
    …broker.settings are those of a user who has only the granted rights…
    broker.revoke("Write", "binance_raw_data")
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AdminClient,
    ResourceType,
    ScramMechanism,
)

from core.kafka_client import client_configuration
from core.kafka_login import MODULES
from core.settings import Settings
from infra.ports import free_ports
from infra.secured.certificates import STORE_PASSWORD, Authority, Certificate
from infra.secured.kafka_users import (
    client_properties,
    jaas_config,
    properties_text,
    rule,
    set_password,
    trust,
)
from infra.secured.rights import Right
from infra.services import kafka
from tests.support.broker import broker, format_data
from tests.support.process import running
from tests.support.waiting import wait_for

USER, PASSWORD = "prices", 'p"a ss;1\\'
"""A login whose password needs every kind of quoting."""

MECHANISMS = tuple(MODULES)
TIMEOUT = 30.0


class SecureKafka:
    """The running broker. `owner` has the settings of a user with all rights."""

    def __init__(self, folder: Path, authority: Authority, ports: "Ports") -> None:
        self._folder = folder
        self._authority = authority
        self._ports = ports
        self.owner = Settings(kafka_bootstrap_servers=f"127.0.0.1:{ports.owners}")
        self._admin = AdminClient({**client_configuration(self.owner)})

    @property
    def settings(self) -> Settings:
        """Return settings of USER, over TLS with SCRAM."""
        return self.login("SCRAM-SHA-512")

    def login(self, mechanism: str, password: str = PASSWORD) -> Settings:
        """Return settings of USER with this mechanism and password."""
        text = client_properties(mechanism, USER, password, self._authority.certificate)
        return self._client(self._ports.logins, f"{mechanism}-{password.encode().hex()}", text)

    def certified(self, name: str, kind: str = "PEM") -> Settings:
        """Return settings of a client with a certificate (PEM or PKCS12 file) instead of a login."""
        certificate = self._authority.sign(name)
        lines = {"security.protocol": "SSL", "ssl.keystore.type": kind}
        if kind == "PEM":
            lines["ssl.keystore.location"] = str(certificate.both)
        else:
            lines["ssl.keystore.location"] = str(certificate.store)
            lines["ssl.keystore.password"] = STORE_PASSWORD
        text = properties_text(lines | trust(self._authority.certificate))
        return self._client(self._ports.certificates, f"{name}-{kind}", text)

    def add_user(self) -> None:
        """Add USER to the SCRAM mechanisms; for PLAIN it is in the broker's configuration."""
        # One request per mechanism: a request may alter a user only once.
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            set_password(self._admin, USER, PASSWORD, mechanism)

    def grant(
        self,
        operation: str,
        name: str,
        kind: ResourceType = ResourceType.TOPIC,
        principal: str = USER,
    ) -> None:
        """Grant a right to a user. Return when the broker has applied it."""
        binding = AclBinding(*rule(Right(operation, name, kind), f"User:{principal}"))
        self._admin.create_acls([binding])[binding].result(timeout=TIMEOUT)
        wait_for(lambda: self._rules(operation, name, kind, principal))

    def revoke(
        self,
        operation: str,
        name: str,
        kind: ResourceType = ResourceType.TOPIC,
        principal: str = USER,
    ) -> None:
        """Revoke a right. Return when the broker has applied it."""
        obsolete = AclBindingFilter(*rule(Right(operation, name, kind), f"User:{principal}"))
        self._admin.delete_acls([obsolete])[obsolete].result(timeout=TIMEOUT)
        wait_for(lambda: self._rules(operation, name, kind, principal), lambda rules: not rules)

    @contextmanager
    def granted(self, *rights: tuple[str, str] | Right) -> Iterator[None]:
        """Grant USER rights for the block; a pair is an operation and a topic."""
        for right in rights:
            self.grant(*right)
        try:
            yield
        finally:
            for right in rights:
                self.revoke(*right)

    def _rules(
        self, operation: str, name: str, kind: ResourceType, principal: str
    ) -> list[AclBinding]:
        wanted = AclBindingFilter(*rule(Right(operation, name, kind), f"User:{principal}"))
        return list(self._admin.describe_acls(wanted).result(timeout=TIMEOUT))

    def _client(self, port: int, name: str, text: str) -> Settings:
        path = self._folder / f"{name}.properties"
        path.write_text(text)
        return Settings(
            kafka_bootstrap_servers=f"127.0.0.1:{port}", kafka_client_properties=str(path)
        )


class Ports:
    """One port for each listener."""

    def __init__(self) -> None:
        self.owners, self.logins, self.certificates, self.controller = free_ports(4)


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """Yield a broker with the project's topics. It is killed at the end of the block."""
    authority, ports = Authority(folder / "certificates"), Ports()
    properties = folder / "server.properties"
    properties.write_text(_server_properties(folder, authority.sign("broker"), authority, ports))
    format_data(properties)
    with running(broker(properties, folder / "broker.log")) as process:
        secure = SecureKafka(folder, authority, ports)
        process.wait_for(lambda: kafka.is_ready(secure.owner))
        kafka.initialise(secure.owner)
        secure.add_user()
        yield secure


def _server_properties(
    folder: Path, certificate: Certificate, authority: Authority, ports: Ports
) -> str:
    # With PLAIN the broker's own configuration has the password.
    user = jaas_config("PLAIN", USER, PASSWORD).replace(
        f'username="{USER}" password', f"user_{USER}"
    )
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{ports.controller}
controller.listener.names=CONTROLLER
listeners=OWNER://127.0.0.1:{ports.owners},LOGIN://127.0.0.1:{ports.logins},\
CERTIFICATE://127.0.0.1:{ports.certificates},CONTROLLER://127.0.0.1:{ports.controller}
listener.security.protocol.map=OWNER:PLAINTEXT,LOGIN:SASL_SSL,CERTIFICATE:SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=OWNER
listener.name.certificate.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={certificate.both}
ssl.truststore.type=PEM
ssl.truststore.location={authority.certificate}
sasl.enabled.mechanisms={",".join(MECHANISMS)}
listener.name.login.plain.sasl.jaas.config={user}
listener.name.login.scram-sha-256.sasl.jaas.config={MODULES["SCRAM-SHA-256"]} required;
listener.name.login.scram-sha-512.sasl.jaas.config={MODULES["SCRAM-SHA-512"]} required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
log.dirs={folder}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""
