"""`kilnlight serve`: a preview of a folder in the browser of this machine."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_PORT = 8707  # seldom taken; always the same, so that a bookmark stays right


def serve(
    folder: Annotated[Path, typer.Argument(help="What `kilnlight publish` or `run` wrote.")],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="To listen on; 0 takes a free one.")
    ] = DEFAULT_PORT,
) -> None:
    """Show a folder in the browser of this machine, and to nobody else; Ctrl-C ends it."""
    from pipeline.review_saving import PATH, has_review, new_token, page_address, saver
    from pipeline.serving import FolderServer

    token = new_token()
    reviewed = has_review(folder)
    with FolderServer(folder, port, {PATH: saver(folder, token)} if reviewed else {}) as server:
        typer.echo(
            f"{folder} is at {server.address} (this machine only; Ctrl-C ends it).", err=True
        )
        if reviewed:
            where = page_address(server.address, token)
            typer.echo(f"Decisions are saved from {where}", err=True)
        server.serve_forever()
