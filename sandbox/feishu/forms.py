"""Multipart bodies."""

from __future__ import annotations

import asyncio

from aiohttp import BodyPartReader, MultipartReader, StreamReader
from aiohttp.base_protocol import BaseProtocol
from multidict import CIMultiDict

from .request import ApiRequest, Upload


async def read_form(request: ApiRequest) -> bool:
    """Fill the request's fields and files from its body; False when it is no valid form.

    A part without a filename is both a field and a file.
    """
    loop = asyncio.get_running_loop()
    # A limit that the body cannot reach: there is no connection whose reading could be paused.
    stream = StreamReader(BaseProtocol(loop), len(request.body), loop=loop)
    stream.feed_data(request.body)
    stream.feed_eof()
    headers = CIMultiDict({"Content-Type": request.content_type})
    try:
        async for part in MultipartReader(headers, stream):
            if not isinstance(part, BodyPartReader) or part.name is None:
                return False
            content = bytes(await part.read())
            content_type = part.headers.get("Content-Type", "application/octet-stream")
            # The official Python SDK sends files without a filename, and Feishu takes them,
            # so any part may be meant as a file.
            request.files[part.name] = Upload(part.filename or "", content_type, content)
            if part.filename is None:
                request.fields[part.name] = content.decode(errors="replace")
    except ValueError:
        return False
    return True
