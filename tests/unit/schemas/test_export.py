"""The files in schemas/json are the contract that producers in other languages read."""

from __future__ import annotations

import json

import jsonschema
import pytest

from schemas.export import FOLDER, documents
from schemas.reply import ErrorType


def test_the_folder_holds_exactly_what_the_models_say() -> None:
    on_disk = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.iterdir()}
    assert on_disk == documents(), "run: python -m schemas.export"


@pytest.mark.parametrize("name", [name for name in documents() if name.endswith("schema.json")])
def test_every_schema_is_a_legal_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(documents()[name]))


def test_the_call_of_the_contract_fits_the_call_schema() -> None:
    schema = json.loads(documents()["call.schema.json"])
    call = {
        "method": "POST",
        "path": "/open-apis/im/v1/messages",
        "path_params": {},
        "query": {"receive_id_type": "chat_id"},
        "headers": {},
        "body": {"receive_id": "oc_1", "msg_type": "text", "content": '{"text":"hi"}'},
        "as": "tenant",
        "retry": "safe",
    }
    jsonschema.validate(call, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(call | {"url": "x"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(call | {"query": {"a": None}}, schema)


def test_the_error_schema_lists_every_type() -> None:
    schema = json.loads(documents()["error.schema.json"])
    assert set(schema["$defs"]["ErrorType"]["enum"]) == {item.value for item in ErrorType}


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = json.loads(documents()["asyncapi.json"])
    references = _references(document)
    assert references
    for reference in references:
        if reference.startswith("./"):
            assert reference.removeprefix("./") in documents()
            continue
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for child in node.values() for found in _references(child)]
    if isinstance(node, list):
        return [found for child in node for found in _references(child)]
    return []
