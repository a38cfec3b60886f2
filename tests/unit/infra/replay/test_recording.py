"""Test the playback of a landing archive in a folder, with the real server and real clients."""

import json
import logging
import sys
from pathlib import Path

import pytest
import requests
from websockets.sync.client import connect

from infra.replay.faults.faults import Close
from infra.replay.recording.landing import Folder
from infra.replay.recording.recording import Recording
from infra.replay.server import Simulation
from tests.support.ledger import Ledger
from tests.support.process import run
from tests.support.recordings import START, binance_text, kucoin_text, line, received, write
from tests.support.replay_exchange import inflict, kucoin_url, running
from tests.support.small_exchange import subscribed
from tests.support.waiting import DEADLINE

pytestmark = [pytest.mark.independent, pytest.mark.long]


def test_binance_plays_its_arrays_also_one_that_lies_in_two_objects(tmp_path: Path) -> None:
    items = [line(binance_text(n), START + n // 2) for n in range(6)]
    items.append(f'{{"unreadable":"no JSON","received_at":{START + 9}}}')
    write(tmp_path, "binance", 3, items[3:])
    # Names define the order, not the modification times of the files.
    write(tmp_path, "binance", 0, items[:3])
    with (
        running(*Recording(landing=Folder(tmp_path)).exchanges()) as address,
        subscribed(address, "binance") as client,
    ):
        assert received(client, 4) == [
            f"[{binance_text(0)},{binance_text(1)}]",
            f"[{binance_text(2)},{binance_text(3)}]",
            f"[{binance_text(4)},{binance_text(5)}]",
            "no JSON",
        ]


def test_after_the_end_the_connections_stay_open_and_the_log_says_that_it_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hour = 3_600_000_000
    for first, start in ((1000, START + hour), (0, START)):
        numbers = range(first, first + 1000)
        write(tmp_path, "kucoin", first, [line(kucoin_text(n), start + n) for n in numbers])
    with (
        running(*Recording(landing=Folder(tmp_path), speed=36_000).exchanges()) as address,
        subscribed(address, "kucoin") as client,
    ):
        assert received(client, 2000) == [kucoin_text(n) for n in range(2000)]
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.1)
        client.send('{"id":"2","type":"ping"}')
        assert json.loads(client.recv(timeout=DEADLINE))["type"] == "pong"
    assert "kucoin: recording ended frames=2000" in caplog.text


def test_the_lists_of_symbols_are_the_usual_ones(tmp_path: Path) -> None:
    write(tmp_path, "kucoin", 0, [line(kucoin_text(0), START)])
    simulation, recording = Simulation(), Recording(landing=Folder(tmp_path))
    with (
        running(*simulation.exchanges()) as simulated,
        running(*recording.exchanges()) as recorded,
    ):
        for path in ("/api/v3/exchangeInfo", "/api/v2/symbols"):
            answers = [
                requests.get(f"http://{address}{path}", timeout=DEADLINE).json()
                for address in (simulated, recorded)
            ]
            lists = [answer.get("symbols") or answer["data"] for answer in answers]
            assert lists[0] == lists[1]


def test_the_exchanges_share_a_timeline_that_the_first_subscriber_begins(tmp_path: Path) -> None:
    seconds = 1_000_000
    write(tmp_path, "kucoin", 0, [line(kucoin_text(n), START + 4 * n * seconds) for n in range(3)])
    write(tmp_path, "binance", 0, [line(binance_text(1), START + 6 * seconds)])
    ledger = Ledger()
    recording = Recording(landing=Folder(tmp_path), speed=2)
    with (
        running(*recording.exchanges(ledger)) as address,
        subscribed(address, "kucoin") as kucoin,
        subscribed(address, "binance") as binance,
    ):
        received(kucoin, 3)
        received(binance, 1)
        opened = ledger.connections("kucoin")[0].opened_at
        first, second, third = (each.written_at for each in ledger.connections("kucoin")[0].frames)
        array = ledger.connections("binance")[0].frames[0].written_at
    # Four recorded seconds take 2 s. A busy machine may take longer, never less.
    for frame, due in ((first, 0), (second, 2), (array, 3), (third, 4)):
        assert due - 0.01 < (frame - opened) / seconds < due + DEADLINE
    assert first < second < array < third


def test_a_subscriber_that_comes_after_the_timeline_began_gets_only_later_frames(
    tmp_path: Path,
) -> None:
    write(tmp_path, "kucoin", 0, [line(kucoin_text(0), START)])
    arrays = [line(binance_text(0), START), line(binance_text(1), START + 4_000_000)]
    write(tmp_path, "binance", 0, arrays)
    with (
        running(*Recording(landing=Folder(tmp_path)).exchanges()) as address,
        subscribed(address, "kucoin") as kucoin,
    ):
        assert received(kucoin, 1) == [kucoin_text(0)]
        with subscribed(address, "binance") as binance:
            assert received(binance, 1) == [f"[{binance_text(1)}]"]


def test_nothing_is_played_before_somebody_listens(tmp_path: Path) -> None:
    write(tmp_path, "kucoin", 0, [line(kucoin_text(n), START + n) for n in range(2)])
    with running(*Recording(landing=Folder(tmp_path), speed=1000).exchanges()) as address:
        with connect(kucoin_url(address)) as silent:
            # Connected, but not subscribed.
            assert json.loads(silent.recv(timeout=DEADLINE))["type"] == "welcome"
            with pytest.raises(TimeoutError):
                silent.recv(timeout=0.1)
        with subscribed(address, "kucoin") as client:
            assert received(client, 2) == [kucoin_text(0), kucoin_text(1)]


def test_a_damaged_object_is_named_and_the_rest_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts = [kucoin_text(n) for n in range(3000)]
    for first in range(0, 3000, 1000):
        lines = [line(texts[n], START + n) for n in range(first, first + 1000)]
        damaged = write(tmp_path, "kucoin", first, lines)
        if first == 1000:
            damaged.write_bytes(damaged.read_bytes()[:-3000])
            named = str(damaged)
    with (
        running(*Recording(landing=Folder(tmp_path)).exchanges()) as address,
        subscribed(address, "kucoin") as client,
    ):
        assert received(client, 1000) == texts[:1000]
        rest: list[str] = []
        while texts[-1] not in rest:
            rest += received(client, 1)
    read = len(rest) - 1000
    assert 100 < read < 1000
    assert rest == texts[1000 : 1000 + read] + texts[2000:]
    assert f"{named}: unreadable after line {read}: " in caplog.text


def test_faults_affect_a_recording_too(tmp_path: Path) -> None:
    write(tmp_path, "kucoin", 0, [line(kucoin_text(n), START + n) for n in range(50)])
    with running(*Recording(landing=Folder(tmp_path)).exchanges()) as address:
        inflict(address, "kucoin", Close(after_frames=20))
        with subscribed(address, "kucoin") as client:
            assert list(client) == [kucoin_text(n) for n in range(20)]
            assert client.close_code == 1000


@pytest.mark.parametrize("speed", [0, -1, float("inf"), float("nan")])
def test_a_speed_that_can_not_be_is_refused(tmp_path: Path, speed: float) -> None:
    with pytest.raises(ValueError, match=f"^speed {speed}: expected a finite number above 0$"):
        Recording(landing=Folder(tmp_path), speed=speed).exchanges()


def refused(*options: str, status: int = 1) -> str:
    """Run the exchange with options that it refuses. Return its output."""
    command = [sys.executable, "-m", "infra.replay", "--port", "0", *options]
    return run(command, status=status).stderr


def test_a_folder_without_objects_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "binance").mkdir()
    (tmp_path / "binance" / "notes.txt").write_text("no object")
    for folder in (tmp_path, tmp_path / "missing"):
        problem = refused("--recording", str(folder))
        assert problem.startswith(f"infra.replay: {folder}: nothing to play, expected binance/ ")


def test_an_address_without_a_bucket_is_refused() -> None:
    assert refused("--recording", "s3:///x") == (
        "infra.replay: s3:///x: expected s3://bucket/prefix\n"
    )


def test_a_speed_without_a_recording_is_refused() -> None:
    assert "--speed requires --recording" in refused("--speed", "2", status=2)
