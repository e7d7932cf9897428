"""What a run leaves for those who publish from it later: what its pages say, and the site class.

The survey's tables say the rest. With this file a folder can be published, or a pack be made, where
neither the imagery nor the weights are at hand.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from maps.expected import Recall
from maps.facts import Publication
from models.site_class import SiteClass
from tiles.errors import RunFolderError
from tiles.files import write_text

RECORD_FILE = "publication.json"


class SurveyRecord(BaseModel):
    """What `run` knows of a survey and its tables do not hold.

    Attributes:
        facts: what pages say, as the run's preview has them.
        site_class: what was looked for, the run's prevalence in it.
        gate: recall of the cheap gate that looked first, where there was one.
        access: who can report, by cell, where a raster says it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    facts: Publication
    site_class: SiteClass
    gate: Recall | None = None
    access: dict[str, float | None] | None = None


def write_record(folder: Path, record: SurveyRecord) -> None:
    """Write the record into a run folder."""
    write_text(folder / RECORD_FILE, record.model_dump_json(indent=2) + "\n")


def read_record(folder: Path) -> SurveyRecord:
    """Read the record of a run folder.

    Raises:
        RunFolderError: it is missing (no run, or one of an earlier version) or damaged.
    """
    path = folder / RECORD_FILE
    try:
        return SurveyRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError:
        raise RunFolderError(
            f"{folder} is no finished run ({RECORD_FILE} is not there): run `kilnlight run` on it, "
            "which keeps the survey and makes what is missing."
        ) from None
    except ValidationError as error:
        raise RunFolderError(
            f"{path} is damaged ({error.errors()[0]['msg']}): run `kilnlight run` on it again."
        ) from None
