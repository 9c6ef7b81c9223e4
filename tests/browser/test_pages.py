"""What a person sees of trained models on MLflow's pages, in a real browser that logs in."""

from __future__ import annotations

from contextlib import suppress

import pytest

NAME = "tinybench-digits"


def test_the_run_list_shows_useful_columns(pages, team_server):
    pages.open_runs("smallcnn on digits")
    pages.choose_columns("test/accuracy", "efficiency/parameters", "Dataset", "Source")
    rows = pages.table()
    assert len(rows) == 2  # phases are folded into their runs
    newest_first = list(reversed(team_server.runs.values()))
    for version, cells, result in zip(("v2", "v1"), rows, newest_first, strict=True):
        assert set(cells) == {"Duration", "Models", "test/accuracy", "efficiency/parameters"}
        assert cells["Duration"].endswith(("s", "min"))
        assert cells["Models"].split() == [NAME, version]
        assert float(cells["test/accuracy"]) == pytest.approx(result.metrics["test/accuracy"])
        assert int(cells["efficiency/parameters"]) == result.metrics["efficiency/parameters"]
    pages.keep("run-list")


def test_the_charts_show_a_curve_for_each_run(pages, team_server):
    pages.open_runs("smallcnn on digits", "&compareRunsMode=CHART")
    pages.page.get_by_placeholder("Search metric charts").fill("val/")
    for curves in pages.plots(3):  # loss, accuracy and top-5
        with_points = [curve for curve in curves if curve["kind"] == "scatter" and len(curve["x"]) > 1]
        assert {curve["name"].split(", ")[-1] for curve in with_points} == {
            f"{model} on digits" for model in team_server.runs
        }
        for curve in with_points:
            epochs = sorted(set(curve["x"]))
            assert epochs == list(range(1, len(epochs) + 1))
            assert len(curve["x"]) <= len(epochs) + 1, "the best epoch is logged again after the last"
    pages.keep("curves")


def test_the_comparison_has_parallel_coordinates_of_both_runs(pages, team_server):
    pages.open_comparison([result.run_id for result in team_server.runs.values()])
    ((plot,),) = pages.plots(1)
    assert plot["kind"] == "parcoords"
    assert plot["lines"] == 2
    assert "model" in plot["dimensions"]  # what differs between the runs
    assert any("/" in dimension for dimension in plot["dimensions"])  # and a metric
    labels = pages.page.locator(".js-plotly-plot .tick").all_text_contents()
    for model in team_server.runs:  # MLflow shows the first ten letters
        assert model[:10] in labels
    pages.keep("comparison")
    same = pages.page.get_by_text("seed", exact=True).first
    same.wait_for()
    pages.page.get_by_text("Show diff only").first.click()
    same.wait_for(state="hidden")
    assert pages.page.get_by_text("scratch.lr", exact=True).first.is_visible()


def test_a_run_shows_its_pictures(pages, team_server):
    pages.open(f"/experiments/1/runs/{team_server.runs['smallcnn'].run_id}/artifacts", "figures")
    pages.page.get_by_text("figures", exact=True).first.click()
    for picture in ("curves.png", "samples.png", "class_distribution.png"):
        pages.page.get_by_text(picture, exact=True).first.click()
        pages.page.get_by_role("heading", name=f"figures/{picture}").or_(
            pages.page.get_by_text(f"figures/{picture}", exact=True)
        ).first.wait_for()
        assert max(pages.image_widths()) > 300
        if picture == "curves.png":
            pages.keep("run-pictures")


def test_logged_images_can_be_read_in_full_screen(pages, team_server):
    pages.open(f"/experiments/1/runs/{team_server.runs['smallcnn'].run_id}/model-metrics", "Model metrics")
    pages.page.get_by_placeholder("Search metric charts").fill("confusion_matrix")
    pages.image_widths()  # the cards are drawn anew when their images arrive
    pages.choose_in_menu(pages.page.get_by_test_id("experiment-view-compare-runs-card-menu").first, "Configure")
    pages.page.get_by_text("Show run parameters").click()
    pages.page.get_by_role("button", name="Save changes").click()
    pages.page.wait_for_function("document.body.innerText.split('scratch.epochs=').length == 2")  # in the other chart
    pages.keep("logged-images")
    assert max(pages.image_widths()) > 600  # MLflow's own copies have 256 pixels


def test_the_registry_shows_the_alias_and_the_model_card(pages, team_server):
    pages.open("/models", NAME)
    row = pages.page.get_by_role("row").filter(has_text=NAME)
    row.get_by_text("champion").wait_for()
    assert row.get_by_text("Version 2").first.is_visible()
    pages.open(f"/models/{NAME}/versions/2", "95 % interval")
    pages.page.get_by_text("champion").first.wait_for()
    body = pages.page.inner_text("body")
    assert "alexnet-mini on digits" in body
    accuracy = team_server.runs["alexnet-mini"].metrics["test/accuracy"]
    assert f"top-1\t{accuracy:.4f}" in body
    assert max(pages.image_widths()) > 300  # the confusion matrix of the card
    pages.keep("registry")


@pytest.mark.parametrize("credentials", [None, {"username": "admin", "password": "a wrong password"}])
def test_without_the_password_nothing_is_shown(chromium, team_server, credentials):
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(http_credentials=credentials).new_page()
        statuses = []
        page.on("response", lambda answer: statuses.append(answer.status))
        with suppress(Error):  # Chromium shows a page of its own, since there is nobody to ask
            page.goto(f"{team_server.url}/")
        assert set(statuses) == {401}
        assert "Experiments" not in page.inner_text("body")
        browser.close()
