"""Answer conditional requests: each answer has an ETag, and a request that sends it back gets 304."""

from hashlib import sha256

from fastapi import Response
from pydantic import BaseModel


def is_known(etag: str, if_none_match: str | None) -> bool:
    """Return whether the client already has the answer. Ignore W/, which compression adds."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return etag in tags or "*" in tags


def not_modified(etag: str) -> Response:
    return Response(status_code=304, headers={"ETag": etag})


def json_answer(text: str, etag: str) -> Response:
    return Response(text, media_type="application/json", headers={"ETag": etag})


def answer_with(content: BaseModel, if_none_match: str | None) -> Response:
    """Return the content as JSON, with a hash of it as ETag."""
    return answer_with_text(content.model_dump_json(by_alias=True), if_none_match)


def answer_with_text(text: str, if_none_match: str | None) -> Response:
    """Return the JSON, with a hash of it as ETag."""
    etag = f'"{sha256(text.encode()).hexdigest()[:16]}"'
    return not_modified(etag) if is_known(etag, if_none_match) else json_answer(text, etag)
