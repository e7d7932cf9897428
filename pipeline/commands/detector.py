"""`kilnlight train`, `evaluate` and `labels`: the detector, how good it is, and its labels."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import Quiet
from tiles.errors import ConfigError

if TYPE_CHECKING:
    from models.judging.assessing import Question


def train(
    dataset: Annotated[
        Path, typer.Argument(help="Dataset file (.toml), folder of labelled tiles, or COCO file.")
    ],
    out: Annotated[Path, typer.Option(help="Weights to write, e.g. own.safetensors.")],
    site_class: Annotated[
        str | None, typer.Option("--class", help="Class of the labels, or its .toml file.")
    ] = None,
    fold: Annotated[
        str | None, typer.Option(help="Hold out the places that this fold of the dataset names.")
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder that the dataset's paths start from.")] = Path(
        "../shared/data"
    ),
    steps: Annotated[int | None, typer.Option(min=1, help="Instead of the dataset's own.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the dataset's own.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    labels: Annotated[
        Path | None, typer.Option(help="What `review labels` wrote, to train on beside the rest.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Weights to go on from; few steps are enough then.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train a detector on labelled imagery; an interrupted training goes on where it was.

    Splits are by place only: what a fold holds out is never trained on, nor is land within 1 km.
    """
    from models.labelled.chip_dataset import is_chips_file
    from models.patches.training import train_patches
    from models.training import TrainSettings
    from models.training import train as train_boxes
    from pipeline.engine.progress import Screen

    screen = Screen(quiet=quiet)
    settings = TrainSettings(
        dataset=dataset,
        out=out,
        data_root=data,
        fold=fold,
        site_class=site_class,
        steps=steps,
        seed=seed,
        threads=threads,
        device=device,
        labels=labels,
        start=start,
    )
    train_weights = train_patches if is_chips_file(dataset) else train_boxes
    screen.say(f"Wrote {train_weights(settings, screen.training)}.")


def adapt(
    imagery: Annotated[
        list[str],
        typer.Argument(help="Scenes of a region with sites in them; or a dataset file and --fold."),
    ],
    out: Annotated[Path, typer.Option(help="Weights to write, e.g. own.safetensors.")],
    weights: Annotated[
        Path | None, typer.Option(help="To go on from: a file or a name; else the built-in.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often to guess and to learn.")] = 6,
    steps: Annotated[int, typer.Option(min=1, help="Of each round.")] = 300,
    fold: Annotated[
        str | None, typer.Option(help="Adapt to what this fold of the dataset holds out.")
    ] = None,
    site_class: Annotated[
        str | None, typer.Option("--class", help="Class that own weights find, or its .toml file.")
    ] = None,
    imagery_licence: Annotated[
        str | None, typer.Option(help="Licence of the scenes, e.g. CC-BY-NC-4.0.")
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder that the dataset's paths start from.")] = Path(
        "../shared/data"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Of everything drawn.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    quiet: Quiet = False,
) -> None:
    """Teach weights the look of a region from its own imagery; nobody needs to label anything.

    The best of what they find there is taken for sites, and they learn from that. Look at the page
    of pictures that it writes: where there are no sites, it learns what is wrong.
    """
    from models.adapting import AdaptSettings
    from models.adapting import adapt as adapt_weights
    from pipeline.engine.progress import Screen

    screen = Screen(quiet=quiet)
    settings = AdaptSettings(
        imagery=tuple(imagery),
        out=out,
        weights=weights,
        fold=fold,
        site_class=site_class,
        imagery_licence=imagery_licence,
        data_root=data,
        rounds=rounds,
        steps=steps,
        seed=seed,
        threads=threads,
        device=device,
    )
    screen.say(f"Wrote {adapt_weights(settings, screen.training, screen.say)}.")


def train_gate(
    dataset: Annotated[Path, typer.Argument(help="Dataset file (.toml) of the detector.")],
    out: Annotated[Path, typer.Option(help="Weights to write, e.g. own_gate.safetensors.")],
    weights: Annotated[
        Path | None, typer.Option(help="Detector that the gate stands before; else the built-in.")
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder that the dataset's paths start from.")] = Path(
        "../shared/data"
    ),
    steps: Annotated[int, typer.Option(min=1, help="Of each training.")] = 600,
    seed: Annotated[int, typer.Option(min=0, help="Of everything drawn.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Train the small network that shuts out empty land, and count what it loses fold by fold.

    Minutes on one core. Its card says whether it is good enough to be used without being asked for.
    """
    from models.gate.training import GateSettings
    from models.gate.training import train_gate as train
    from models.weights import find_weights
    from pipeline.engine.progress import Screen

    screen = Screen(quiet=quiet)
    settings = GateSettings(
        dataset=dataset,
        detector=find_weights(weights),
        out=out,
        data_root=data,
        steps=steps,
        seed=seed,
    )
    screen.say(f"Wrote {train(settings, screen.say)}.")


def evaluate(
    truth: Annotated[
        Path,
        typer.Argument(help="Dataset file or labelled tiles; known places with --run."),
    ],
    run_folder: Annotated[
        Path | None, typer.Option("--run", help="Score this run against known places.")
    ] = None,
    bounds: Annotated[
        str | None, typer.Option(help="With --run: west,south,east,north of the part to score.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Score these weights on what the dataset holds out.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Weights to beat: gains with intervals, on the same land.")
    ] = None,
    site_class: Annotated[
        str | None, typer.Option("--class", help="Class of the labels of a folder, or its file.")
    ] = None,
    fold: Annotated[
        str | None, typer.Option(help="Score the places that this fold of the dataset holds out.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for evaluation.json, a page of pictures and the scores."),
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder that the dataset's paths start from.")] = Path(
        "../shared/data"
    ),
    out_of_fold: Annotated[
        bool,
        typer.Option("--out-of-fold", help="Judge by the scores that the dataset's folds left."),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Compare with what is known: accuracy, false alarms, calibration and costs, with intervals.

    The page of pictures shows imagery under the imagery's own licence: it stays beside the run.
    """
    of_weights = {"--weights": weights, "--against": against, "--class": site_class, "--fold": fold}
    if run_folder is not None:
        why = f"--run judges what stands in {run_folder}"
        _refuse(why, of_weights | {"--out-of-fold": out_of_fold or None})
        return _evaluate_run(run_folder, truth, bounds, out)
    _refuse("Only a run is judged within bounds", {"--bounds": bounds})
    from models.labelled.chip_dataset import is_chips_file

    if is_chips_file(truth):
        why = "chips labelled as a whole are judged by what the trainings of all folds wrote"
        _refuse(f"{truth}: {why}", of_weights)
        return _evaluate_chips(truth, data, out)
    if out_of_fold:
        _refuse(f"--out-of-fold judges by the tables that {truth} names", of_weights)
        return _evaluate_out_of_fold(truth, out)
    from models.judging.assessing import Question

    question = Question(truth, data, fold, site_class)
    return _evaluate_weights(question, weights, against, device, out)


def _tell(summary: str, out: Path | None, write: Callable[[Path], Sequence[Path]]) -> None:
    """Say what was found, and write it where it was asked for."""
    typer.echo(summary)
    if out is not None:
        typer.echo(f"Wrote {', '.join(map(str, write(out)))}.")


def _evaluate_weights(
    question: "Question", weights: Path | None, against: Path | None, device: str, out: Path | None
) -> None:
    """Weights, beside rivals where they are named, on what a dataset holds out."""
    from models.detector import Detector
    from models.judging.assessing import assess, write_assessment
    from models.weights import find_weights

    detector = Detector.load(find_weights(weights), device)
    rival = Detector.load(find_weights(against), device) if against is not None else None
    assessed = assess(detector, question, rival)
    _tell(assessed.record.summary(), out, lambda folder: write_assessment(assessed, folder))


def _evaluate_run(run_folder: Path, truth: Path, bounds: str | None, out: Path | None) -> None:
    """A run against known places."""
    from pipeline.scoring import Bounds, assess_run, write_evaluation

    found = assess_run(run_folder, truth, Bounds.parse(bounds) if bounds else None)
    _tell(found.summary(), out, lambda folder: [write_evaluation(found, folder)])


def _evaluate_out_of_fold(dataset: Path, out: Path | None) -> None:
    """What the tables that a dataset names say."""
    from models.judging.held_out import held_out_report, write_report

    report = held_out_report(dataset)
    _tell(report.summary(), out, lambda folder: [write_report(report, folder)])


def _refuse(why: str, options: Mapping[str, object]) -> None:
    """Refuse options that would change nothing.

    Raises:
        ConfigError: One of them is given, which is to say not None.
    """
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ConfigError(f"{why}: leave out {', '.join(given)}.")


def _evaluate_chips(dataset: Path, data: Path, out: Path | None) -> None:
    """What the folds of labelled chips say."""
    from models.patches.report import judge_chips, write_judged_chips

    judged = judge_chips(dataset, data)
    _tell(judged.record.summary(), out, lambda folder: write_judged_chips(judged, folder))


labels_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@labels_app.callback()
def _labels() -> None:
    """Labels of a dataset: which of them look wrong."""


@labels_app.command("audit")
def audit_labels(
    dataset: Annotated[Path, typer.Argument(help="Dataset file or labelled tiles.")],
    predictions: Annotated[
        list[Path],
        typer.Option(help="What `train --fold` wrote beside its weights; give one for each fold."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for suspects.csv and suspects.html.")],
    data: Annotated[Path, typer.Option(help="Folder that the dataset's paths start from.")] = Path(
        "../shared/data"
    ),
    notes: Annotated[
        bool, typer.Option(help="Leave out what the dataset's label notes say already.")
    ] = True,
    site_class: Annotated[
        str | None, typer.Option("--class", help="Class of a folder's labels, or its .toml file.")
    ] = None,
) -> None:
    """Rank suspected label errors by disagreement with predictions made out of fold.

    Nothing is corrected: what you confirm goes into a file of notes, each with a reason.
    """
    from models.judging.label_audit import AuditQuestion, write_audit
    from models.judging.label_audit import audit_labels as audit

    found = audit(AuditQuestion(dataset, data, tuple(predictions), notes, site_class))
    files = ", ".join(map(str, write_audit(found, out)))
    typer.echo(f"{len(found.suspects)} labels and detections ranked; wrote {files}.")
