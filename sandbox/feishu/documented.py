"""What Feishu's pages say of single APIs beyond the catalogue: limits, and how they refuse."""

from __future__ import annotations

from schemas.apis import Api, Window

from .answers import Answer, failure, rate_limited

_DOCUMENTS = "/open-apis/docx/v1/documents"
_BITABLE = "/open-apis/bitable/"
_DRIVE = "/open-apis/drive/v1"

DRIVE_WRITES = frozenset(
    {
        *(
            f"POST {_DRIVE}/{place}/upload_{step}"
            for place in ("files", "medias")
            for step in ("all", "prepare", "part", "finish")
        ),
        f"POST {_DRIVE}/files/create_folder",
        f"POST {_DRIVE}/files/create_shortcut",
        f"POST {_DRIVE}/files/:file_token/copy",
        f"POST {_DRIVE}/files/:file_token/move",
        f"DELETE {_DRIVE}/files/:file_token",
    }
)
"""APIs that may not be called two at once by one app, and share its 5 a second, 10,000 a day."""

_UNCOUNTED = tuple(
    f"/open-apis/{area}/"
    for area in (
        *("auth", "authen", "event", "contact", "ehr", "corehr", "hire", "performance"),
        *("apaas", "aily", "optical_char_recognition", "speech_to_text", "translation"),
        "document_ai",
    )
)


def windows(api: Api) -> tuple[Window, ...]:
    """The limits of an API by itself, for one app."""
    if api.name in DRIVE_WRITES:
        # Their 5 a second is that of all drive writes together, which answers for itself.
        return tuple(window for window in api.windows if window != Window(5, 1))
    if not api.windows and _on_documents(api):
        return (Window(5 if api.reads else 3, 1),)
    return api.windows


def status(api: Api) -> int:
    """The HTTP status of a call beyond these limits: older APIs say 400, bitable 200."""
    if api.template.startswith(_BITABLE):
        return 200
    return 400 if _on_documents(api) else 429


def code(api: Api) -> int:
    """Feishu's code for such a call."""
    return 1254290 if api.template.startswith(_BITABLE) else 99991400


def refusal(http_status: int, feishu_code: int, limit: int, reset: int) -> Answer:
    """Such an answer; only the general code is documented to come with the reset time."""
    if feishu_code == 99991400:
        return rate_limited(http_status, limit, reset)
    return failure(http_status, feishu_code, "TooManyRequest")


def counts_to_quota(path: str) -> bool:
    """Whether a call takes from the monthly quota; authentication, contacts, HR and AI do not."""
    return not path.startswith(_UNCOUNTED)


def subject_kind(api: Api) -> str:
    """What an API's writes are limited by besides the app: `table`, `document`, `drive` or ``."""
    if api.name in DRIVE_WRITES:
        return "drive"
    if api.reads:
        return ""
    if api.template.startswith(_BITABLE) and "/:table_id" in api.template:
        return "table"
    return "document" if api.template.startswith(f"{_DOCUMENTS}/:document_id") else ""


def _on_documents(api: Api) -> bool:
    template = api.template
    return template == _DOCUMENTS or template.startswith(f"{_DOCUMENTS}/:document_id")
