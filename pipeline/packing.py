"""From a run folder to one team's pack: which sites, in which files, for whose eyes."""

import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import shapely
from pydantic import BaseModel, ConfigDict, Field, field_validator
from shapely.geometry.base import BaseGeometry

from maps.boundaries import Places, read_places
from maps.exclusions import read_exclusions
from maps.language import LanguageCode, load_language
from maps.linking import SITES
from maps.outcomes import visited
from maps.packs.archive import zipped
from maps.packs.cards import drawn_texts
from maps.packs.contents import Pack, write_pack
from maps.packs.facts import PackFacts, name_pack, read_contacts
from maps.packs.fonts import FontSet, choose_fonts
from maps.packs.pictures import cut_chips
from maps.packs.register import FOR_OWNER, OWNERS_FOLDER, PackRegister
from maps.packs.rows import CONFIRMED, pack_rows, sites_in
from maps.record import SurveyRecord, read_record
from maps.sealing import SUFFIX, Recipients, read_recipients
from maps.tiers import NO_SITE
from pipeline.config import RunSettings, read_run_file
from pipeline.outcomes import outcomes_of
from pipeline.pack_folder import UNFINISHED, clear_killed, moved, refuse_changed
from pipeline.run_folder import RUN_FILE, RunFolder
from pipeline.run_imagery import scenes_of_run
from tiles.cells import project
from tiles.errors import ConfigError, RegionError, RunFolderError
from tiles.files import atomic_path, sha256_file
from tiles.region import read_region
from tiles.tables import read_table

# What one lost pack can give away. 50 km by 50 km is what a team reaches in some days by road, and
# 500 cards are more than it visits before the pack expires.
MOST_KM2, MOST_SITES = 2500.0, 500
USUAL_DAYS, MOST_DAYS = 60, 366
LEAST_INSIDE = 0.01  # of the area: less than that was surveyed is the wrong file
# How a site came into the team's list. Nothing else is read of the operator's table, which also
# holds rates of reports: what is not read cannot get into a pack.
LISTED = ["site_id", "team_place", "team_selection", "random_probability"]

SEEN_BY_SERVERS = (
    "Pictures were cut from imagery on a server, as the run file names it: what was not in the "
    "cache was asked for there, at the places of this pack. A copy on this machine (kilnlight "
    "fetch, --imagery) keeps them to yourself."
)


class PackSettings(BaseModel):
    """What `kilnlight pack` is told; unknown keys are refused.

    Attributes:
        run_folder: a finished run.
        team: who carries the pack.
        area: polygons of the team's area.
        to: public keys of those who may open it, or files of them.
        plain: write it as it is.
        out: folder for the pack; the run's own `packs` when absent.
        expires: last day; sixty days from today when absent.
        language: of everything in it.
        font: a .ttf with the language's letters.
        contacts: referral contacts by country.
        country: whose contacts; the run's own when absent.
        places: named points; the run's own when absent.
        exclusions: places that are never to be shown, beside the run's own list.
        outcomes: what teams found, beside what the run knows.
        unreviewed: sites that no reviewer confirmed may be in it.
        imagery: where the imagery lies now, if it was moved.
        today: the day it is made on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_folder: Path
    team: str = Field(min_length=1, max_length=500)
    area: Path
    to: tuple[str, ...] = ()
    plain: bool = False
    out: Path | None = None
    expires: date | None = None
    language: LanguageCode = "en"
    font: Path | None = None
    contacts: Path | None = None
    country: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")
    places: Path | None = None
    exclusions: Path | None = None
    outcomes: Path | None = None
    unreviewed: bool = False
    imagery: tuple[str, ...] = ()
    today: date

    @field_validator("team")
    @classmethod
    def _one_line(cls, value: str) -> str:
        name = " ".join(value.split())
        if not name:
            raise ValueError("the name is empty")
        return name


@dataclass(frozen=True)
class Survey:
    """What a pack takes from a run folder."""

    record: SurveyRecord
    settings: RunSettings
    region: BaseGeometry
    sites: pd.DataFrame  # NEEDED of maps.packs.rows, with selection and random_probability


def make_pack(settings: PackSettings) -> str:
    """Make a pack, or refuse and write nothing; return what to tell the operator.

    Raises:
        KilnlightError: the run, the area, the keys or a setting does not do.
    """
    recipients = _recipients(settings)
    expires = last_day(settings)
    language = load_language(settings.language)
    fonts = choose_fonts(language, settings.font)
    survey = read_survey(settings)
    area, said = read_area(settings.area, survey.region)
    chosen = choose_sites(settings, survey, area)
    places = _places(settings, survey.settings)
    facts = _facts(settings, survey, area, chosen, expires)
    rows = pack_rows(chosen, facts, language, places)
    scenes = scenes_of_run(settings.run_folder, settings.imagery)
    if any(scene.is_remote for scene in scenes):
        said.append(SEEN_BY_SERVERS)
    chips = cut_chips(scenes, rows, facts)
    pack = Pack(facts, rows, area, places, language, fonts, chips)
    path = _write(settings, pack, recipients, chosen)
    return "\n".join([_wrote(pack, recipients, path), *said, *_beware(pack, fonts)])


def last_day(settings: PackSettings) -> date:
    """Return the last day on which the pack may be used.

    Raises:
        ConfigError: it lies in the past, or over a year ahead.
    """
    expires = settings.expires or settings.today + timedelta(days=USUAL_DAYS)
    if expires < settings.today:
        raise ConfigError(f"--expires {expires} is past: give a day after {settings.today}.")
    if expires > settings.today + timedelta(days=MOST_DAYS):
        raise ConfigError(
            f"--expires {expires} is over a year ahead: a pack ages and gets lost; give an earlier "
            "day."
        )
    return expires


def read_survey(settings: PackSettings) -> Survey:
    """Read what a pack needs of a run, without what is never to be shown or was visited.

    Raises:
        RunFolderError: there is no finished run.
    """
    folder = settings.run_folder
    manifest = RunFolder(folder).manifest() if folder.is_dir() else None
    if manifest is None:
        raise RunFolderError(f"{folder} holds no run: give the folder of `kilnlight run`.")
    record = read_record(folder)
    run = RunSettings.of(read_run_file(folder / RUN_FILE), str(folder / RUN_FILE))
    sites = pd.DataFrame(read_table(folder / "sites.parquet", SITES))
    for path in (run.exclusions, settings.exclusions):
        sites = read_exclusions(path).without(sites)
    outcomes = outcomes_of(folder, settings.outcomes, run.outcomes)
    if outcomes is not None:
        sites = sites[~visited(sites, outcomes, record.site_class.merge_radius_m)]
    listed = pd.read_parquet(folder / "priorities.parquet", columns=LISTED)
    listed = listed.rename(columns={"team_place": "place", "team_selection": "selection"})
    listed = listed.dropna(subset=["place"])
    region = shapely.from_wkb(manifest["survey"]["region"]["wkb"])
    return Survey(record, run, region, sites.merge(listed, on="site_id", validate="one_to_one"))


def read_area(path: Path, region: BaseGeometry) -> tuple[BaseGeometry, list[str]]:
    """Return the team's area, and what to tell of it.

    Raises:
        RegionError: it cannot be read, is too large, or lies outside the survey.
    """
    area = read_region(path).polygon
    ground, surveyed = project(area), project(region)
    km2 = ground.area / 1e6
    if km2 > MOST_KM2:
        raise RegionError(
            f"area file {path} holds {km2:,.0f} km2: a pack that is lost must not give away more "
            f"than {MOST_KM2:,.0f} km2; draw a smaller area."
        )
    inside = shapely.intersection(ground, surveyed).area / ground.area
    if inside < LEAST_INSIDE:
        raise RegionError(
            f"area file {path} lies outside the surveyed region: check both coordinates."
        )
    if inside < 1 - LEAST_INSIDE:
        return area, [f"{1 - inside:.0%} of the area was no part of the survey."]
    return area, []


def choose_sites(settings: PackSettings, survey: Survey, area: BaseGeometry) -> pd.DataFrame:
    """Return the sites of the pack in the team's order.

    Raises:
        ConfigError: there is none, none was reviewed, or there are too many.
    """
    chances = survey.sites[["site_id", "selection", "random_probability"]]
    here = sites_in(survey.sites, area).merge(chances, on="site_id")
    here = here[~here["review_status"].isin(NO_SITE)]
    if here.empty:
        raise ConfigError(
            f"no site of the team's list lies in {settings.area} and is still to be visited: draw "
            "another area."
        )
    if not settings.unreviewed:
        confirmed = here[here["review_status"] == CONFIRMED]
        if confirmed.empty:
            raise ConfigError(
                f"none of the {len(here)} sites in {settings.area} was confirmed by a reviewer: "
                "review them first (kilnlight review), or add --unreviewed."
            )
        here = confirmed
    if len(here) > MOST_SITES:
        raise ConfigError(
            f"{settings.area} holds {len(here)} sites, and a pack at most {MOST_SITES}: draw a "
            "smaller area."
        )
    return here.reset_index(drop=True)


def _recipients(settings: PackSettings) -> Recipients | None:
    if settings.plain and settings.to:
        raise ConfigError("--plain and --to exclude each other: leave one out.")
    if settings.plain:
        return None
    return read_recipients(settings.to)


def _places(settings: PackSettings, run: RunSettings) -> Places | None:
    path = settings.places or run.places
    if path is None or (settings.places is None and not path.exists()):
        return None
    return read_places(path)


def _facts(
    settings: PackSettings,
    survey: Survey,
    area: BaseGeometry,
    chosen: pd.DataFrame,
    expires: date,
) -> PackFacts:
    country = settings.country or survey.settings.country
    contacts = read_contacts(settings.contacts, country) if settings.contacts else ()
    published = survey.record.facts
    return PackFacts(
        pack_id=name_pack(
            settings.team,
            shapely.to_wkb(area, hex=True),
            *chosen["site_id"],
            str(settings.today),
            str(expires),
            *sorted(settings.to),
            settings.language,
        ),
        team=settings.team,
        made=str(settings.today),
        expires=str(expires),
        region_name=published.region_name,
        site_class=survey.record.site_class,
        imagery=published.imagery,
        area_km2=project(area).area / 1e6,
        contacts=contacts,
        simulated=published.simulated,
    )


def _write(
    settings: PackSettings, pack: Pack, recipients: Recipients | None, chosen: pd.DataFrame
) -> Path:
    """Write all files aside, note the pack in the log, and only then give it its name."""
    register = PackRegister(settings.run_folder)
    out = settings.out or register.open()
    out.mkdir(parents=True, exist_ok=True)
    clear_killed(register.open())
    with tempfile.TemporaryDirectory(dir=register.folder, prefix=UNFINISHED) as aside:
        folder = Path(aside) / pack.facts.pack_id
        folder.mkdir(mode=OWNERS_FOLDER)
        write_pack(pack, folder)
        for file in folder.iterdir():
            file.chmod(FOR_OWNER)
        line = _log_line(settings, pack, folder, recipients)
        if recipients is None:
            place = out / pack.facts.pack_id
            refuse_changed(place, folder)
            register.note(line, chosen)
            return moved(folder, place)
        path = out / f"{pack.facts.pack_id}{SUFFIX}"
        files = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
        with atomic_path(path) as temporary:
            temporary.write_bytes(recipients.encrypt(zipped(files)))
            register.note(line, chosen)
        return path


def _log_line(
    settings: PackSettings, pack: Pack, folder: Path, recipients: Recipients | None
) -> dict[str, object]:
    facts = pack.facts
    return {
        "pack_id": facts.pack_id,
        "made": facts.made,
        "expires": facts.expires,
        "team": facts.team,
        "area_sha256": sha256_file(settings.area),
        "area_km2": round(facts.area_km2, 1),
        "n_sites": len(pack.rows),
        "encrypted_for": list(recipients.texts) if recipients else [],
        "plain": settings.plain,
        "language": settings.language,
        "unreviewed": settings.unreviewed,
        "files": {file.name: sha256_file(file) for file in sorted(folder.iterdir())},
    }


def _wrote(pack: Pack, recipients: Recipients | None, path: Path) -> str:
    facts = pack.facts
    text = (
        f"Pack {facts.pack_id} for {facts.team}: {len(pack.rows)} sites on "
        f"{facts.area_km2:,.0f} km2, valid until {facts.expires}: {path}."
    )
    if recipients is None:
        return (
            f"{text}\nIt is PLAIN: whoever gets hold of the folder reads every place in it. Copy "
            "it to the team's own devices by hand, never by mail or a shared drive."
        )
    return (
        f"{text}\nOnly the owners of the {len(recipients.keys)} keys given with --to can open it."
    )


def _beware(pack: Pack, fonts: FontSet) -> list[str]:
    said = []
    bare = len(pack.rows) - len(pack.chips.near)
    if bare == len(pack.rows):
        said.append(
            "None of the run's imagery was found: the pack has no pictures (see --imagery)."
        )
    elif bare:
        said.append(f"{bare} sites have no picture: no imagery shows them whole.")
    text = "".join(drawn_texts(pack.rows, pack.facts))
    lost = sorted(set(text) - set(fonts.drawable(text)) - set(" \t\n"))
    if lost:
        said.append(
            f"No font here has {' '.join(lost[:10])}: question marks stand for it on the cards; "
            "give a font with --font."
        )
    if not pack.facts.contacts:
        said.append("No referral contacts: the cards leave room to write them (see --contacts).")
    return said
