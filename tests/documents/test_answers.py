"""JSON, variables and headers of the documentation are what the service answers and reads."""

import json
import re
from io import StringIO

import httpx
import pytest
import yaml  # type: ignore[import-untyped]
from dotenv import dotenv_values

from app.settings import Settings
from tests.documents.blocks import Block, blocks, the_block


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_is_json(block: Block) -> None:
    assert json.loads(block.text)


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_yaml_is_yaml(block: Block) -> None:
    assert all(yaml.safe_load_all(block.text))


async def test_error_in_the_api_document_is_the_one_of_a_blank_title(client: httpx.AsyncClient) -> None:
    documented = json.loads(the_block("docs/api.md", "json", '"errors"'))
    answer = (await client.post("/api/me/tasks", json={"title": " "})).json()
    assert answer | {"request_id": documented["request_id"]} == documented
    assert list(answer) == list(documented)


async def test_link_in_the_api_document_has_the_form_of_a_real_one(client: httpx.AsyncClient) -> None:
    for title in "First", "Second":
        await client.post("/api/me/tasks", json={"title": title})
    link = (await client.get("/api/me/tasks?status=pending&limit=1")).headers["Link"]
    documented = the_block("docs/api.md", "", "Link:").strip().removeprefix("Link: ")
    assert re.sub(r"cursor=[^>]*", "", link) == re.sub(r"cursor=[^>]*", "", documented).replace("limit=50", "limit=1")
    assert re.search(r"cursor=WyJjcmVh\w", link)


def test_variables_of_neon_are_taken() -> None:
    given = dotenv_values(stream=StringIO(the_block("docs/deployment.md", "bash", "DATABASE_URL_UNPOOLED='postgresql")))
    settings = Settings.from_env({**given, "BETTER_AUTH_SECRET": "kD7zQ0pXw3rT9uLmB5nV8cYhJ2fGsE4a"})
    assert settings.database_url
    assert settings.database_url_unpooled
