from typing import get_args

from core.topics import TOPIC_OF_EXCHANGE
from server.fields import Exchange


def test_every_exchange_of_the_pipeline_can_be_asked_for() -> None:
    assert set(get_args(Exchange)) == set(TOPIC_OF_EXCHANGE)
