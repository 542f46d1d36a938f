"""The list of routes for people: OpenAPI as one page of plain HTML, without scripts or styles."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any


def describe(schema: Mapping[str, Any]) -> str:
    """The page of an OpenAPI document."""
    title = escape(schema["info"]["title"])
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{title}</title>",
        f"<h1>{title} {escape(schema['info']['version'])}</h1>",
        f"<p>{escape(schema['info'].get('description', ''))}</p>",
    ]
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            parts += _route(method.upper(), path, route)
    parts.append("<h2>Bodies</h2>")
    for name, body in schema.get("components", {}).get("schemas", {}).items():
        text = json.dumps(body, indent=1)
        parts.append(f"<h3 id='{escape(name)}'>{escape(name)}</h3><pre>{escape(text)}</pre>")
    return "\n".join(parts) + "</html>"


def _route(method: str, path: str, route: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2>{method} {escape(path)}</h2><p>{escape(route.get('description', ''))}</p>"
    for parameter in route.get("parameters", []):
        text = json.dumps(parameter.get("schema", {}))
        yield (
            f"<p>{escape(parameter['in'])}: <b>{escape(parameter['name'])}</b> "
            f"<code>{escape(text)}</code></p>"
        )
    body = route.get("requestBody", {}).get("content", {}).get("application/json", {})
    if reference := body.get("schema", {}).get("$ref"):
        name = escape(reference.rsplit("/", 1)[-1])
        yield f"<p>body: <a href='#{name}'>{name}</a></p>"
