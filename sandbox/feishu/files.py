"""Images and files: upload and download."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from .answers import Answer, failure, success
from .repeats import Behaviour
from .request import ApiRequest

IMAGE_BYTES = 10 * 1024 * 1024
FILE_BYTES = 30 * 1024 * 1024
IMAGE_TYPES = frozenset({"message", "avatar"})
FILE_TYPES = frozenset({"opus", "mp4", "pdf", "doc", "xls", "ppt", "stream"})


@dataclass(frozen=True, slots=True)
class Stored:
    """An uploaded file; keys belong to the app that uploaded it."""

    app_id: str
    name: str
    content_type: str
    content: bytes


class Files:
    """Uploads in memory, the newest `size` bytes of them."""

    def __init__(self, size: int = 256 * 1024 * 1024) -> None:
        self._size = size
        self._held = 0
        self._files: dict[str, Stored] = {}

    def behaviours(self) -> Mapping[str, Behaviour]:
        return {
            "POST /open-apis/im/v1/images": self.upload_image,
            "GET /open-apis/im/v1/images/:image_key": self.download_image,
            "POST /open-apis/im/v1/files": self.upload_file,
            "GET /open-apis/im/v1/files/:file_key": self.download_file,
        }

    def upload_image(self, request: ApiRequest) -> Answer:
        if request.fields.get("image_type") not in IMAGE_TYPES:
            return _invalid("image_type is message or avatar")
        key = f"img_v3_{secrets.token_hex(16)}"
        return self._upload(request, "image", key, "image_key", IMAGE_BYTES)

    def upload_file(self, request: ApiRequest) -> Answer:
        if request.fields.get("file_type") not in FILE_TYPES:
            return _invalid(f"file_type is one of {', '.join(sorted(FILE_TYPES))}")
        if not request.fields.get("file_name"):
            return _invalid("file_name is required")
        key = f"file_v3_{secrets.token_hex(16)}"
        return self._upload(request, "file", key, "file_key", FILE_BYTES)

    def download_image(self, request: ApiRequest) -> Answer:
        return self._download(request.app_id, request.param("image_key"))

    def download_file(self, request: ApiRequest) -> Answer:
        return self._download(request.app_id, request.param("file_key"))

    def refusal(self, app_id: str, key: str) -> Answer | None:
        """Why an app may not send a key in a message, None when it may."""
        stored = self._files.get(key)
        if stored is None:
            return failure(400, 230001, "Your request contains an invalid image_key.")
        if stored.app_id != app_id:
            return failure(400, 230017, "Bot is NOT the owner of the resource.")
        return None

    def clear(self) -> None:
        self._files.clear()
        self._held = 0

    def _upload(self, request: ApiRequest, part: str, key: str, name: str, most: int) -> Answer:
        upload = request.files.get(part)
        if upload is None:
            return _invalid(f"the form has no file {part}")
        if not upload.content:
            return failure(400, 234010, "File's size can't be 0.")
        if len(upload.content) > most:
            return failure(400, 234006, "The file size exceed the max value.")
        filename = request.fields.get("file_name") or upload.filename or key
        stored = Stored(request.app_id, filename, upload.content_type, upload.content)
        self._files[key] = stored
        self._held += len(stored.content)
        while self._held > self._size:
            oldest = next(iter(self._files))
            self._held -= len(self._files.pop(oldest).content)
        return success({name: key})

    def _download(self, app_id: str, key: str) -> Answer:
        stored = self._files.get(key)
        if stored is None:
            return _invalid(f"there is no resource {key}")
        if stored.app_id != app_id:
            return failure(400, 234008, "The app is not the resource sender.")
        disposition = f"attachment; filename*=UTF-8''{quote(stored.name)}"
        return Answer(
            stored.content, 200, stored.content_type, {"Content-Disposition": disposition}
        )


def _invalid(why: str) -> Answer:
    return failure(400, 234001, f"Invalid request param: {why}.")
