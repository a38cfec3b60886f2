"""Build JSON answers to REST requests."""

from collections.abc import Mapping

from aiohttp import web

from infra.replay.encoding import encode_json


def json_answer(
    content: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return compact JSON with non-ASCII characters unescaped."""
    return web.json_response(content, status=status, headers=headers, dumps=encode_json)
