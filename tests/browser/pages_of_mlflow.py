"""What a person does on MLflow's pages, and what they see there."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:  # a checkout without playwright skips these tests
    from playwright.sync_api import ConsoleMessage, Locator, Page

_SECONDS = 60
_SECONDS_OF_MENU = 5
# Browsers report it when a table is laid out twice in a frame
_HARMLESS = ("ResizeObserver loop", "/mlflow/assistant/")  # the assistant is closed to all
_WITHOUT_ASSISTANT = """
localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');
localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
"""
_PLOTS = """
[...document.querySelectorAll('.js-plotly-plot')].filter(plot => plot.data).map(plot => plot.data.map(trace => ({
    kind: trace.type,
    name: trace.name,
    x: trace.x ? [...trace.x] : [],
    y: trace.y ? [...trace.y] : [],
    dimensions: (trace.dimensions || []).map(dimension => dimension.label),
    lines: (trace.dimensions || []).length ? trace.dimensions[0].values.length : 0,
})))
"""
_TABLE = """
(() => {
    const headers = [...document.querySelectorAll('.ag-header-container .ag-header-cell')].map(
        cell => [cell.getAttribute('col-id'), cell.innerText.trim()]
    );
    return [...document.querySelectorAll('.ag-center-cols-container [role=row]')].map(row => Object.fromEntries(
        headers.map(([id, title]) => [title, row.querySelector(`[col-id="${CSS.escape(id)}"]`).innerText.trim()])
    ));
})()
"""
_IMAGES = "[...document.querySelectorAll('img')].filter(image => image.complete).map(image => image.naturalWidth)"


class MlflowPages:
    """MLflow's user interface in a browser.

    Attributes:
        page: The page of the browser.
        errors: Errors of scripts and failed requests, with what the console says of them.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page, self._url = page, url
        self.errors: list[str] = []
        page.set_default_timeout(1000 * _SECONDS)
        page.add_init_script(_WITHOUT_ASSISTANT)
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self._note(str(error)))
        page.on("response", lambda answer: self._note(answer.url) if answer.status >= 400 else None)

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._note(f"{message.location['url']}: {message.text}")

    def _note(self, text: str) -> None:
        if not any(harmless in text for harmless in _HARMLESS):
            self.errors.append(text)

    def open(self, address: str, expected: str) -> None:
        """Open a page and wait for a text on it."""
        self.page.goto(f"{self._url}/#{address}")
        self.page.get_by_text(expected).first.wait_for()

    def open_runs(self, expected: str, mode: str = "") -> None:
        self.open(f"/experiments/1/runs?workflowType=machine_learning{mode}", expected)

    def open_comparison(self, run_ids: list[str]) -> None:
        runs, experiments = quote(json.dumps(run_ids)), quote('["1"]')
        self.open(f"/compare-runs?runs={runs}&experiments={experiments}", f"Comparing {len(run_ids)} Runs")

    def choose_columns(self, *names: str) -> None:
        self.page.get_by_role("button", name="Columns").click()
        search = self.page.get_by_placeholder("Search columns")
        for name in names:
            search.fill(name)
            self.page.get_by_role("dialog").get_by_text(name, exact=True).first.click()
        self.page.keyboard.press("Escape")
        search.wait_for(state="hidden")

    def choose_in_menu(self, menu: Locator, item: str) -> None:
        """Open a menu and click an item; a card that is drawn anew meanwhile takes its open menu with it."""
        from playwright.sync_api import TimeoutError as NotInTime

        for _ in range(_SECONDS // _SECONDS_OF_MENU):
            menu.click()
            with suppress(NotInTime):
                self.page.get_by_role("menuitem", name=item).click(timeout=1000 * _SECONDS_OF_MENU)
                return
            self.page.keyboard.press("Escape")
        raise AssertionError(f"The item {item} of the menu could not be clicked in {_SECONDS} s.")

    def table(self) -> list[dict[str, str]]:
        """The rows of the run list, by the titles of the columns beside the run's name."""
        self.page.locator(".ag-center-cols-container [role=row]").first.wait_for()
        rows: list[dict[str, str]] = self.page.evaluate(_TABLE)
        return rows

    def plots(self, number: int) -> list[list[dict[str, Any]]]:
        """The data of the plots, once there are so many."""
        self.page.wait_for_function(
            f"[...document.querySelectorAll('.js-plotly-plot')].filter(plot => plot.data).length == {number}"
        )
        plots: list[list[dict[str, Any]]] = self.page.evaluate(_PLOTS)
        return plots

    def image_widths(self) -> list[int]:
        """The widths of the images that the browser has decoded, once there is one."""
        self.page.wait_for_function(f"{_IMAGES}.some(width => width > 0)")
        widths: list[int] = self.page.evaluate(_IMAGES)
        return widths

    def keep(self, name: str) -> None:
        """Keep a picture of the page for the documentation, if TINYBENCH_SCREENSHOTS names a folder for it."""
        folder = os.environ.get("TINYBENCH_SCREENSHOTS")
        if folder:
            self.page.wait_for_timeout(1000)  # until menus have faded
            self.page.screenshot(path=Path(folder) / f"{name}.png")
