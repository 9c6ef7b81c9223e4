"""A server with two trained models and registered versions, and a browser that is logged in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from pages_of_mlflow import MlflowPages
from service_processes import ServiceProcess
from stores import elsewhere

import tinybench
from tinybench.registry import policy, promotion
from tinybench.registry.candidates import CandidateQuery
from tinybench.tracking.tracker import Tracker

USER, PASSWORD = "admin", "Quarry-Lantern-77-osprey"
_OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
_SETTINGS = {"recipe": "quickstart", "phases": "scratch", "scratch.epochs": 4, "track.costs": "off"}
_RUNS = {
    "smallcnn": {"model": "smallcnn", "scratch.lr": 3e-3},
    "alexnet-mini": {"model": "alexnet-mini", "scratch.lr": 1e-3},
}


@dataclass(frozen=True)
class TeamServer:
    """A server with passwords, and the runs on it by the name of their model."""

    url: str
    runs: dict[str, tinybench.Result]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium."""
    pytest.importorskip("playwright", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    return path


@pytest.fixture(scope="session")
def team_server(chromium, tmp_path_factory) -> Iterator[TeamServer]:
    folder = tmp_path_factory.mktemp("team-server")
    (folder / "admin").write_text(PASSWORD)
    started = ServiceProcess(folder, "server", "--auth", "--admin-password-file", "admin").wait_for()
    try:
        with elsewhere(tmp_path_factory), pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_USERNAME", USER)
            patch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
            settings = _SETTINGS | {"track.uri": started.url}
            runs = {name: tinybench.train(**settings | own) for name, own in _RUNS.items()}
            all_gates_off = policy.parse("".join(f"[{gate}]\noff = true\n" for gate in policy.GATES))
            for result in runs.values():
                promotion.promote(Tracker.at(started.url), CandidateQuery(result.run_id), all_gates_off)
            mlflow.set_tracking_uri(None)
        yield TeamServer(started.url, runs)
    finally:
        assert started.end() == 0


@pytest.fixture
def pages(chromium, team_server) -> Iterator[MlflowPages]:
    """The pages of MLflow in a browser of its own, whose console must stay without errors."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_OPTIONS))
        credentials = {"username": USER, "password": PASSWORD}
        context = browser.new_context(viewport={"width": 1280, "height": 720}, http_credentials=credentials)
        opened = MlflowPages(context.new_page(), team_server.url)
        yield opened
        browser.close()
    assert opened.errors == []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")
