"""What a dead letter says: the item's own text, or the message's own bytes."""

import json
import re

from spark_jobs.items import WHOLE_MESSAGE

BETWEEN_ELEMENTS = re.compile(r"[ \t\r\n,]*")


def payload(message: bytes, position: int) -> bytes:
    """The text of the array's element at the position as it was written; the message where there is none."""
    if position == WHOLE_MESSAGE:
        return message
    try:
        return element_texts(message.decode())[position].encode()
    except (ValueError, IndexError):
        # Spark is more lenient than Python about what JSON is. The whole message holds the item.
        return message


def element_texts(array: str) -> list[str]:
    """`['{"c": 1.10}', 'null']` for `[ {"c": 1.10}, null ]`. Raises ValueError for what is no JSON array."""
    elements = json.loads(array)
    decode = json.JSONDecoder().raw_decode
    texts = []
    end = array.index("[") + 1
    for _ in elements:
        between = BETWEEN_ELEMENTS.match(array, end)
        start = between.end() if between else end
        _value, end = decode(array, start)
        texts.append(array[start:end])
    return texts
