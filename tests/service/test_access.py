"""What MLflow's grants let through and the application of tinybench does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Team
from team_content import Content
from team_server import ADMIN

_API = "/api/2.0/mlflow"


@pytest.mark.parametrize("place", ["file://{0}", "{0}", "mlflow-artifacts:/1/../..", "s3://elsewhere/place"])
@pytest.mark.parametrize("field", ["artifact_location", "artifactLocation"])
def test_only_an_administrator_says_where_an_experiment_keeps_its_files(
    team: Team, tmp_path: Path, place: str, field: str
):
    body = {"name": f"{field} {place} {tmp_path}", field: place.format(tmp_path)}
    for role in ("reader", "contributor", "registrar"):
        answer = team.server.ask(team.logins[role], "POST", f"{_API}/experiments/create", json=body)
        assert answer.status_code == 403, (role, answer.text)
    assert team.server.ask(ADMIN, "POST", f"{_API}/experiments/create", json=body).ok


def test_a_body_encoded_twice_says_it_neither(team: Team, tmp_path: Path):
    body = f'{{"name": "twice", "artifact_location": "file://{tmp_path}"}}'
    answer = team.server.ask(team.logins["contributor"], "POST", f"{_API}/experiments/create", json=body)
    assert answer.status_code == 403


def test_only_an_administrator_says_where_a_trace_keeps_its_files(team: Team, content: Content, tmp_path: Path):
    (tmp_path / "traces.json").write_text('{"secret": 1}')
    trace = content.get("trace")
    for key in ("mlflow.artifactLocation", "mlflow.trace.archiveLocation", "mlflow.trace.spansLocation"):
        body = {"key": key, "value": f"file://{tmp_path}"}
        answer = team.server.ask(team.logins["contributor"], "PATCH", f"/api/3.0/mlflow/traces/{trace}/tags", json=body)
        assert answer.status_code == 403, (key, answer.text)
        info = {"trace_id": "$new", "trace_location": {}, "tags": {key: str(tmp_path)}}
        body = {"trace": {"trace_info": info}}
        answer = team.server.ask(team.logins["contributor"], "POST", "/api/3.0/mlflow/traces", json=body)
        assert answer.status_code == 403, (key, answer.text)
    path = f"/ajax-api/3.0/mlflow/get-trace-artifact?request_id={trace}"
    assert "secret" not in team.server.ask(team.logins["contributor"], "GET", path).text


def test_a_contributor_replaces_files_of_models_until_they_are_registered(team: Team, content: Content):
    cat, ram = team.logins["contributor"], team.logins["registrar"]
    model, experiment = content.get("new_model"), content.get("experiment")
    path = f"-artifacts/artifacts/{experiment}/models/{model}/artifacts/MLmodel"
    assert team.server.ask(cat, "PUT", _API + path, data=b"first").ok
    name = content.get("unique")
    content.send("POST", f"{_API}/registered-models/create", {"name": name})
    source = f"mlflow-artifacts:/{experiment}/models/{model}/artifacts"
    content.send("POST", f"{_API}/model-versions/create", {"name": name, "source": source, "model_id": model})
    removed = [path.replace("m-", f"m-{each}") for each in ("%09", "%0d", "%2509", "%25250a")]
    spellings = [
        *removed,
        path,
        path.replace("models", "models/."),
        path.replace("m-", "%6d-"),
        path.replace("m-", "%256d-"),
    ]
    for address in (prefix + each for prefix in (_API, "/ajax-api/2.0/mlflow", f"/{_API}") for each in spellings):
        answer = team.server.ask(cat, "PUT", address, data=b"second")
        assert answer.status_code in (400, 403), (address, answer.status_code)
    for action in ("create", "complete", "abort"):
        body = {"path": "MLmodel", "num_parts": 1, "upload_id": "1", "parts": []}
        mpu = path.replace("artifacts/", f"mpu/{action}/", 1)
        assert team.server.ask(cat, "POST", _API + mpu, json=body).status_code == 403, action
    body = {"model_id": model, "path": "MLmodel"}
    assert team.server.ask(cat, "POST", f"{_API}/artifacts/presigned-upload-url", json=body).status_code == 403
    assert team.server.ask(cat, "GET", _API + path).content == b"first"
    assert team.server.ask(ram, "PUT", _API + path, data=b"third").ok
    assert team.server.ask(cat, "GET", _API + path).content == b"third"


def test_a_contributor_replaces_files_of_runs_until_they_are_registered(team: Team, content: Content):
    cat = team.logins["contributor"]
    run, experiment = content.get("new_run"), content.get("experiment")
    upload = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=model/weights"
    assert team.server.ask(cat, "POST", upload, data=b"first").ok
    name = content.get("unique")
    content.send("POST", f"{_API}/registered-models/create", {"name": name})
    source = f"mlflow-artifacts:/{experiment}/{run}/artifacts/model"
    content.send("POST", f"{_API}/model-versions/create", {"name": name, "source": source, "run_id": run})
    assert team.server.ask(cat, "POST", upload, data=b"second").status_code == 403
    path = f"-artifacts/artifacts/{experiment}/{run}/artifacts/model/weights"
    assert team.server.ask(cat, "PUT", _API + path, data=b"second").status_code == 403
    assert team.server.ask(cat, "GET", _API + path).content == b"first"


def test_a_file_that_names_a_registered_model_is_taken(team: Team, content: Content):
    content.get("registered")
    run = content.get("new_run")
    upload = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=card.json"
    body = {"model": content.get("model")}
    assert team.server.ask(team.logins["contributor"], "POST", upload, json=body).ok


def test_the_maker_of_an_experiment_gives_rights_to_nobody(team: Team):
    cat, rat = team.logins["contributor"], team.logins["reader"]
    answer = team.server.ask(cat, "POST", f"{_API}/experiments/create", json={"name": "of the cat"})
    experiment = answer.json()["experiment_id"]
    grant = {"username": rat[0], "resource_type": "experiment", "resource_id": experiment, "permission": "MANAGE"}
    answer = team.server.ask(cat, "POST", "/api/3.0/mlflow/users/permissions/grant", json=grant)
    assert answer.status_code == 403
    body = {"experiment_id": experiment}
    assert team.server.ask(rat, "POST", f"{_API}/runs/create", json=body).status_code == 403
    assert team.server.ask(cat, "POST", f"{_API}/experiments/delete", json=body).status_code == 403
    run = team.server.ask(cat, "POST", f"{_API}/runs/create", json=body).json()["run"]["info"]["run_id"]
    assert team.server.ask(cat, "POST", f"{_API}/runs/delete", json={"run_id": run}).status_code == 403


def test_the_champion_moves_by_a_registrar_alone(team: Team, content: Content):
    name = content.get("version_name")
    body = {"name": name, "alias": "champion", "version": "1"}
    for role in ("outsider", "reader", "contributor"):
        answer = team.server.ask(team.logins[role], "POST", f"{_API}/registered-models/alias", json=body)
        assert answer.status_code == 403, role
    assert team.server.ask(team.logins["registrar"], "POST", f"{_API}/registered-models/alias", json=body).ok
    path = f"{_API}/registered-models/alias?name={name}&alias=champion"
    assert team.server.ask(team.logins["reader"], "GET", path).json()["model_version"]["version"] == "1"


@pytest.mark.parametrize("source", ["file:///etc", "/etc", "http://127.0.0.1:9/x", "mlflow-artifacts:/1/../../x"])
def test_a_version_comes_from_no_place_of_the_servers_machine(team: Team, content: Content, source: str):
    body = {"name": content.get("version_name"), "source": source}
    answer = team.server.ask(team.logins["registrar"], "POST", f"{_API}/model-versions/create", json=body)
    assert answer.status_code == 400, answer.text


def test_a_contributor_does_not_replace_what_a_promotion_compares(team: Team, content: Content):
    """The files of a registered run and of its phases, such as the predictions for test images."""
    cat, experiment = team.logins["contributor"], content.get("experiment")
    runs = f"{_API}/runs/create"
    run = content.send("POST", runs, {"experiment_id": experiment})["run"]["info"]["run_id"]
    tags = [{"key": "mlflow.parentRunId", "value": run}]
    phase = content.send("POST", runs, {"experiment_id": experiment, "tags": tags})["run"]["info"]["run_id"]
    files = [f"-artifacts/artifacts/{experiment}/{each}/artifacts/predictions/test.npz" for each in (run, phase)]
    assert all(team.server.ask(cat, "PUT", _API + file, data=b"own").ok for file in files)
    name = content.get("unique")
    content.send("POST", f"{_API}/registered-models/create", {"name": name})
    version = {"name": name, "source": f"mlflow-artifacts:/{experiment}/{run}/artifacts/predictions", "run_id": run}
    content.send("POST", f"{_API}/model-versions/create", version)
    for file in files:
        assert team.server.ask(cat, "PUT", _API + file, data=b"forged").status_code == 403, file
        assert team.server.ask(team.logins["registrar"], "PUT", _API + file, data=b"mended").ok
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in run)
    for body in (f'{{"run_id": "{escaped}", "path": "x"}}', f'{{"path": "{escaped}/x"}}'):
        answer = team.server.ask(
            cat,
            "POST",
            f"{_API}/artifacts/presigned-upload-url",
            data=body,
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code in (400, 403), (body, answer.text)
