"""Print an OpenAPI document of the server's application, as it is built with this process's environment.

MLflow publishes none of its Flask routes. Their fields are those of its protobuf messages, and those of the request
that `judged_routes.py` has for a route; FastAPI describes its own routes. A text that begins with `$` names an object
of `team_content.Content`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from judged_routes import JUDGEMENTS, PARTS, PUBLIC, Judgement
from mlflow.protos.mlflow_artifacts_pb2 import MlflowArtifactsService
from mlflow.protos.model_registry_pb2 import ModelRegistryService
from mlflow.protos.service_pb2 import MlflowService
from mlflow.protos.webhooks_pb2 import WebhookService
from mlflow.server import app as flask_app
from mlflow.server import handlers
from mlflow.server.graphql.graphql_schema_extensions import schema as graphql_schema

from tinybench.service.access import create_app

Schema = dict[str, Any]

_SERVICES = (MlflowService, ModelRegistryService, MlflowArtifactsService, WebhookService)
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_MAX_DEPTH = 3  # of messages within messages
_NUMBERS = {"float": {"type": "number"}, "int": {"type": "integer"}, "bool": {"type": "boolean"}}
_HOSTILE = (
    "",
    "../../../../outside/secret.txt",
    "..%2f..%2f..%2foutside%2fsecret.txt",
    "$outside/secret.txt",
    "file://$outside",
    "mlflow-artifacts:/../outside",
    "<script>alert('tinybench')</script>",
    "' OR 1=1 --",
    "{{7*7}}${7*7}",
    "$$(touch planted)",
    "zero\0byte",
    "\ud7ff\uffff\U0010ffff",
    "1e999",
    "x" * 5000,
)
_TEXT = {"$ref": "#/components/schemas/Text"}
_OTLP = {
    "parameters": [
        {"in": "header", "name": "X-Mlflow-Experiment-Id", "required": True, "schema": {"enum": ["$experiment", "0"]}}
    ],
    "requestBody": {"content": {"application/x-protobuf": {"schema": {"type": "string", "format": "binary"}}}},
}


def build(app: FastAPI) -> Schema:
    """Return the document; a route that is there under /api and /ajax-api stands under /api."""
    paths: dict[str, Schema] = {}
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            _add(paths, path, method.upper(), _describe_native(path, method.upper(), operation))
    components = app.openapi().get("components", {})
    text = {"anyOf": [{"type": "string", "maxLength": 50}, {"enum": list(_HOSTILE)}]}
    components.setdefault("schemas", {})["Text"] = text
    messages = dict(_messages())
    for rule in flask_app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in sorted(rule.methods.intersection(_METHODS)):
            _add(paths, path, method, _describe(path, method, messages.get((method, rule.rule))))
    return {
        "openapi": "3.1.0",
        "info": {"title": "MLflow", "version": "0"},
        "paths": paths,
        "components": components,
        "x-graphql": str(graphql_schema),
    }


def _add(paths: dict[str, Schema], path: str, method: str, operation: Schema) -> None:
    canonical = re.sub("^/ajax-api", "/api", path)
    known = paths.setdefault(canonical, {}).setdefault(method.lower(), operation)
    known.setdefault("x-paths", []).append(path)
    judgement = _find_judgement(method, canonical)
    known["x-open"] = judgement is not None and judgement.least == PUBLIC
    known["responses"] = {"default": {"description": "any"}}


def _find_judgement(method: str, path: str) -> Judgement | None:
    route = re.sub(r"\{(\w+)\}", r"<\1>", re.sub("^/ajax-api", "/api", path))
    return JUDGEMENTS.get(f"{method} {route}")


def _messages() -> Iterator[tuple[tuple[str, str], Descriptor]]:
    """Yield the method and path of every route that takes a protobuf message, and the message."""
    for service in _SERVICES:
        for method in service.DESCRIPTOR.methods:
            message = service().GetRequestClass(method).DESCRIPTOR
            for endpoint in method.GetOptions().Extensions[handlers.databricks_pb2.rpc].endpoints:
                for path in handlers._get_paths(endpoint.path, version=endpoint.since.major):
                    yield (endpoint.method, path), message


def _describe_native(path: str, method: str, operation: Schema) -> Schema:
    if path == "/v1/traces":
        return dict(_OTLP)
    if "mlflow-artifacts" in path and method == "PUT":
        return _describe(path, method, None)
    if "requestBody" not in operation and method in ("POST", "PATCH"):
        operation |= {"requestBody": _describe(path, method, None).get("requestBody", {})}
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            parameter["schema"] = _describe_part(path, method, parameter["name"])
    return {key: operation[key] for key in ("parameters", "requestBody") if operation.get(key)}


def _describe(path: str, method: str, message: Descriptor | None) -> Schema:
    """Return the operation of a route that Flask answers."""
    judgement = _find_judgement(method, path) or Judgement(PUBLIC)
    operation: Schema = {
        "parameters": [
            {"in": "path", "name": name, "required": True, "schema": _describe_part(path, method, name)}
            for name in re.findall(r"\{(\w+)\}", path)
        ]
    }
    fields = {} if message is None else _fields(message, 0)
    query, body = judgement.query or {}, judgement.body
    in_query = fields if method == "GET" else {}
    for name in sorted(in_query.keys() | query.keys()):
        schema = _with_value(name, in_query.get(name, _TEXT), query.get(name))
        operation["parameters"].append({"in": "query", "name": name, "required": name in query, "schema": schema})
    if isinstance(body, bytes):
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        operation["requestBody"] = {"required": True, "content": content}
    elif method != "GET":
        given = body if isinstance(body, dict) else {}
        properties = {
            name: _with_value(name, fields.get(name) or _guess(given.get(name)), given.get(name))
            for name in sorted(fields.keys() | given.keys())
        }
        schema = {"type": "object", "properties": properties, "required": sorted(given)}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _describe_part(path: str, method: str, name: str) -> Schema:
    judgement = _find_judgement(method, path)
    parts = PARTS | ((judgement.parts if judgement else None) or {})
    values = [part for part in [parts.get(name), *_HOSTILE] if part]
    return {"anyOf": [{"enum": values[:1]}, {"type": "string", "minLength": 1, "maxLength": 50}, {"enum": values}]}


def _with_value(name: str, schema: Schema, value: Any) -> Schema:
    """Return a schema that also allows what a good request has under this name."""
    values = [value] if value is not None else _known_values(name)
    return {"anyOf": [{"enum": values}, schema]} if values else schema


def _known_values(name: str) -> list[Any]:
    """Return what the judged requests have under a name."""
    values: list[Any] = []
    for judgement in JUDGEMENTS.values():
        for given in (judgement.query, judgement.body):
            if isinstance(given, dict) and name in given and given[name] not in values:
                values.append(given[name])
    return values


def _guess(value: Any) -> Schema:
    if isinstance(value, list):
        return {"type": "array", "items": _guess(value[0] if value else "")}
    if isinstance(value, dict):
        properties = {name: _with_value(name, _guess(item), item) for name, item in value.items()}
        return {"type": "object", "properties": properties}
    return _NUMBERS.get(type(value).__name__, _TEXT)


def _fields(message: Descriptor, depth: int) -> dict[str, Schema]:
    return {field.name: _describe_field(field, depth) for field in message.fields}


def _describe_field(field: FieldDescriptor, depth: int) -> Schema:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        value = _describe_value(field.message_type.fields_by_name["value"], depth)
        return {"type": "object", "additionalProperties": value, "maxProperties": 3}
    value = _describe_value(field, depth)
    return {"type": "array", "items": value, "maxItems": 3} if field.is_repeated else value


def _describe_value(field: FieldDescriptor, depth: int) -> Schema:
    if field.enum_type is not None:
        return {"enum": [value.name for value in field.enum_type.values]}
    if field.message_type is None:
        kinds = {FieldDescriptor.CPPTYPE_STRING: _TEXT, FieldDescriptor.CPPTYPE_BOOL: _NUMBERS["bool"]}
        is_real = field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)
        return kinds.get(field.cpp_type, _NUMBERS["float" if is_real else "int"])
    if field.message_type.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        return {"anyOf": [{"enum": ["2026-01-01T00:00:00Z", "1s", "9999-99-99T99:99:99Z"]}, _TEXT]}
    if depth == _MAX_DEPTH or field.message_type.full_name.startswith("google."):
        return {"type": "object"}
    return {"type": "object", "properties": _fields(field.message_type, depth + 1)}


def main() -> None:
    print(json.dumps(build(create_app())))


if __name__ == "__main__":
    main()
