"""Play a landing archive in the object store with `python -m infra.replay`."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from core.settings import Settings
from infra.services import object_store
from tests.support.process import Process, run, running
from tests.support.recordings import (
    START,
    binance_text,
    kucoin_text,
    landing_object,
    line,
    received,
)
from tests.support.small_exchange import subscribed

SECOND = 1_000_000
SERVING = re.compile(r"serving on http://(127\.0\.0\.1:\d+)")
COMMAND = [sys.executable, "-m", "infra.replay", "--port", "0"]


@pytest.fixture
def root(settings: Settings) -> str:
    """A new prefix in the stack's bucket."""
    return f"recordings/{uuid4().hex}"


def put(settings: Settings, root: str, objects: list[tuple[str, bytes]]) -> None:
    store = object_store.client(settings)
    for name, content in objects:
        store.put_object(Bucket=settings.s3_bucket, Key=f"{root}/{name}", Body=content)


@contextmanager
def exchange(settings: Settings, log: Path, *options: str) -> Iterator[tuple[Process, str]]:
    """Yield the replay exchange's process and address."""
    with running(Process([*COMMAND, *options], log, settings.environment())) as process:
        process.wait_for(process.log, SERVING.search)
        [address] = SERVING.findall(process.log())
        assert settings.aws_secret_access_key not in process.log()
        yield process, address


def test_a_prefix_plays_every_frame_of_both_exchanges_in_order(
    settings: Settings, root: str, tmp_path: Path
) -> None:
    # After KuCoin's first frame there is a pause of 100 s, in which Binance gets its subscriber. Then both
    # send for ten seconds: 2,000 frames and two arrays of 300 items a second. There are more than 1,000
    # objects, so listing them takes two pages.
    later = START + 100 * SECOND
    kucoin = [
        (START, kucoin_text(0)),
        *((later + n * SECOND // 2000, kucoin_text(n)) for n in range(1, 20_000)),
    ]
    arrays = [
        (later + n * SECOND // 2, [binance_text(300 * n + each) for each in range(300)])
        for n in range(20)
    ]
    put(
        settings,
        root,
        [
            *(
                landing_object("kucoin", n, [line(text, at) for at, text in kucoin[n : n + 19]])
                for n in range(0, len(kucoin), 19)
            ),
            *(
                landing_object("binance", 300 * n, [line(text, at) for text in texts])
                for n, (at, texts) in enumerate(arrays)
            ),
        ],
    )
    with (
        exchange(
            settings,
            tmp_path / "exchange.log",
            *("--recording", f"s3://{settings.s3_bucket}/{root}/", "--speed", "10"),
        ) as (process, address),
        subscribed(address, "kucoin") as from_kucoin,
        subscribed(address, "binance") as from_binance,
    ):
        assert received(from_kucoin, 20_000) == [text for _, text in kucoin]
        assert received(from_binance, 20) == [f"[{','.join(texts)}]" for _, texts in arrays]
        ends = ("kucoin: recording ended frames=20000", "binance: recording ended frames=20")
        process.wait_for(process.log, lambda log: all(end in log for end in ends))
        assert process.terminate() == 0


def test_a_corrupt_object_is_named_and_the_rest_goes_on(
    settings: Settings, root: str, tmp_path: Path
) -> None:
    texts = [kucoin_text(n) for n in range(3)]
    objects = [landing_object("kucoin", n, [line(texts[n], START + n)]) for n in range(3)]
    corrupt = objects[1][0]
    put(settings, root, [objects[0], (corrupt, b"no gzip"), objects[2]])
    with (
        exchange(
            settings, tmp_path / "exchange.log", "--recording", f"s3://{settings.s3_bucket}/{root}"
        ) as (process, address),
        subscribed(address, "kucoin") as client,
    ):
        assert received(client, 2) == [texts[0], texts[2]]
    assert f"{root}/{corrupt}: unreadable after line 0: " in process.log()


@pytest.mark.parametrize(
    ("bucket", "problem"),
    [("", "nothing to play, expected binance/ or kucoin/"), ("no-such-bucket", "NoSuchBucket")],
)
def test_a_prefix_with_nothing_to_play_is_refused_by_name(
    settings: Settings, root: str, bucket: str, problem: str
) -> None:
    address = f"s3://{bucket or settings.s3_bucket}/{root}/"
    ended = run([*COMMAND, "--recording", address], settings.environment(), status=1)
    assert ended.stderr.startswith(f"infra.replay: {address}: ")
    assert problem in ended.stderr
    assert "Traceback" not in ended.stderr
