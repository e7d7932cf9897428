"""The review page from `kilnlight serve`: answers are in the run as soon as they are given."""

import pytest
from playwright.sync_api import sync_playwright

from pipeline.review_questions import ReviewRequest, make_review
from pipeline.review_saving import PATH, page_address, saver
from pipeline.reviewing import stored_decisions
from pipeline.serving import FolderServer
from tests.made_up_review import make_run


@pytest.mark.parametrize("token", ["right", "wrong"])
def test_a_served_page_saves_by_itself_or_says_that_it_does_not(chromium, tmp_path, token):
    run = make_run(tmp_path, n_sites=4)
    make_review(ReviewRequest(run))
    server = FolderServer(run, 0, {PATH: saver(run, "right")})
    with server.running() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(chromium), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(page_address(address, token))
        page.keyboard.type("Asha")
        with page.expect_response(f"**{PATH}") as answered:
            for key in ("Enter", "y", "n"):
                page.keyboard.press(key)
        assert answered.value.status == (200 if token == "right" else 400)
        if token == "wrong":
            page.wait_for_selector("#server:not([hidden])")
            assert "has another token" in page.inner_text("#server")
        browser.close()
    saved = ["confirmed", "rejected"] if token == "right" else []
    assert list(stored_decisions(run)["decision"]) == saved
