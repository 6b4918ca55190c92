"""Images and files."""

import io

import aiohttp
import pytest

from tests.support.feishu import OTHER_APP, OTHER_SECRET, Feishu

IMAGES = "/open-apis/im/v1/images"
FILES = "/open-apis/im/v1/files"
PIXELS = bytes(range(256)) * 40


def image(content: bytes = PIXELS, image_type: str = "message") -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("image_type", image_type)
    form.add_field("image", io.BytesIO(content), filename="a.png", content_type="image/png")
    return form


def document(**fields: str) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for name, value in fields.items():
        form.add_field(name, value)
    form.add_field("file", PIXELS, filename="part.bin")
    return form


async def test_an_image_is_downloaded_as_it_was_uploaded(feishu: Feishu) -> None:
    key = (await feishu.call("POST", IMAGES, data=image())).data["image_key"]
    got = await feishu.call("GET", f"{IMAGES}/{key}")
    assert got.content == PIXELS
    assert got.headers["Content-Type"] == "image/png"
    assert "a.png" in got.headers["Content-Disposition"]


async def test_a_part_without_a_filename_is_a_file_too(feishu: Feishu) -> None:
    head = 'Content-Disposition: form-data; name="{}"\r\n\r\n'
    parts = (
        head.format("image_type").encode() + b"message",
        head.format("image").encode() + PIXELS,
    )
    body = b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + b"--x--\r\n"
    content_type = {"Content-Type": "multipart/form-data; boundary=x"}
    key = (await feishu.call("POST", IMAGES, data=body, headers=content_type)).data["image_key"]
    got = await feishu.call("GET", f"{IMAGES}/{key}")
    assert got.content == PIXELS
    assert key in got.headers["Content-Disposition"]


async def test_an_uploaded_image_can_be_sent(feishu: Feishu) -> None:
    key = (await feishu.call("POST", IMAGES, data=image())).data["image_key"]
    body = {"msg_type": "image", "content": f'{{"image_key":"{key}"}}'}
    assert (await feishu.send(**body)).code == 0
    other = (await feishu.get_token(OTHER_APP, OTHER_SECRET))["tenant_access_token"]
    assert (await feishu.send(**body, token=other)).code == 230017


async def test_a_key_belongs_to_the_app_that_uploaded(feishu: Feishu) -> None:
    key = (await feishu.call("POST", IMAGES, data=image())).data["image_key"]
    other = (await feishu.get_token(OTHER_APP, OTHER_SECRET))["tenant_access_token"]
    assert (await feishu.call("GET", f"{IMAGES}/{key}", token=other)).code == 234008
    assert (await feishu.call("GET", f"{IMAGES}/img_no")).code == 234001


async def test_a_file_keeps_its_given_name(feishu: Feishu) -> None:
    form = document(file_type="stream", file_name="Bericht über 2026.bin")
    key = (await feishu.call("POST", FILES, data=form)).data["file_key"]
    got = await feishu.call("GET", f"{FILES}/{key}")
    assert got.content == PIXELS
    assert "Bericht%20%C3%BCber%202026.bin" in got.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("path", "form", "code"),
    [
        (IMAGES, image(image_type="painting"), 234001),
        (IMAGES, image(b""), 234010),
        (IMAGES, image(bytes(10 * 1024 * 1024 + 1)), 234006),
        (IMAGES, document(image_type="message"), 234001),
        (FILES, document(file_type="stream"), 234001),
        (FILES, document(file_name="a", file_type="exe"), 234001),
    ],
)
async def test_a_wrong_upload_is_refused(
    feishu: Feishu, path: str, form: aiohttp.FormData, code: int
) -> None:
    got = await feishu.call("POST", path, data=form)
    assert (got.status, got.code) == (400, code)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n\r\n\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"no boundary in it"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Length: x\r\n\r\na\r\n--x--\r\n"),
    ],
)
@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionHeader")
async def test_a_broken_form_is_refused(feishu: Feishu, content_type: str, body: bytes) -> None:
    got = await feishu.call("POST", IMAGES, data=body, headers={"Content-Type": content_type})
    assert (got.status, got.code) == (400, 9499)


async def test_json_where_a_form_belongs_is_refused(feishu: Feishu) -> None:
    got = await feishu.call("POST", IMAGES, json={"image_type": "message"})
    assert (got.status, got.code) == (400, 234001)
