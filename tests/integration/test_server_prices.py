"""Request prices by REST, and check the server's readiness and metrics."""

import json
import platform
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from psycopg2.extensions import connection
from websockets.sync.client import connect

from core.settings import Settings
from server.deprecated_metrics import FORMER_NAMES
from server.price_row import PriceRow
from server.rest.price_source import PriceSource
from tests.support.live_job import list_instruments, ticker, wait_for_batch, write_batch
from tests.support.postgres import execute, no_connections
from tests.support.server import DEADLINE, ServerProcess, metrics, running_server
from tests.support.waiting import wait_for

LISTED = [
    ("binance", "BTCUSDT", "BTC", "USDT"),
    ("binance", "ADAEUR", "ADA", "EUR"),
    ("kucoin", "BTC-USDT", "BTC", "USDT"),
    ("kucoin", "BCHSV-USDT", "BSV", "USDT"),
]


@pytest.fixture
def server(database: Settings, owner: connection) -> Iterator[ServerProcess]:
    """A server with a price of every listed symbol and of one that is not listed."""
    list_instruments(owner, *((*each, "TRADING") for each in LISTED))
    symbols = [(exchange, symbol) for exchange, symbol, _, _ in LISTED]
    tickers = [ticker(*key, "1") for key in [*symbols, ("kucoin", "NEW-USDT")]]
    batch_id = write_batch(database.database_url, tickers)
    with running_server(database.reader_database_url) as server:
        wait_for_batch(server, batch_id)
        yield server


def symbols(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["symbol"] for row in answer.json()["prices"]]


def test_base_and_quote_are_those_that_the_exchange_lists(server: ServerProcess) -> None:
    def ask(**which: str) -> list[str]:
        return symbols(server.get("/api/prices", **which))

    assert ask() == ["ADAEUR", "BTCUSDT", "BCHSV-USDT", "BTC-USDT", "NEW-USDT"]
    assert ask(base="BTC") == ["BTCUSDT", "BTC-USDT"]
    assert ask(base="BSV", quote="USDT") == ["BCHSV-USDT"]
    assert ask(exchange="kucoin", quote="USDT") == ["BCHSV-USDT", "BTC-USDT"]
    assert ask(quote="EUR", symbol="ADAEUR") == ["ADAEUR"]
    assert ask(base="ADA", quote="USDT") == []
    assert ask(base="'; DROP TABLE instruments; --") == []


def test_a_client_that_knows_a_batch_receives_only_what_later_batches_wrote(
    database: Settings, server: ServerProcess
) -> None:
    known = server.get("/api/prices").json()["id"]
    write_batch(database.database_url, [ticker("binance", "BTCUSDT", "2")])
    wait_for_batch(server, write_batch(database.database_url, [ticker("kucoin", "BTC-USDT", "3")]))
    last = server.get("/api/prices").json()["id"]

    def ask(since: str, **which: str) -> tuple[dict[str, str], str | None]:
        answer = server.get("/api/prices", changed_since=since, **which).json()
        assert answer["id"] == last
        return {row["symbol"]: row["price"] for row in answer["prices"]}, answer["previous"]

    assert ask(known) == ({"BTCUSDT": "2", "BTC-USDT": "3"}, known)
    assert ask(known, exchange="kucoin", base="BTC") == ({"BTC-USDT": "3"}, known)
    assert ask(last) == ({}, last)
    # An id of another database, a future id and a text that is no id: all rows, and no `previous`.
    for unknown in (f"0{known}", f"{last}0", "311"):
        everything, previous = ask(unknown)
        assert (len(everything), previous) == (5, None)


def test_an_id_is_the_same_for_those_who_ask_and_for_those_who_follow(
    database: Settings, server: ServerProcess
) -> None:
    known = server.get("/api/prices").json()["id"]
    with connect(f"{server.stream}?since={known}") as client:
        write_batch(database.database_url, [ticker("binance", "BTCUSDT", "2")])
        changes = json.loads(client.recv(DEADLINE))
        while not changes.get("prices"):
            changes = json.loads(client.recv(DEADLINE))

    response = server.get("/api/prices", changed_since=known).json()
    assert (changes["type"], changes["id"]) == ("changes", response["id"])
    assert (changes["prices"], response["previous"]) == (response["prices"], known)


def test_only_the_fields_that_were_asked_for_are_returned_always_with_the_key(
    server: ServerProcess,
) -> None:
    whole = server.get("/api/prices").json()["prices"]
    answer = server.get("/api/prices", fields="price,simulated")
    names = ("exchange", "symbol", "price", "simulated")
    assert answer.json()["prices"] == [{name: row[name] for name in names} for row in whole]
    assert answer.headers["etag"] != server.get("/api/prices").headers["etag"]
    refused = server.get("/api/prices", fields="price,prize")
    assert refused.status_code == 422
    assert "no field 'prize'; the fields are exchange, symbol, base," in refused.text


def test_a_large_answer_is_compressed_for_those_who_accept_it(server: ServerProcess) -> None:
    plain = server.get("/api/prices", {"Accept-Encoding": "identity"})
    compressed = server.get("/api/prices", {"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert compressed.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in compressed.headers["vary"].lower()
    assert int(compressed.headers["content-length"]) < len(plain.content) / 3
    assert compressed.content == plain.content
    assert compressed.headers["etag"] == f"W/{plain.headers['etag']}"
    known = {"If-None-Match": compressed.headers["etag"]}
    assert server.get("/api/prices", known).status_code == 304


def test_one_price_is_found_by_exchange_and_symbol(server: ServerProcess) -> None:
    (row,) = server.get("/api/prices", symbol="BCHSV-USDT").json()["prices"]

    assert server.get("/api/prices/kucoin/BCHSV-USDT").json() == row
    assert list(row) == list(PriceRow.model_fields)
    missing = server.get("/api/prices/binance/BCHSV-USDT")
    assert missing.status_code == 404
    assert missing.json()["detail"] == "symbol='BCHSV-USDT': no price from binance yet"
    assert server.get("/api/prices/kraken/BTCUSDT").status_code == 422


def test_the_source_of_a_price_is_its_place_in_kafka(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    def ask() -> dict[str, Any]:
        answer: dict[str, Any] = server.get("/api/prices/kucoin/BTC-USDT/source").json()
        return answer

    place = {"partition": 3, "offset": 1042, "position": 17}
    real = ticker("kucoin", "BTC-USDT", "0.000000010", endpoint="ws-api-spot.kucoin.com", **place)
    batch_id = write_batch(database.database_url, [real])
    wait_for_batch(server, batch_id)
    source = ask()

    row = server.get("/api/prices/kucoin/BTC-USDT").json()
    assert source == {
        **{name: row[name] for name in PriceSource.model_fields if name in row},
        "topic_id": None,
        "trace": "make trace SYMBOL=kucoin:BTC-USDT",
    }
    assert {name: source[name] for name in place} == place
    assert (source["topic"], source["batch_id"]) == ("kucoin_raw_data", batch_id)
    assert (source["price"], source["simulated"]) == ("0.00000001", False)

    # First the live job's topic has this offset; then it has not, because it was created again.
    for next_offset, topic_id in ((1043, "ckVJ5ZWORGWAxTTLoYGQ2A"), (1042, None)):
        execute(owner, "DELETE FROM kafka_progress")
        execute(
            owner,
            "INSERT INTO kafka_progress VALUES ('kucoin_raw_data', 3, %s, 'ckVJ5ZWORGWAxTTLoYGQ2A')",
            next_offset,
        )
        assert ask()["topic_id"] == topic_id


def test_the_source_of_no_price_is_refused_as_the_price_is(server: ServerProcess) -> None:
    for exchange, symbol in (
        ("binance", "BCHSV-USDT"),
        ("kraken", "BTCUSDT"),
        ("binance", "A\x01"),
    ):
        price, source = (
            server.get(f"/api/prices/{exchange}/{symbol}{end}") for end in ("", "/source")
        )
        assert source.status_code in (404, 422)
        assert (source.status_code, source.json()) == (price.status_code, price.json())


def test_an_answer_that_is_known_is_not_sent_again_until_it_would_say_something_else(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    def ask(path: str, etag: str | None = None, **which: str) -> requests.Response:
        return server.get(path, {"If-None-Match": etag} if etag else None, **which)

    questions: list[tuple[str, dict[str, str]]] = [
        ("/api/prices", {}),
        ("/api/prices", {"quote": "USDT"}),
        ("/api/prices/binance/BTCUSDT", {}),
    ]
    etags = [ask(path, **which).headers["etag"] for path, which in questions]

    def statuses() -> list[int]:
        return [
            ask(path, etag, **which).status_code
            for (path, which), etag in zip(questions, etags, strict=True)
        ]

    assert statuses() == [304, 304, 304]
    unchanged = ask("/api/prices", etags[0])
    assert unchanged.content == b""
    assert unchanged.headers["etag"] == etags[0].removeprefix("W/")

    with owner.cursor() as cursor:
        cursor.execute(
            "UPDATE instruments SET quote = 'TUSD', seen_at = seen_at + interval '1 s'"
            " WHERE symbol = 'BTC-USDT'"
        )
    wait_for(statuses, lambda found: found == [200, 200, 200])
    etags[:] = [ask(path, **which).headers["etag"] for path, which in questions]
    assert statuses() == [304, 304, 304]

    wait_for_batch(server, write_batch(database.database_url, [ticker("kucoin", "A-B", "1")]))
    assert statuses() == [200, 200, 304]


def test_without_postgres_the_last_known_prices_are_returned_with_their_age(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    before = server.get("/api/prices")
    ready = server.get("/readyz")
    assert "age" not in before.headers
    assert (ready.status_code, ready.json()["database_away_since"]) == (200, None)

    with no_connections(database, owner.info.dbname):
        away = wait_for(lambda: server.get("/api/prices"), lambda answer: "age" in answer.headers)
        not_ready = server.get("/readyz")
        assert metrics(server)["server_database_up"] == 0
        one = server.get("/api/prices/binance/BTCUSDT", {"If-None-Match": "*"})
        source = server.get("/api/prices/binance/BTCUSDT/source")

    assert away.json() == before.json()
    assert 0 <= int(away.headers["age"]) < DEADLINE
    assert (one.status_code, "age" in one.headers) == (304, True)
    assert (source.status_code, source.headers["retry-after"]) == (503, "1")
    assert not_ready.status_code == 503
    since = datetime.fromisoformat(not_ready.json()["database_away_since"])
    assert timedelta() < datetime.now(UTC) - since < timedelta(seconds=DEADLINE)
    wait_for(lambda: server.get("/readyz").status_code, lambda status: status == 200)
    assert "age" not in server.get("/api/prices").headers


def test_it_is_not_ready_when_the_prices_of_one_exchange_are_older_than_its_limit(
    database: Settings,
) -> None:
    now = datetime.now(UTC)
    batch_id = write_batch(
        database.database_url,
        [
            ticker("binance", "BTCUSDT", "1", received_at=now - timedelta(seconds=90)),
            ticker("kucoin", "BTC-USDT", "1", received_at=now - timedelta(seconds=90)),
        ],
    )
    limits = {"BINANCE_PRICE_AGE_LIMIT": "600", "KUCOIN_PRICE_AGE_LIMIT": "60"}
    with running_server(database.reader_database_url, **limits) as server:
        wait_for_batch(server, batch_id)
        old = server.get("/readyz")
        write_batch(database.database_url, [ticker("kucoin", "BTC-USDT", "1")])
        wait_for(lambda: server.get("/readyz").status_code, lambda status: status == 200)

    assert old.status_code == 503
    binance, kucoin = old.json()["exchanges"]
    assert 90 <= binance.pop("age_seconds") < 600
    assert 90 <= kucoin.pop("age_seconds") < 600
    read = {"unreadable": None, "readable": True}
    assert binance == {"exchange": "binance", "limit_seconds": 600.0, "fresh": True} | read
    assert kucoin == {"exchange": "kucoin", "limit_seconds": 60.0, "fresh": False} | read
    assert old.json()["ready"] is False


def test_what_streams_carried_is_counted(database: Settings, server: ServerProcess) -> None:
    heard = []
    with (
        connect(server.stream, compression=None) as client,
        requests.get(f"{server.page}stream", stream=True, timeout=DEADLINE) as events,
    ):
        heard.append(client.recv(DEADLINE))
        lines = events.iter_lines()
        assert next(lines).startswith(b"id: ")
        write_batch(database.database_url, [ticker("binance", "BTCUSDT", "2")])
        while "changes" not in heard[-1]:
            heard.append(client.recv(DEADLINE))
        counted = metrics(server)
        open_now = {
            kind: counted["server_stream_clients", ("kind", kind)] for kind in ("ws", "sse")
        }

    assert open_now == {"ws": 1, "sse": 1}
    # A heartbeat may follow before the count is read.
    assert counted["server_stream_messages_total", ("kind", "ws")] >= len(heard)
    payload = sum(len(message) for message in heard)
    # The count includes the header of each frame, at least 2 bytes.
    assert counted["server_stream_bytes_total", ("kind", "ws")] >= payload + 2 * len(heard)
    assert counted["server_stream_messages_total", ("kind", "sse")] >= 2
    assert counted["server_stream_conflated_total", ("kind", "ws")] == 0
    assert counted["server_stream_closed_total", ("kind", "ws"), ("reason", "stalled")] == 0
    assert counted["server_price_age_seconds_count"] == 1
    assert 0 < counted["server_price_age_seconds_sum"] < DEADLINE
    wait_for(
        lambda: metrics(server)["server_stream_clients", ("kind", "ws")], lambda count: count == 0
    )


def test_what_was_answered_is_counted_by_route_and_status(
    server: ServerProcess,
) -> None:
    for symbol in ("BTC-USDT", "BCHSV-USDT", "NONE"):
        server.get(f"/api/prices/kucoin/{symbol}")
    server.get("/api/prices", exchange="kraken")
    server.get("/style/base.css")
    server.get("/nothing")
    server.get("/docs/")
    server.get("/api/prices", {"Host": "evil.example"})
    server.get("/api/prices", {"Host": "evil.example"})

    counted = metrics(server)

    def requests_of(route: str, status: int) -> float:
        return counted["server_requests_total", ("route", route), ("status", str(status))]

    one = "/api/prices/{exchange}/{symbol}"
    assert requests_of(one, 200) == 2
    assert requests_of(one, 404) == 1
    assert requests_of("/api/prices", 422) == 1
    assert requests_of("/{file:path}", 200) == 1
    assert requests_of("/{file:path}", 404) == 1
    assert requests_of("(refused)", 421) == 2
    assert requests_of("/docs", 200) == 1
    assert counted["server_database_up"] == 1
    assert 0 < counted["server_newest_price_age_seconds", ("exchange", "binance")] < DEADLINE
    assert counted["process_open_fds"] > 0


def test_metrics_are_exported_under_their_former_names_too(server: ServerProcess) -> None:
    text = server.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}

    for name, former in FORMER_NAMES.items():
        assert families[former].documentation == f"Deprecated: use {name}"
        assert [
            (each.name.removeprefix(former), each.labels) for each in families[former].samples
        ] == [(each.name.removeprefix(name), each.labels) for each in families[name].samples]
    build = families["server_build_info"].samples[0]
    assert build.labels == {"version": "0.1.0", "python": platform.python_version()}


def test_metrics_are_openmetrics_for_those_that_accept_it(server: ServerProcess) -> None:
    answer = server.get("/metrics", {"Accept": "application/openmetrics-text;version=1.0.0"})

    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.count("# EOF") == 1
    families = openmetrics.text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]
    names = {family.name for family in families}
    assert {"server_requests", "rest_requests", "process_cpu_seconds"} <= names


@pytest.mark.parametrize(
    ("accepted", "media_type"),
    [
        ('application/openmetrics-text; version="1.0.0"', "application/openmetrics-text"),
        ("text/plain; version=latest", "text/plain"),
    ],
)
def test_metrics_are_served_for_any_version_that_http_allows(
    server: ServerProcess, accepted: str, media_type: str
) -> None:
    answer = server.get("/metrics", {"Accept": accepted})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(media_type)
