"""How a virtual server answers a request, where the request's query asks for more than the plain answer.

`ackbox-delay=<seconds>`, `ackbox-status=<code>`, `ackbox-bytes=<number>` (of padding) and `ackbox-set-cookie=<cookie>`
(any number of them) stand in for a server that is slow, fails, sends much or has sessions. What makes no sense is left
out.
"""

import asyncio
import json
import re
from collections.abc import Mapping

from aiohttp import web

MAX_DELAY = 300.0
"""Seconds."""

MAX_BYTES = 64 * 1024 * 1024


async def answer(request: web.BaseRequest, fields: Mapping[str, object]) -> web.Response:
    """The answer to a request.

    Args:
        request: may ask for more in its query.
        fields: of the JSON body.
    """
    query = request.query
    delay = _number(query.get("ackbox-delay"), MAX_DELAY)
    if delay:
        await asyncio.sleep(delay)
    padding = int(_number(query.get("ackbox-bytes"), MAX_BYTES))
    body = {**fields, "padding": "x" * padding} if padding else fields
    response = web.Response(
        text=json.dumps(body) + "\n",
        content_type="application/json",
        headers={"Server": "ackbox"},
        status=_status(query.get("ackbox-status")),
    )
    for cookie in query.getall("ackbox-set-cookie", ()):
        if cookie.isascii() and cookie.isprintable():
            response.headers.add("Set-Cookie", cookie)
    return response


def _number(text: str | None, most: float) -> float:
    try:
        number = float(text or 0)
    except ValueError:
        return 0.0
    # What is no number at all is not above zero either.
    return min(number, most) if number > 0 else 0.0


def _status(text: str | None) -> int:
    return int(text) if text and re.fullmatch("[2-5][0-9][0-9]", text) else 200
