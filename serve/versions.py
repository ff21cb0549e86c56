"""The versions of a registered model, as MLflow's registry searches for them."""

from typing import Any


def versions_named(client: Any, name: str) -> list[Any]:
    """All versions of the registered model of a name; none if there is no such model.

    A filter has no escapes: a name stands in the quotes that it has not, and of one that has both an apostrophe is any
    character.
    """
    if '"' not in name:
        asked = f'name = "{name}"'
    elif "'" not in name:
        asked = f"name = '{name}'"
    else:
        asked = f"name LIKE '{name.replace(chr(39), '_')}'"
    return [version for version in every_page(client.search_model_versions, asked) if version.name == name]


def every_page(search: Any, *arguments: Any) -> list[Any]:
    """What all pages of a search hold."""
    found, token = [], None
    while True:
        page = search(*arguments, page_token=token)
        found += page
        token = page.token
        if not token:
            return found
