"""Answer commands that a client sends to KuCoin on an open WebSocket.

Source: www.kucoin.com/docs-new (websocket-api/base-info/introduction, error-code/websocket).
"""

import json
import re
import time
from collections.abc import Container
from typing import Any

from infra.replay.connection import Connection
from infra.replay.encoding import encode_frames, encode_json
from infra.replay.faults.faults import NoAck, RefuseSubscription
from infra.replay.kucoin.frames import PREFIX, PROBLEMS, TOPIC, refusal
from infra.replay.source import Source
from infra.replay.streams import Subscriptions

MOST_AT_ONCE = 100
MOST_TOPICS = 400


class KucoinCommands:
    """Answers commands of all connections."""

    def __init__(
        self, source: Source, subscriptions: Subscriptions, symbols: Container[str]
    ) -> None:
        self._source = source
        self._subscriptions = subscriptions
        self._symbols = symbols

    def answer(self, connection: Connection, text: str, connect_id: str) -> None:
        """Execute a command and send the answer.

        {"id":"1","type":"ping"} -> {"id":"1","type":"pong","timestamp":1764229947440563}
        {"id":"1","type":"subscribe","topic":"/market/ticker:all","response":true}
            -> {"id":"1","type":"ack"}, and only then data
        """
        command = parse_command(text)
        # If the command has no id, the answer carries the connection's id.
        command_id = str(command.get("id", connect_id))
        match command.get("type"):
            case "ping":
                pong = {"id": command_id, "type": "pong", "timestamp": time.time_ns() // 1000}
                connection.send(encode_json(pong))
            case "subscribe" | "unsubscribe":
                self._change(connection, command, command_id)
            case _:
                connection.send(refusal(command_id, 415))

    def _change(self, connection: Connection, command: dict[str, Any], command_id: str) -> None:
        """Subscribe or unsubscribe."""
        topics = topics_in(command.get("topic"))
        if problem := self._problem(connection, command, topics):
            connection.send(refusal(command_id, *problem))
            return
        if connection.opening(NoAck):
            return
        if refused := connection.opening(RefuseSubscription):
            connection.send(refusal(command_id, refused.code))
            return
        if command.get("response") is True:
            connection.send(encode_json({"id": command_id, "type": "ack"}))
        if command["type"] == "unsubscribe":
            self._subscriptions.discard(connection, topics)
            return
        had = self._subscriptions.of(connection)
        for topic in topics:
            if topic not in had:
                # The first data is a burst: the last ticker of each symbol of the topic.
                texts = self._source.greeting(topic)
                connection.send_data(texts, encode_frames(texts))
        self._subscriptions.add(connection, topics)

    def _problem(
        self, connection: Connection, command: dict[str, Any], topics: list[str]
    ) -> tuple[int, str] | None:
        """Return the code and KuCoin's message of an error, None if the command is valid."""
        if problem := topic_problem(command.get("topic")):
            return problem
        if len(topics) > MOST_AT_ONCE:
            return 509, f"exceed max subscription count limitation of {MOST_AT_ONCE} per time"
        if command["type"] == "unsubscribe":
            return None
        for topic in topics:
            if topic != TOPIC and topic.removeprefix(PREFIX) not in self._symbols:
                return 404, f"topic {topic} is not found"
        if len({*self._subscriptions.of(connection), *topics}) > MOST_TOPICS:
            return 509, f"exceed max subscription count limitation of {MOST_TOPICS} per session"
        return None


def parse_command(text: str) -> dict[str, Any]:
    """Return the command, empty if the text is not a JSON object."""
    try:
        command = json.loads(text)
    except (ValueError, RecursionError):
        # Also for an integer of thousands of digits, or thousands of levels of nesting.
        return {}
    return command if isinstance(command, dict) else {}


def topics_in(topic: object) -> list[str]:
    """Return one topic for each symbol of a list. Whitespace around symbols is ignored.

    /market/ticker: BTC-USDT,ETH-USDT -> /market/ticker:BTC-USDT and /market/ticker:ETH-USDT
    """
    if not isinstance(topic, str):
        return []
    prefix, colon, symbols = topic.partition(":")
    names = dict.fromkeys(symbol.strip() for symbol in symbols.split(","))
    return [f"{prefix}{colon}{name}" for name in names]


def topic_problem(topic: object) -> tuple[int, str] | None:
    """Return the code and message of an error in a topic, apart from its symbols."""
    if not topic:
        return 406, PROBLEMS[406]
    if not (isinstance(topic, str) and re.fullmatch(r"/[^\s:]+(:.+)?", topic)):
        return 400, f"topic {topic} is invalid"
    if not topic.startswith(PREFIX):
        return 404, PROBLEMS[404]
    return None
