"""Who may use which route of MLflow's server: the judgement on every one of them.

A key is a method and a route; /ajax-api stands under /api, since what the web page may do is what a program may do.
A value beginning with `$` is made by `team_content.Content`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PUBLIC = "nobody"  # who has no password too
ANYONE = "outsider"  # who has a password, even without a role
READER = "reader"
CONTRIBUTOR = "contributor"
REGISTRAR = "registrar"
ADMIN = "admin"
CLOSED = "closed"  # not even an administrator

USERS = (PUBLIC, ANYONE, READER, CONTRIBUTOR, REGISTRAR, ADMIN, CLOSED)
"""From the least to the greatest."""


@dataclass(frozen=True)
class Judgement:
    """Who may use a route, and a request that tells.

    Attributes:
        least: The least of `USERS` that may.
        query: Parameters in the address.
        body: JSON of the request; bytes are sent as they are.
        parts: Values of the route's own parameters, by name.
        headers: Further headers.
        status: Answer to those who may, in hundreds (2: success), or exactly; 0: they are not tried.
        refusal: Answer to users who may not.
        filtered: Whether those who may not get an answer all the same, with what they may see: nothing.
    """

    least: str
    query: dict[str, Any] | None = None
    body: Any = None
    parts: dict[str, str] | None = None
    headers: dict[str, str] | None = None
    status: int = 2
    refusal: int = 403
    filtered: bool = False

    def allows(self, user: str) -> bool:
        """Return whether a user may use the route."""
        return USERS.index(user) >= USERS.index(self.least)


PARTS = {
    "request_id": "$trace",
    "trace_id": "$trace",
    "assessment_id": "$assessment",
    "model_id": "$model",
    "tag_key": "colour",
    "key": "a",
    "dataset_id": "$dataset",
    "issue_id": "$issue",
    "webhook_id": "no-webhook",
    "workspace_name": "default",
    "job_id": "no-job",
    "artifact_path": "$experiment/$run/artifacts/zebra.txt",
}
"""Values of the parameters of routes, unless a judgement has others."""

J = Judgement

_EXPERIMENT = {"experiment_id": "$experiment"}
_RUN = {"run_id": "$run"}
_NEW_RUN = {"run_id": "$new_run"}
_NAME = {"name": "$registered"}
_NEW_NAME = {"name": "$version_name"}
_VERSION = {"name": "$registered", "version": "1"}
_NEW_VERSION = {"name": "$version_name", "version": "1"}
_TAG = {"key": "colour", "value": "zebra"}
_METRICS = {"run_ids": "$run", "metric_key": "zebra_loss"}
_SCORER = {"experiment_id": "$experiment", "name": "$scorer"}
_QUEUE = {"queue_id": "$queue"}
_NEW_FILE = {"artifact_path": "$experiment/$new_run/artifacts/zebra.txt"}
_ARTIFACT = {"run_id": "$run", "path": "zebra.txt"}
_FILE = b"zebra"
_SCORER_TEXT = json.dumps({"name": "z", "mlflow_version": "3.17.2", "serialization_version": 1})
_LOCATION = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": _EXPERIMENT}
_TRACE_INFO = {
    "trace_id": "tr-$unique",
    "trace_location": _LOCATION,
    "request_time": "2026-01-01T00:00:00Z",
    "state": "OK",
}
_FEEDBACK = {
    "assessment_name": "$unique",
    "trace_id": "$trace",
    "source": {"source_type": "HUMAN", "source_id": "somebody"},
    "create_time": "2026-01-01T00:00:00Z",
    "last_update_time": "2026-01-01T00:00:00Z",
    "feedback": {"value": "zebra"},
}

_PAGES = {
    "GET /": J(ANYONE),
    "GET /health": J(PUBLIC),
    "GET /version": J(ANYONE),
    "GET /api/3.0/mlflow/server-info": J(PUBLIC),
    "GET /static-files/<path>": J(PUBLIC, parts={"path": "index.html"}),
    "GET /build/<filename>": J(ADMIN, parts={"filename": "index.html"}),
    "GET /signup": J(ADMIN),
    "GET /api/3.0/mlflow/ui-telemetry": J(ANYONE),
    "POST /api/3.0/mlflow/ui-telemetry": J(ANYONE, body={}),
    "GET /metrics": J(ADMIN),
    "GET /graphql": J(
        ANYONE, {"query": '{ mlflowGetRun(input: {runId: "$run"}) { run { info { runName } } } }'}, status=500
    ),  # MLflow reads the query of a POST only
    "POST /graphql": J(
        READER,
        body={"query": '{ mlflowGetExperiment(input: {experimentId: "$experiment"}) { experiment { name } } }'},
        filtered=True,
    ),
}

_EXPERIMENTS = {
    "GET /api/2.0/mlflow/experiments/get": J(READER, _EXPERIMENT),
    "GET /api/2.0/mlflow/experiments/get-by-name": J(READER, {"experiment_name": "$experiment_name"}),
    "GET /api/2.0/mlflow/experiments/search": J(READER, {"max_results": 10}, filtered=True),
    "POST /api/2.0/mlflow/experiments/search": J(READER, body={"max_results": 10}, filtered=True),
    "POST /api/2.0/mlflow/experiments/create": J(CONTRIBUTOR, body={"name": "$unique"}),
    "POST /api/2.0/mlflow/experiments/update": J(
        CONTRIBUTOR, body={"experiment_id": "$new_experiment", "new_name": "$unique"}
    ),
    "POST /api/2.0/mlflow/experiments/set-experiment-tag": J(CONTRIBUTOR, body=_EXPERIMENT | _TAG),
    "POST /api/2.0/mlflow/experiments/delete-experiment-tag": J(
        CONTRIBUTOR, body={"experiment_id": "$new_experiment", "key": "colour"}
    ),
    "POST /api/2.0/mlflow/experiments/delete": J(ADMIN, body={"experiment_id": "$new_experiment"}),
    "POST /api/2.0/mlflow/experiments/restore": J(ADMIN, body={"experiment_id": "$deleted_experiment"}),
    "POST /api/2.0/mlflow/experiments/search-datasets": J(READER, body={"experiment_ids": ["$experiment"]}),
    # A route that MLflow misspells: it has no slash, no check, and so no users
    "POST /api/2.0mlflow/experiments/search-datasets": J(ADMIN, body={"experiment_ids": ["$experiment"]}, status=404),
}

_RUNS = {
    "GET /api/2.0/mlflow/runs/get": J(READER, _RUN),
    "POST /api/2.0/mlflow/runs/search": J(READER, body={"experiment_ids": ["$experiment"]}, filtered=True),
    "GET /api/2.0/mlflow/metrics/get-history": J(READER, _RUN | {"metric_key": "zebra_loss"}),
    "GET /api/2.0/mlflow/metrics/get-history-bulk": J(READER, {"run_id": "$run", "metric_key": "zebra_loss"}),
    "GET /api/2.0/mlflow/metrics/get-history-bulk-interval": J(READER, _METRICS),
    "POST /api/2.0/mlflow/runs/create": J(CONTRIBUTOR, body=_EXPERIMENT),
    "POST /api/2.0/mlflow/runs/update": J(CONTRIBUTOR, body=_NEW_RUN | {"status": "FINISHED"}),
    "POST /api/2.0/mlflow/runs/log-metric": J(
        CONTRIBUTOR, body=_RUN | {"key": "$unique", "value": 1, "timestamp": 1, "step": 0}
    ),
    "POST /api/2.0/mlflow/runs/log-parameter": J(CONTRIBUTOR, body=_RUN | {"key": "$unique", "value": "1"}),
    "POST /api/2.0/mlflow/runs/log-batch": J(CONTRIBUTOR, body=_RUN | {"tags": [_TAG]}),
    "POST /api/2.0/mlflow/runs/log-model": J(
        CONTRIBUTOR,
        body=_RUN
        | {"model_json": json.dumps({"run_id": "$run", "artifact_path": "m", "flavors": {}, "utc_time_created": "1"})},
    ),
    "POST /api/2.0/mlflow/runs/log-inputs": J(CONTRIBUTOR, body=_RUN | {"models": [{"model_id": "$model"}]}),
    "POST /api/2.0/mlflow/runs/outputs": J(
        CONTRIBUTOR, body=_NEW_RUN | {"models": [{"model_id": "$model", "step": 0}]}
    ),
    "POST /api/2.0/mlflow/runs/set-tag": J(CONTRIBUTOR, body=_RUN | _TAG),
    "POST /api/2.0/mlflow/runs/delete-tag": J(CONTRIBUTOR, body=_NEW_RUN | {"key": "colour"}),
    "POST /api/2.0/mlflow/runs/delete": J(ADMIN, body=_NEW_RUN),
    "POST /api/2.0/mlflow/runs/restore": J(ADMIN, body={"run_id": "$deleted_run"}),
    "POST /api/2.0/mlflow/runs/create-promptlab-run": J(ADMIN, body=_EXPERIMENT, status=400),
}

_FILES = {
    "GET /get-artifact": J(READER, _ARTIFACT),
    "GET /model-versions/get-artifact": J(READER, _VERSION | {"path": "zebra.txt"}),
    "GET /api/2.0/mlflow/artifacts/list": J(READER, _RUN),
    "POST /api/2.0/mlflow/artifacts/presigned-upload-url": J(CONTRIBUTOR, body=_ARTIFACT | _NEW_RUN, status=400),
    "POST /api/2.0/mlflow/artifacts/presigned-download-url": J(READER, body=_ARTIFACT, status=400),
    "POST /api/2.0/mlflow/upload-artifact": J(
        CONTRIBUTOR, query={"run_uuid": "$new_run", "path": "zebra2.txt"}, body=_FILE
    ),
    "GET /api/2.0/mlflow-artifacts/artifacts": J(READER, {"path": "$experiment/$run/artifacts"}),
    "GET /api/2.0/mlflow-artifacts/artifacts/<artifact_path>": J(READER),
    "PUT /api/2.0/mlflow-artifacts/artifacts/<artifact_path>": J(CONTRIBUTOR, body=_FILE, parts=_NEW_FILE),
    "DELETE /api/2.0/mlflow-artifacts/artifacts/<artifact_path>": J(ADMIN, parts=_NEW_FILE),
    "POST /api/2.0/mlflow-artifacts/mpu/create/<artifact_path>": J(
        CONTRIBUTOR, body={"path": "zebra.txt", "num_parts": 1}, parts=_NEW_FILE, status=501
    ),
    "POST /api/2.0/mlflow-artifacts/mpu/complete/<artifact_path>": J(
        CONTRIBUTOR, body={"path": "zebra.txt", "upload_id": "1", "parts": []}, parts=_NEW_FILE, status=501
    ),
    "POST /api/2.0/mlflow-artifacts/mpu/abort/<artifact_path>": J(
        CONTRIBUTOR, body={"path": "zebra.txt", "upload_id": "1"}, parts=_NEW_FILE, status=501
    ),
    "GET /api/2.0/mlflow-artifacts/presigned/<artifact_path>": J(READER, status=501),
}

_LOGGED_MODELS = {
    "GET /api/2.0/mlflow/logged-models/<model_id>": J(READER),
    "POST /api/2.0/mlflow/logged-models/search": J(READER, body={"experiment_ids": ["$experiment"]}, filtered=True),
    "GET /api/2.0/mlflow/logged-models/<model_id>/artifacts/directories": J(READER),
    "GET /api/2.0/mlflow/logged-models/<model_id>/artifacts/files": J(READER, {"artifact_file_path": "zebra.txt"}),
    "POST /api/2.0/mlflow/logged-models": J(CONTRIBUTOR, body=_EXPERIMENT | {"name": "zebra"}),
    "PATCH /api/2.0/mlflow/logged-models/<model_id>": J(
        CONTRIBUTOR, body={"model_id": "$model", "status": "LOGGED_MODEL_READY"}
    ),
    "PATCH /api/2.0/mlflow/logged-models/<model_id>/tags": J(CONTRIBUTOR, body={"tags": [_TAG]}),
    # MLflow asks for the right to delete models
    "DELETE /api/2.0/mlflow/logged-models/<model_id>/tags/<tag_key>": J(ADMIN, parts={"model_id": "$new_model"}),
    "POST /api/2.0/mlflow/logged-models/<model_id>/params": J(
        CONTRIBUTOR, body={"model_id": "$model", "params": [{"key": "$unique", "value": "1"}]}
    ),
    "DELETE /api/2.0/mlflow/logged-models/<model_id>": J(ADMIN, parts={"model_id": "$new_model"}),
}

_SPANS = ExportTraceServiceRequest()
_SPAN = _SPANS.resource_spans.add().scope_spans.add().spans.add()
_SPAN.name, _SPAN.trace_id, _SPAN.span_id = "zebra", bytes(range(16)), bytes(range(8))
_SPAN.start_time_unix_nano, _SPAN.end_time_unix_nano = 1, 2

_TRACES = {
    "GET /api/2.0/mlflow/traces": J(READER, {"experiment_ids": "$experiment"}),
    "GET /api/2.0/mlflow/traces/<request_id>/info": J(READER),
    "GET /api/2.0/mlflow/unified-traces": J(ADMIN, {"experiment_ids": "$experiment"}, status=404),
    "GET /api/2.0/mlflow/get-online-trace-details": J(ADMIN, {"trace_id": "$trace"}, status=404),
    "GET /api/2.0/mlflow/get-trace-artifact": J(READER, {"request_id": "$trace"}),
    "GET /api/3.0/mlflow/get-trace-artifact": J(READER, {"request_id": "$trace"}),
    "GET /api/3.0/mlflow/traces/<trace_id>": J(READER),
    "GET /api/3.0/mlflow/traces/get": J(READER, {"trace_id": "$trace"}),
    "GET /api/3.0/mlflow/traces/batchGet": J(READER, {"trace_ids": "$trace"}),
    "POST /api/3.0/mlflow/traces/batchGetInfos": J(READER, body={"trace_ids": ["$trace"]}),
    "POST /api/3.0/mlflow/traces/search": J(READER, body={"locations": [_LOCATION]}),
    "POST /api/3.0/mlflow/traces/metrics": J(
        READER,
        body={
            "experiment_ids": ["$experiment"],
            "view_type": "TRACES",
            "metric_name": "trace_count",
            "aggregations": [{"aggregation_type": "COUNT"}],
        },
    ),
    "POST /api/3.0/mlflow/traces/calculate-filter-correlation": J(
        READER,
        body={
            "experiment_ids": ["$experiment"],
            "filter_string1": "tags.colour = 'zebra'",
            "filter_string2": "tags.colour = 'zebra'",
        },
    ),
    "GET /api/3.0/mlflow/traces/<trace_id>/assessments/<assessment_id>": J(READER),
    "POST /v1/traces": J(  # a span may say where the server keeps the files of its trace
        ADMIN,
        body=_SPANS.SerializeToString(),
        headers={"X-Mlflow-Experiment-Id": "$experiment", "Content-Type": "application/x-protobuf"},
    ),
    "POST /api/2.0/mlflow/traces": J(
        CONTRIBUTOR, body=_EXPERIMENT | {"timestamp_ms": 1, "request_metadata": [], "tags": [_TAG]}
    ),
    "POST /api/3.0/mlflow/traces": J(CONTRIBUTOR, body={"trace": {"trace_info": _TRACE_INFO}}),
    "PATCH /api/2.0/mlflow/traces/<request_id>": J(
        CONTRIBUTOR,
        body={"request_id": "$trace", "timestamp_ms": 2, "status": "OK", "request_metadata": [], "tags": []},
    ),
    "PATCH /api/2.0/mlflow/traces/<request_id>/tags": J(CONTRIBUTOR, body=_TAG),
    "PATCH /api/3.0/mlflow/traces/<trace_id>/tags": J(CONTRIBUTOR, body=_TAG),
    "DELETE /api/2.0/mlflow/traces/<request_id>/tags": J(
        CONTRIBUTOR, body={"key": "colour"}, parts={"request_id": "$new_trace"}
    ),
    "DELETE /api/3.0/mlflow/traces/<trace_id>/tags": J(
        CONTRIBUTOR, body={"key": "colour"}, parts={"trace_id": "$new_trace"}
    ),
    "POST /api/2.0/mlflow/traces/link-to-run": J(CONTRIBUTOR, body={"trace_ids": ["$trace"], "run_id": "$run"}),
    "POST /api/2.0/mlflow/traces/link-prompts": J(
        CONTRIBUTOR, body={"trace_id": "$trace", "prompt_versions": [{"name": "$prompt", "version": "1"}]}
    ),
    "POST /api/3.0/mlflow/traces/<trace_id>/assessments": J(CONTRIBUTOR, body={"assessment": _FEEDBACK}),
    "PATCH /api/3.0/mlflow/traces/<trace_id>/assessments/<assessment_id>": J(
        CONTRIBUTOR,
        body={
            "assessment": {
                "trace_id": "$trace",
                "assessment_id": "$assessment",
                "assessment_name": "zebra",
                "feedback": {"value": "zebra"},
            },
            "update_mask": "assessmentName,feedback",
        },
    ),
    "DELETE /api/3.0/mlflow/traces/<trace_id>/assessments/<assessment_id>": J(
        ADMIN, parts={"assessment_id": "$new_assessment"}
    ),
    "POST /api/2.0/mlflow/traces/delete-traces": J(ADMIN, body=_EXPERIMENT | {"request_ids": ["$new_trace"]}),
    "POST /api/3.0/mlflow/traces/delete-traces": J(ADMIN, body=_EXPERIMENT | {"request_ids": ["$new_trace"]}),
}

_REGISTRY = {
    "GET /api/2.0/mlflow/registered-models/get": J(READER, _NAME),
    "GET /api/2.0/mlflow/registered-models/search": J(READER, filtered=True),
    "GET /api/2.0/mlflow/registered-models/get-latest-versions": J(READER, _NAME),
    "POST /api/2.0/mlflow/registered-models/get-latest-versions": J(READER, body=_NAME),
    "GET /api/2.0/mlflow/registered-models/alias": J(READER, _NAME | {"alias": "champion"}),
    "GET /api/2.0/mlflow/model-versions/get": J(READER, _VERSION),
    "GET /api/2.0/mlflow/model-versions/search": J(READER, filtered=True),
    "GET /api/2.0/mlflow/model-versions/get-download-uri": J(READER, _VERSION),
    "POST /api/2.0/mlflow/registered-models/create": J(REGISTRAR, body={"name": "$unique"}),
    "POST /api/2.0/mlflow/registered-models/rename": J(REGISTRAR, body=_NEW_NAME | {"new_name": "$unique"}),
    "PATCH /api/2.0/mlflow/registered-models/update": J(REGISTRAR, body=_NAME | {"description": "zebra"}),
    "POST /api/2.0/mlflow/registered-models/set-tag": J(REGISTRAR, body=_NAME | _TAG),
    "DELETE /api/2.0/mlflow/registered-models/delete-tag": J(REGISTRAR, body=_NAME | {"key": "other"}),
    "POST /api/2.0/mlflow/registered-models/alias": J(REGISTRAR, body=_VERSION | {"alias": "champion"}),
    "DELETE /api/2.0/mlflow/registered-models/alias": J(REGISTRAR, body=_NAME | {"alias": "other"}),
    "POST /api/2.0/mlflow/model-versions/create": J(
        REGISTRAR, body=_NEW_NAME | {"source": "models:/$model", "model_id": "$model"}
    ),
    "PATCH /api/2.0/mlflow/model-versions/update": J(REGISTRAR, body=_VERSION | {"description": "zebra"}),
    "POST /api/2.0/mlflow/model-versions/transition-stage": J(
        REGISTRAR, body=_NEW_VERSION | {"stage": "Staging", "archive_existing_versions": False}
    ),
    "POST /api/2.0/mlflow/model-versions/set-tag": J(REGISTRAR, body=_VERSION | _TAG),
    "DELETE /api/2.0/mlflow/model-versions/delete-tag": J(ADMIN, body=_VERSION | {"key": "other"}),
    "DELETE /api/2.0/mlflow/model-versions/delete": J(ADMIN, body=_NEW_VERSION),
    "DELETE /api/2.0/mlflow/registered-models/delete": J(ADMIN, body=_NEW_NAME),
}

_EVALUATION = {
    "GET /api/3.0/mlflow/datasets/<dataset_id>": J(READER),
    "GET /api/3.0/mlflow/datasets/<dataset_id>/records": J(READER),
    "GET /api/3.0/mlflow/datasets/<dataset_id>/experiment-ids": J(READER),
    "GET /api/3.0/mlflow/datasets/search": J(READER, {"experiment_ids": "$experiment"}),
    "POST /api/3.0/mlflow/datasets/search": J(READER, body={"experiment_ids": ["$experiment"]}),
    "POST /api/3.0/mlflow/datasets/create": J(CONTRIBUTOR, body={"name": "$unique", "experiment_ids": ["$experiment"]}),
    "PATCH /api/3.0/mlflow/datasets/<dataset_id>/tags": J(CONTRIBUTOR, body={"tags": '{"a": "zebra"}'}),
    "DELETE /api/3.0/mlflow/datasets/<dataset_id>/tags/<key>": J(CONTRIBUTOR),
    "POST /api/3.0/mlflow/datasets/<dataset_id>/records": J(
        CONTRIBUTOR, body={"records": '[{"inputs": {"question": "zebra"}}]'}
    ),
    "DELETE /api/3.0/mlflow/datasets/<dataset_id>/records": J(CONTRIBUTOR, body={"dataset_record_ids": ["none"]}),
    "POST /api/3.0/mlflow/datasets/<dataset_id>/add-experiments": J(
        CONTRIBUTOR, body={"experiment_ids": ["$new_experiment"]}
    ),
    "POST /api/3.0/mlflow/datasets/<dataset_id>/remove-experiments": J(
        CONTRIBUTOR, body={"experiment_ids": ["$new_experiment"]}
    ),
    "DELETE /api/3.0/mlflow/datasets/<dataset_id>": J(ADMIN, parts={"dataset_id": "$new_dataset"}),
    "GET /api/3.0/mlflow/label-schemas/get": J(READER, {"schema_id": "$schema"}),
    "GET /api/3.0/mlflow/label-schemas/get-by-name": J(READER, _EXPERIMENT | {"name": "$schema_name"}),
    "GET /api/3.0/mlflow/label-schemas/list": J(READER, _EXPERIMENT),
    "POST /api/3.0/mlflow/label-schemas/create": J(
        ADMIN,
        body=_EXPERIMENT
        | {
            "name": "$unique",
            "type": "FEEDBACK",
            "input": {"pass_fail": {"positive_label": "yes", "negative_label": "no"}},
        },
    ),
    "PATCH /api/3.0/mlflow/label-schemas/update": J(ADMIN, body={"schema_id": "$schema", "instruction": "zebra"}),
    "DELETE /api/3.0/mlflow/label-schemas/delete": J(ADMIN, body={"schema_id": "$new_schema"}),
    # A queue is seen by its members; an administrator, who made it, is one
    "GET /api/3.0/mlflow/review-queues/get": J(ADMIN, _QUEUE),
    "GET /api/3.0/mlflow/review-queues/get-by-name": J(ADMIN, _EXPERIMENT | {"name": "$queue_name"}),
    "GET /api/3.0/mlflow/review-queues/list": J(READER, _EXPERIMENT),
    "GET /api/3.0/mlflow/review-queues/items/list": J(ADMIN, _QUEUE),
    "POST /api/3.0/mlflow/review-queues/create": J(
        CONTRIBUTOR, body=_EXPERIMENT | {"name": "$unique", "queue_type": "CUSTOM", "users": ["admin"]}
    ),
    "POST /api/3.0/mlflow/review-queues/get-or-create-user": J(CONTRIBUTOR, body=_EXPERIMENT | {"user": "admin"}),
    "POST /api/3.0/mlflow/review-queues/update": J(ADMIN, body=_QUEUE | {"update_users": True, "users": ["admin"]}),
    "POST /api/3.0/mlflow/review-queues/items/add": J(
        CONTRIBUTOR, body=_QUEUE | {"item_type": "TRACE", "item_ids": ["$trace"]}
    ),
    "POST /api/3.0/mlflow/review-queues/items/set-status": J(
        ADMIN, body=_QUEUE | {"item_id": "$trace", "status": "COMPLETE"}
    ),
    "POST /api/3.0/mlflow/review-queues/items/remove": J(ADMIN, body=_QUEUE | {"item_ids": ["$new_trace"]}),
    "POST /api/3.0/mlflow/review-queues/delete": J(ADMIN, body={"queue_id": "$new_queue"}),
    "GET /api/3.0/mlflow/scorers/list": J(READER, _EXPERIMENT),
    "GET /api/3.0/mlflow/scorers/get": J(READER, _SCORER),
    "GET /api/3.0/mlflow/scorers/versions": J(READER, _SCORER),
    "POST /api/3.0/mlflow/scorers/register": J(
        CONTRIBUTOR, body=_EXPERIMENT | {"name": "$unique", "serialized_scorer": _SCORER_TEXT}
    ),
    "DELETE /api/3.0/mlflow/scorers/delete": J(ADMIN, body=_EXPERIMENT | {"name": "$new_scorer"}),
    "GET /api/3.0/mlflow/scorers/online-configs": J(ADMIN, {"scorer_ids": "none"}),
    "PUT /api/3.0/mlflow/scorers/online-config": J(ADMIN, body={}, status=400),
    "POST /api/3.0/mlflow/scorer/invoke": J(ADMIN, body=_EXPERIMENT, status=4),
    "GET /api/3.0/mlflow/issues/<issue_id>": J(READER),
    "POST /api/3.0/mlflow/issues/search": J(READER, body=_EXPERIMENT),
    "POST /api/3.0/mlflow/issues": J(CONTRIBUTOR, body=_EXPERIMENT | {"name": "$unique", "description": "zebra"}),
    "PATCH /api/3.0/mlflow/issues/<issue_id>": J(CONTRIBUTOR, body={"issue_id": "$issue", "description": "zebra"}),
    "POST /api/3.0/mlflow/issues/invoke": J(ADMIN, body=_EXPERIMENT, status=4),
    "POST /api/3.0/mlflow/genai/evaluate/invoke": J(ADMIN, body=_EXPERIMENT, status=4),
    "POST /api/3.0/mlflow/demo/generate": J(ADMIN, body={"features": []}),
    "POST /api/3.0/mlflow/demo/delete": J(ADMIN, body={}),
    "POST /api/3.0/mlflow/prompt-optimization/jobs": J(ADMIN, body=_EXPERIMENT, status=4),
    "GET /api/3.0/mlflow/prompt-optimization/jobs/<job_id>": J(ADMIN, status=4),
    "GET /api/3.0/mlflow/prompt-optimization/jobs/search": J(ADMIN, _EXPERIMENT),
    "POST /api/3.0/mlflow/prompt-optimization/jobs/search": J(ADMIN, body=_EXPERIMENT),
    "POST /api/3.0/mlflow/prompt-optimization/jobs/<job_id>/cancel": J(ADMIN, body={}, status=4),
    "DELETE /api/3.0/mlflow/prompt-optimization/jobs/<job_id>": J(ADMIN, status=4),
}

_WORKSPACES = {
    "GET /api/3.0/mlflow/workspaces": J(ANYONE, status=503),
    "POST /api/3.0/mlflow/workspaces": J(ADMIN, body={"name": "other"}, status=503),
    "GET /api/3.0/mlflow/workspaces/<workspace_name>": J(ADMIN, status=503),
    "PATCH /api/3.0/mlflow/workspaces/<workspace_name>": J(ADMIN, body={}, status=503),
    "DELETE /api/3.0/mlflow/workspaces/<workspace_name>": J(ADMIN, status=503),
}

_HOOK = {
    "name": "$unique",
    "url": "http://127.0.0.1:9/",
    "events": [{"entity": "REGISTERED_MODEL", "action": "CREATED"}],
}
_WEBHOOKS = {
    "GET /api/2.0/mlflow/webhooks": J(ADMIN),
    "POST /api/2.0/mlflow/webhooks": J(ADMIN, body=_HOOK, status=400),
    "GET /api/2.0/mlflow/webhooks/<webhook_id>": J(ADMIN, status=404),
    "PATCH /api/2.0/mlflow/webhooks/<webhook_id>": J(ADMIN, body={"name": "zebra"}, status=404),
    "DELETE /api/2.0/mlflow/webhooks/<webhook_id>": J(ADMIN, status=404),
    "POST /api/2.0/mlflow/webhooks/<webhook_id>/test": J(ADMIN, body={}, status=404),
}

_USER = {"username": "$user"}
_NEW_USER = {"username": "$new_user"}
_ROLE = {"role_id": "$role"}
_NEW_ROLE = {"role_id": "$new_role"}
_GRANT = {"username": "$user", "resource_type": "experiment", "resource_id": "$experiment"}
_PERMISSION = {"resource_type": "trace", "resource_pattern": "*", "permission": "READ"}
_USERS_AND_ROLES = {
    "GET /api/2.0/mlflow/users/current": J(ANYONE),
    "GET /api/3.0/mlflow/users/current/permissions": J(ANYONE),
    "GET /api/2.0/mlflow/users/list": J(ADMIN),
    "GET /api/2.0/mlflow/users/get": J(ADMIN, _USER),
    "POST /api/2.0/mlflow/users/create": J(ADMIN, body={"username": "$unique", "password": "a-password-of-nobody"}),
    "POST /api/2.0/mlflow/users/create-ui": J(ADMIN, body={}, status=400),
    "PATCH /api/2.0/mlflow/users/update-password": J(ADMIN, body=_USER | {"password": "another-one-of-nobody"}),
    "PATCH /api/2.0/mlflow/users/update-admin": J(ADMIN, body=_USER | {"is_admin": False}),
    "DELETE /api/2.0/mlflow/users/delete": J(ADMIN, body=_NEW_USER),
    "GET /api/3.0/mlflow/users/permissions/list": J(ADMIN, _USER),
    "GET /api/3.0/mlflow/users/permissions/get": J(ADMIN, _GRANT),
    "POST /api/3.0/mlflow/users/permissions/grant": J(ADMIN, body=_GRANT | {"permission": "READ"}),
    "POST /api/3.0/mlflow/users/permissions/revoke": J(ADMIN, body=_GRANT),
    "GET /api/3.0/mlflow/users/roles/list": J(ADMIN, _USER),
    "GET /api/3.0/mlflow/roles/list": J(READER, {"workspace": "default"}),
    "GET /api/3.0/mlflow/roles/get": J(READER, _ROLE),
    "GET /api/3.0/mlflow/roles/permissions/list": J(READER, _ROLE),
    "GET /api/3.0/mlflow/roles/users/list": J(ADMIN, _ROLE),
    "POST /api/3.0/mlflow/roles/create": J(ADMIN, body={"name": "$unique", "workspace": "default"}),
    "PATCH /api/3.0/mlflow/roles/update": J(ADMIN, body=_ROLE | {"description": "zebra"}),
    "DELETE /api/3.0/mlflow/roles/delete": J(ADMIN, body=_NEW_ROLE),
    "POST /api/3.0/mlflow/roles/permissions/add": J(ADMIN, body=_NEW_ROLE | _PERMISSION),
    "PATCH /api/3.0/mlflow/roles/permissions/update": J(
        ADMIN, body={"role_permission_id": "$grant", "permission": "READ"}
    ),
    "DELETE /api/3.0/mlflow/roles/permissions/remove": J(ADMIN, body={"role_permission_id": "$new_grant"}),
    "POST /api/3.0/mlflow/roles/assign": J(ADMIN, body=_NEW_USER | _ROLE),
    "DELETE /api/3.0/mlflow/roles/unassign": J(ADMIN, body=_NEW_USER | _ROLE, status=404),
}


def _admin_only(*routes: str, status: int = 4) -> dict[str, Judgement]:
    """Return judgements on routes of which it is enough that none but an administrator gets past the door."""
    body = {"model": "none"}
    return {route: J(ADMIN, body=None if route.startswith("GET") else body, status=status) for route in routes}


_GATEWAY = _admin_only(
    "POST /api/3.0/mlflow/gateway/secrets/create",
    "GET /api/3.0/mlflow/gateway/secrets/get",
    "POST /api/3.0/mlflow/gateway/secrets/update",
    "DELETE /api/3.0/mlflow/gateway/secrets/delete",
    "POST /api/3.0/mlflow/gateway/endpoints/create",
    "GET /api/3.0/mlflow/gateway/endpoints/get",
    "POST /api/3.0/mlflow/gateway/endpoints/update",
    "DELETE /api/3.0/mlflow/gateway/endpoints/delete",
    "POST /api/3.0/mlflow/gateway/model-definitions/create",
    "GET /api/3.0/mlflow/gateway/model-definitions/get",
    "POST /api/3.0/mlflow/gateway/model-definitions/update",
    "DELETE /api/3.0/mlflow/gateway/model-definitions/delete",
    "POST /api/3.0/mlflow/gateway/endpoints/models/attach",
    "POST /api/3.0/mlflow/gateway/endpoints/models/detach",
    "POST /api/3.0/mlflow/gateway/endpoints/bindings/create",
    "DELETE /api/3.0/mlflow/gateway/endpoints/bindings/delete",
    "POST /api/3.0/mlflow/gateway/endpoints/set-tag",
    "DELETE /api/3.0/mlflow/gateway/endpoints/delete-tag",
    "POST /api/3.0/mlflow/gateway/budgets/create",
    "GET /api/3.0/mlflow/gateway/budgets/get",
    "POST /api/3.0/mlflow/gateway/budgets/update",
    "DELETE /api/3.0/mlflow/gateway/budgets/delete",
    "POST /api/3.0/mlflow/gateway/guardrails/create",
    "GET /api/3.0/mlflow/gateway/guardrails/get",
    "DELETE /api/3.0/mlflow/gateway/guardrails/delete",
    "POST /api/3.0/mlflow/gateway/guardrails/add-to-endpoint",
    "DELETE /api/3.0/mlflow/gateway/guardrails/remove-from-endpoint",
    "GET /api/3.0/mlflow/gateway/guardrails/list-for-endpoint",
    "PATCH /api/3.0/mlflow/gateway/guardrails/update-config",
    "GET /api/3.0/mlflow/gateway/provider-config",
    "POST /gateway/<endpoint_name>/mlflow/invocations",
    "POST /gateway/mlflow/v1/chat/completions",
    "POST /gateway/openai/v1/chat/completions",
    "POST /gateway/openai/v1/embeddings",
    "POST /gateway/openai/v1/responses",
    "POST /gateway/typesafe/v1/systemone",
    "POST /gateway/anthropic/v1/messages",
    "POST /gateway/gemini/v1beta/models/<endpoint_name>:generateContent",
    "POST /gateway/gemini/v1beta/models/<endpoint_name>:streamGenerateContent",
    "POST /gateway/proxy/<endpoint_name>/<path>",
) | _admin_only(
    "GET /api/3.0/mlflow/gateway/secrets/list",
    "GET /api/3.0/mlflow/gateway/endpoints/list",
    "GET /api/3.0/mlflow/gateway/model-definitions/list",
    "GET /api/3.0/mlflow/gateway/endpoints/bindings/list",
    "GET /api/3.0/mlflow/gateway/budgets/list",
    "GET /api/3.0/mlflow/gateway/budgets/windows",
    "GET /api/3.0/mlflow/gateway/guardrails/list",
    "GET /api/3.0/mlflow/gateway/supported-providers",
    "GET /api/3.0/mlflow/gateway/secrets/config",
    "GET /gateway/mlflow/v1/models",
    "GET /api/2.0/mlflow/gateway-proxy",
    "POST /api/2.0/mlflow/gateway-proxy",
    status=2,
)
_GATEWAY |= {
    # The server would read the list of models from the internet
    "GET /api/3.0/mlflow/gateway/supported-models": J(ADMIN, status=0),
    # MLflow looks for the endpoint's name in the address, where it never is
    "POST /gateway/openai/v1/responses/compact": J(ADMIN, body={"model": "none"}, status=4, refusal=400),
}

_MCP = "/api/3.0/mlflow/mcp-servers"
_MCP_SERVERS = _admin_only(
    f"POST {_MCP}",
    f"POST {_MCP}/<name>/versions/<version>/tags",
    f"DELETE {_MCP}/<name>/versions/<version>/tags/<key>",
    f"GET {_MCP}/<name>/versions/<version>",
    f"PATCH {_MCP}/<name>/versions/<version>",
    f"DELETE {_MCP}/<name>/versions/<version>",
    f"POST {_MCP}/<name>/versions",
    f"POST {_MCP}/<name>/endpoints",
    f"GET {_MCP}/<name>/endpoints/<endpoint_id>",
    f"PATCH {_MCP}/<name>/endpoints/<endpoint_id>",
    f"DELETE {_MCP}/<name>/endpoints/<endpoint_id>",
    f"POST {_MCP}/<name>/tags",
    f"DELETE {_MCP}/<name>/tags/<key>",
    f"POST {_MCP}/<name>/aliases",
    f"GET {_MCP}/<name>/aliases/<alias>",
    f"DELETE {_MCP}/<name>/aliases/<alias>",
    f"GET {_MCP}/<name>",
    f"PATCH {_MCP}/<name>",
    f"DELETE {_MCP}/<name>",
) | _admin_only(
    f"GET {_MCP}", f"GET {_MCP}/endpoints", f"GET {_MCP}/<name>/versions", f"GET {_MCP}/<name>/endpoints", status=2
)

_JOBS = _admin_only(
    "GET /api/3.0/jobs/<job_id>",
    "POST /api/3.0/jobs/",
    "PATCH /api/3.0/jobs/cancel/<job_id>",
    "GET /api/3.0/mlflow/jobs/<job_id>",
    "PATCH /api/3.0/mlflow/jobs/cancel/<job_id>",
) | _admin_only("POST /api/3.0/jobs/search", status=2)

_ASSISTANT = "/api/3.0/mlflow/assistant"
_ASSISTANTS = {
    route: J(CLOSED, body=None if route.startswith("GET") else {})
    for route in (
        f"POST {_ASSISTANT}/message",
        f"GET {_ASSISTANT}/sessions/<session_id>/stream",
        f"PATCH {_ASSISTANT}/sessions/<session_id>",
        f"POST {_ASSISTANT}/sessions/<session_id>/permission",
        f"POST {_ASSISTANT}/sessions/<session_id>/tool-result",
        f"GET {_ASSISTANT}/providers/<provider>/health",
        f"GET {_ASSISTANT}/providers",
        f"GET {_ASSISTANT}/config",
        f"PUT {_ASSISTANT}/config",
        f"POST {_ASSISTANT}/skills/install",
        f"GET {_ASSISTANT}/providers/<provider>/models",
    )
}

JUDGEMENTS: dict[str, Judgement] = {
    **_PAGES,
    **_EXPERIMENTS,
    **_RUNS,
    **_FILES,
    **_LOGGED_MODELS,
    **_TRACES,
    **_REGISTRY,
    **_EVALUATION,
    **_WORKSPACES,
    **_WEBHOOKS,
    **_USERS_AND_ROLES,
    **_GATEWAY,
    **_MCP_SERVERS,
    **_JOBS,
    **_ASSISTANTS,
}
