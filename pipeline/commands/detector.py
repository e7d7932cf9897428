"""`kilnlight train` and `evaluate`: the detector and how good it is."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import Quiet


def train(
    dataset: Annotated[Path, typer.Argument(help="Dataset file, as in models/datasets.")],
    out: Annotated[Path, typer.Option(help="Weights to write, e.g. own.safetensors.")],
    data: Annotated[Path, typer.Option(help="Folder that the dataset's paths start from.")] = Path(
        "../shared/data"
    ),
    steps: Annotated[int | None, typer.Option(help="Instead of the dataset's own.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the dataset's own.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    quiet: Quiet = False,
) -> None:
    """Train a detector on labelled imagery; what the dataset holds out is never trained on."""
    from models.training import TrainSettings
    from models.training import train as train_weights
    from pipeline.progress import Screen

    screen = Screen(quiet=quiet)
    settings = TrainSettings(
        dataset=dataset, out=out, data_root=data, steps=steps, seed=seed, threads=threads
    )
    screen.say(f"Wrote {train_weights(settings, screen.training)}.")


def evaluate(
    truth: Annotated[Path, typer.Argument(help="Dataset file, or known places (with --run).")],
    run_folder: Annotated[
        Path | None, typer.Option("--run", help="Score this run against known places.")
    ] = None,
    bounds: Annotated[
        str | None, typer.Option(help="With --run: west,south,east,north of the part to score.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Score these weights on the dataset's test part.")
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder that the dataset's paths start from.")] = Path(
        "../shared/data"
    ),
) -> None:
    """Compare with what is known: precision, recall, F1 and false alarms, with intervals."""
    if run_folder is not None:
        from pipeline.scoring import Bounds, evaluate_run

        found = evaluate_run(run_folder, truth, Bounds.parse(bounds) if bounds else None)
        typer.echo(found.summary())
        return
    from models.training import evaluate_weights
    from models.weights import default_weights

    for one in evaluate_weights(truth, weights or default_weights(), data):
        typer.echo(one.summary())
