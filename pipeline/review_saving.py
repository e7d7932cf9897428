"""Decisions saved while they are made: what `kilnlight serve` does for a run's review page."""

import json
import secrets
from collections.abc import Callable
from pathlib import Path

from maps.review.decisions import parse_decisions
from pipeline.reviewing import FOLDER, ReviewedRun, take_in
from pipeline.run_folder import RunFolder
from tiles.errors import ReviewError

PATH = "/review/decisions"  # where the page sends them
TOKEN_BYTES = 24  # 192 bits: nobody guesses it


def new_token() -> str:
    """A secret for one time of serving. The page has it from the part of its address behind #.

    Without it any page that is open in the same browser could send decisions.
    """
    return secrets.token_urlsafe(TOKEN_BYTES)


def has_review(folder: Path) -> bool:
    """Whether a folder is a run with a review page in it."""
    return (folder / FOLDER / "index.html").is_file() and (folder / "manifest.json").is_file()


def page_address(server: str, token: str) -> str:
    """The address to open: the server's own, the page, and the token that stays in the browser."""
    return f"{server}{FOLDER}/index.html#token={token}"


def saver(run_folder: Path, token: str) -> Callable[[bytes], bytes]:
    """What takes the decisions that a page sends, and merges them into the run.

    The body is JSON with the token and the page's CSV; the answer is JSON too.
    """

    def save(body: bytes) -> bytes:
        try:
            sent = json.loads(body)
            given, text = str(sent["token"]), str(sent["csv"])
        except (ValueError, KeyError, TypeError) as error:
            raise ReviewError("what was sent is no review: open the page's own address.") from error
        if not secrets.compare_digest(given.encode(), token.encode()):
            raise ReviewError("the page has another token: open the address that serve printed.")
        decisions = parse_decisions(text, "the page's decisions")
        with RunFolder(run_folder).locked():
            take_in(ReviewedRun.open(run_folder), [decisions])
        return json.dumps({"saved": len(decisions)}).encode()

    return save
