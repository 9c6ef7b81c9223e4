"""What an administrator puts on a team's server: one of each kind, so that every route has something to answer.

Every name and value has the word zebra in it, so that an answer to somebody who may not read is told by that word.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from team_server import ADMIN

MARK = "zebra"
_FILE = b"zebra artifact"


class Content:
    """Objects by name; a name that begins with `new_` is made again at each call."""

    def __init__(self, uri: str, session: requests.Session | None = None) -> None:
        self._uri = uri
        self._session = session or requests.Session()
        self._session.auth = ADMIN
        self._numbers = itertools.count()
        self._made: dict[str, str] = {}
        self._makers: Mapping[str, Callable[[], str]] = {
            "unique": lambda: f"{MARK}-{next(self._numbers)}",
            "experiment": self._experiment,
            "experiment_name": lambda: self._name_of("experiment"),
            "deleted_experiment": self._deleted_experiment,
            "run": self._run,
            "deleted_run": self._deleted_run,
            "model": self._logged_model,
            "trace": self._trace,
            "assessment": self._assessment,
            "registered": self._registered_model,
            "version_name": self._version_name,
            "prompt": self._prompt,
            "dataset": self._dataset,
            "schema": self._label_schema,
            "schema_name": lambda: self._name_of("schema"),
            "queue": self._queue,
            "queue_name": lambda: self._name_of("queue"),
            "scorer": self._scorer,
            "issue": self._issue,
            "user": self._user,
            "role": self._role,
            "grant": self._grant,
        }
        self._names: dict[str, str] = {}
        for name in self._makers:
            self.get(name)

    def fill(self, value: Any, *, fresh: bool = True) -> Any:
        """Return a value with the objects that its texts name by `$`.

        For a request that will be refused, `fresh=False` names objects that are there already.
        """
        if isinstance(value, dict):
            return {key: self.fill(item, fresh=fresh) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item, fresh=fresh) for item in value]
        if isinstance(value, str):
            get = self.get if fresh else self._get_existing
            return re.sub(r"\$(\w+)", lambda match: get(match[1]), value)
        return value

    def _get_existing(self, name: str) -> str:
        name = name.removeprefix("new_").removeprefix("deleted_")
        return self.get("registered" if name == "version_name" else name)

    def get(self, name: str) -> str:
        """Return the id or name of an object, making it first if need be."""
        if name in ("unique", "version_name") or name.startswith(("new_", "deleted_")):
            return self._makers[name.removeprefix("new_")]()
        if name not in self._made:
            if name not in self._makers:
                raise KeyError(name)
            self._made[name] = self._makers[name]()
        return self._made[name]

    def send(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Send a request as administrator and return its JSON."""
        answer = self._session.request(method, self._uri + path, json=body, timeout=30, **options)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content and answer.text.startswith("{") else None

    def _name_of(self, name: str) -> str:
        self.get(name)
        return self._names[name]

    def _experiment(self) -> str:
        name = self.get("unique")
        self._names.setdefault("experiment", name)
        body = {"name": name, "tags": [{"key": "colour", "value": MARK}]}
        return str(self.send("POST", "/api/2.0/mlflow/experiments/create", body)["experiment_id"])

    def _deleted_experiment(self) -> str:
        experiment = self._experiment()
        self.send("POST", "/api/2.0/mlflow/experiments/delete", {"experiment_id": experiment})
        return experiment

    def _run(self) -> str:
        body = {
            "experiment_id": self.get("experiment"),
            "run_name": self.get("unique"),
            "tags": [{"key": "colour", "value": MARK}],
        }
        run = str(self.send("POST", "/api/2.0/mlflow/runs/create", body)["run"]["info"]["run_id"])
        self.send(
            "POST",
            "/api/2.0/mlflow/runs/log-batch",
            {
                "run_id": run,
                "metrics": [{"key": f"{MARK}_loss", "value": 0.5, "timestamp": 1, "step": 0}],
                "params": [{"key": f"{MARK}_lr", "value": "0.1"}],
            },
        )
        self.send(
            "PUT",
            f"/api/2.0/mlflow-artifacts/artifacts/{self.get('experiment')}/{run}/artifacts/{MARK}.txt",
            data=_FILE,
        )
        return run

    def _deleted_run(self) -> str:
        run = self._run()
        self.send("POST", "/api/2.0/mlflow/runs/delete", {"run_id": run})
        return run

    def _logged_model(self) -> str:
        experiment = self.get("experiment")
        body = {
            "experiment_id": experiment,
            "name": MARK,
            "source_run_id": self.get("run"),
            "tags": [{"key": "colour", "value": MARK}],
        }
        model = str(self.send("POST", "/api/2.0/mlflow/logged-models", body)["model"]["info"]["model_id"])
        for name in (f"{MARK}.txt", "MLmodel"):
            path = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/models/{model}/artifacts/{name}"
            self.send("PUT", path, data=_FILE)
        body = {"model_id": model, "status": "LOGGED_MODEL_READY"}
        self.send("PATCH", f"/api/2.0/mlflow/logged-models/{model}", body)
        return model

    def _trace(self) -> str:
        number = next(self._numbers) + 1
        spans = ExportTraceServiceRequest()
        span = spans.resource_spans.add().scope_spans.add().spans.add()
        span.name, span.trace_id, span.span_id = MARK, number.to_bytes(16, "big"), number.to_bytes(8, "big")
        span.start_time_unix_nano, span.end_time_unix_nano = 1, 2
        headers = {"X-Mlflow-Experiment-Id": self.get("experiment"), "Content-Type": "application/x-protobuf"}
        self.send("POST", "/v1/traces", data=spans.SerializeToString(), headers=headers)
        trace = f"tr-{number:032x}"
        self.send("PATCH", f"/api/3.0/mlflow/traces/{trace}/tags", {"key": "colour", "value": MARK})
        return trace

    def _assessment(self) -> str:
        body = {
            "assessment": {
                "assessment_name": self.get("unique"),
                "trace_id": self.get("trace"),
                "source": {"source_type": "HUMAN", "source_id": "admin"},
                "create_time": "2026-01-01T00:00:00Z",
                "last_update_time": "2026-01-01T00:00:00Z",
                "feedback": {"value": MARK},
            }
        }
        answer = self.send("POST", f"/api/3.0/mlflow/traces/{self.get('trace')}/assessments", body)
        return str(answer["assessment"]["assessment_id"])

    def _registered_model(self) -> str:
        name = self.get("unique")
        body = {"name": name, "tags": [{"key": "colour", "value": MARK}]}
        self.send("POST", "/api/2.0/mlflow/registered-models/create", body)
        self._register_version(name)
        alias = {"name": name, "alias": "champion", "version": "1"}
        self.send("POST", "/api/2.0/mlflow/registered-models/alias", alias)
        return name

    def _version_name(self) -> str:
        """Return the name of a registered model of its own, whose version 1 has no alias."""
        name = self.get("unique")
        self.send("POST", "/api/2.0/mlflow/registered-models/create", {"name": name})
        self._register_version(name)
        return name

    def _register_version(self, name: str) -> None:
        model = self.get("model")
        body = {
            "name": name,
            "source": f"models:/{model}",
            "model_id": model,
            "tags": [{"key": "colour", "value": MARK}],
        }
        self.send("POST", "/api/2.0/mlflow/model-versions/create", body)

    def _prompt(self) -> str:
        name = self.get("unique")
        tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
        self.send("POST", "/api/2.0/mlflow/registered-models/create", {"name": name, "tags": tags})
        text = {"key": "mlflow.prompt.text", "value": MARK}
        body = {"name": name, "source": "dummy-source", "tags": [*tags, text]}
        self.send("POST", "/api/2.0/mlflow/model-versions/create", body)
        return name

    def _dataset(self) -> str:
        body = {"name": self.get("unique"), "experiment_ids": [self.get("experiment")], "tags": json.dumps({"a": MARK})}
        dataset = str(self.send("POST", "/api/3.0/mlflow/datasets/create", body)["dataset"]["dataset_id"])
        records = json.dumps([{"inputs": {"question": MARK}}])
        self.send("POST", f"/api/3.0/mlflow/datasets/{dataset}/records", {"records": records})
        return dataset

    def _label_schema(self) -> str:
        name = self.get("unique")
        body = {
            "experiment_id": self.get("experiment"),
            "name": name,
            "type": "FEEDBACK",
            "input": {"pass_fail": {"positive_label": "yes", "negative_label": "no"}},
        }
        self._names.setdefault("schema", name)
        answer = self.send("POST", "/api/3.0/mlflow/label-schemas/create", body)
        return str(answer["label_schema"]["schema_id"])

    def _queue(self) -> str:
        name = self.get("unique")
        body = {"experiment_id": self.get("experiment"), "name": name, "queue_type": "CUSTOM", "users": ["admin"]}
        self._names.setdefault("queue", name)
        return str(self.send("POST", "/api/3.0/mlflow/review-queues/create", body)["review_queue"]["queue_id"])

    def _scorer(self) -> str:
        name = self.get("unique")
        serialized = json.dumps({"name": name, "mlflow_version": "3.17.2", "serialization_version": 1})
        body = {"experiment_id": self.get("experiment"), "name": name, "serialized_scorer": serialized}
        self.send("POST", "/api/3.0/mlflow/scorers/register", body)
        return name

    def _issue(self) -> str:
        body = {"experiment_id": self.get("experiment"), "name": self.get("unique"), "description": MARK}
        return str(self.send("POST", "/api/3.0/mlflow/issues", body)["issue"]["issue_id"])

    def _user(self) -> str:
        name = self.get("unique")
        self.send("POST", "/api/2.0/mlflow/users/create", {"username": name, "password": "a-password-of-nobody"})
        return name

    def _role(self) -> str:
        body = {"name": self.get("unique"), "workspace": "default"}
        return str(self.send("POST", "/api/3.0/mlflow/roles/create", body)["role"]["id"])

    def _grant(self) -> str:
        body = {"role_id": self._role(), "resource_type": "run", "resource_pattern": "*", "permission": "READ"}
        return str(self.send("POST", "/api/3.0/mlflow/roles/permissions/add", body)["role_permission"]["id"])
