"""Test the record of deliveries: it is read as written, and a corrupt record counts as empty."""

import json
import logging
from pathlib import Path

import pytest

from core.message import partition_of
from extractors.to_kafka.delivered import Delivered, PartitionProgress

OURS = "3f9c1a2b00c4d5e6"

RECORD = Delivered(
    OURS,
    7_000,
    {0: PartitionProgress(10, 6_900), 3: PartitionProgress(0, 0)},
    [(0, 4), (5_000, 6), (6_000, 8)],
)


@pytest.mark.parametrize("durably", [False, True])
def test_record_that_was_saved_is_loaded_as_it_was(tmp_path: Path, durably: bool) -> None:
    RECORD.save(tmp_path, durably=durably)
    assert Delivered.load(tmp_path, OURS) == RECORD


def test_each_save_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    Delivered(OURS, 1).save(tmp_path)
    RECORD.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["delivered"]
    assert Delivered.load(tmp_path, OURS) == RECORD


def test_save_that_was_cut_short_leaves_the_record_before_it(tmp_path: Path) -> None:
    RECORD.save(tmp_path)
    (tmp_path / "delivered.tmp").write_text('{"journal"')
    assert Delivered.load(tmp_path, OURS) == RECORD
    Delivered(OURS, 8_000).save(tmp_path)
    assert Delivered.load(tmp_path, OURS).position == 8_000


def test_save_where_nothing_can_be_written_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        RECORD.save(tmp_path / "nowhere")


def test_journal_without_a_record_begins_with_an_empty_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert Delivered.load(tmp_path, OURS) == Delivered(OURS, 0, {}, [])
    assert caplog.records == []


def test_record_of_another_journal_is_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    RECORD.save(tmp_path)
    another = "00000000000000aa"
    assert Delivered.load(tmp_path, another) == Delivered(another)
    assert caplog.records == []


WHOLE = {"journal": OURS, "position": 5, "places": {"0": [1, 2]}, "counts": [[0, 4]]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(100),
        b"\xff\xfe",
        json.dumps(WHOLE).encode()[:-1],
        b"[]",
        b"null",
        b"7",
        json.dumps({"journal": OURS}).encode(),
        json.dumps({**WHOLE, "position": None}).encode(),
        json.dumps({**WHOLE, "places": []}).encode(),
        json.dumps({**WHOLE, "places": {"zero": [1, 2]}}).encode(),
        json.dumps({**WHOLE, "places": {"0": [1, 2, 3]}}).encode(),
        json.dumps({**WHOLE, "places": {"0": 1}}).encode(),
        json.dumps({**WHOLE, "counts": [[0]]}).encode(),
        json.dumps({**WHOLE, "counts": 4}).encode(),
    ],
)
def test_record_that_a_power_failure_spoilt_is_named_and_begins_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    (tmp_path / "delivered").write_bytes(content)
    assert Delivered.load(tmp_path, OURS) == Delivered(OURS)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("record of deliveries unreadable reason=")
    RECORD.save(tmp_path)
    assert Delivered.load(tmp_path, OURS) == RECORD


def test_records_share_nothing() -> None:
    first, second = Delivered(OURS), Delivered(OURS)
    first.set_partitions(4, 0)
    first.partitions[0] = PartitionProgress(1, 1)
    assert second == Delivered(OURS)


SYMBOLS = ["BTCUSDT", "ETH-USDT", "币安人生USDT", ""]


def test_number_of_partitions_is_that_of_all_positions_until_it_grows() -> None:
    delivered = Delivered(OURS)
    delivered.set_partitions(4, 1_000)
    delivered.set_partitions(4, 2_000)
    assert delivered.counts == [(0, 4)]
    for symbol in SYMBOLS:
        for position in (0, 1_500, 10**12):
            assert delivered.partition_of(symbol, position) == partition_of(symbol, 4)


def test_item_keeps_its_partition_when_the_topic_has_more_of_them() -> None:
    delivered = Delivered(OURS)
    for count, position in ((4, 0), (6, 1_000), (6, 1_500), (9, 2_000)):
        delivered.set_partitions(count, position)
    assert delivered.counts == [(0, 4), (1_000, 6), (2_000, 9)]
    for symbol in SYMBOLS:
        assert [delivered.partition_of(symbol, at) for at in (0, 999, 1_000, 1_999, 2_000)] == [
            partition_of(symbol, count) for count in (4, 4, 6, 6, 9)
        ]


def test_topic_that_grows_twice_before_anything_is_sent_has_the_last_number() -> None:
    delivered = Delivered(OURS)
    for count in (4, 6, 8):
        delivered.set_partitions(count, 1_000)
    assert delivered.partition_of("BTCUSDT", 1_000) == partition_of("BTCUSDT", 8)
    assert delivered.partition_of("BTCUSDT", 999) == partition_of("BTCUSDT", 4)


def test_topic_with_fewer_partitions_was_created_again_and_has_nothing() -> None:
    delivered = Delivered(
        OURS, 900, {n: PartitionProgress(50, 900) for n in range(6)}, [(0, 4), (500, 6)]
    )
    delivered.set_partitions(2, 1_000)
    assert (delivered.counts, delivered.partitions) == ([(0, 2)], {})
    assert delivered.partition_of("BTCUSDT", 700) == partition_of("BTCUSDT", 2)
    # Items of the deleted topic are not sent again.
    assert delivered.start() == 900


def test_growing_keeps_what_is_known_of_the_partitions_before() -> None:
    places = {n: PartitionProgress(50, 900) for n in range(4)}
    delivered = Delivered(OURS, 800, dict(places), [(0, 4)])
    delivered.set_partitions(6, 1_000)
    assert delivered.partitions == places


def test_what_each_partition_has_taken_is_its_last_position() -> None:
    assert RECORD.taken() == {0: 6_900, 3: 0}


@pytest.mark.parametrize(
    ("position", "taken", "start"),
    [
        (0, {}, 0),
        (500, {}, 500),
        (500, {0: 900, 1: 700}, 700),
        (800, {0: 900, 1: 700}, 800),
        (500, {0: 900}, 500),
        (500, {0: 900, 1: 0}, 500),
        (500, {0: 900, 1: 700, 5: 600}, 700),
    ],
)
def test_sending_goes_on_where_kafka_has_everything_before(
    position: int, taken: dict[int, int], start: int
) -> None:
    places = {partition: PartitionProgress(1, at) for partition, at in taken.items()}
    assert Delivered(OURS, position, places, [(0, 2)]).start() == start


def test_without_a_number_of_partitions_the_recorded_position_is_the_start() -> None:
    assert Delivered(OURS, 500).start() == 500
