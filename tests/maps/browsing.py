"""What tests of the map in a browser share: how to open it, and what to look at."""

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def go(page, folder, hash_=""):
    page.goto("about:blank")
    page.goto((folder / "map.html").as_uri() + hash_)
    page.wait_for_selector("body[data-ready=yes]")


def picture(page):
    return page.locator(".folium-map").screenshot()


def card(page):
    """The newest card; one that was closed may still be fading."""
    return page.locator(".leaflet-popup-content .card").last


def view(page):
    return page.evaluate(
        "[map_survey.getZoom(), map_survey.getCenter().lat, map_survey.getCenter().lng]"
    )
