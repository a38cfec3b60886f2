"""Answers to REST requests."""

from collections.abc import Mapping

from aiohttp import web

from infra.replay.encoding import encode_json


def json_answer(
    content: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return JSON without blanks, in which symbols are not escaped."""
    return web.json_response(content, status=status, headers=headers, dumps=encode_json)
