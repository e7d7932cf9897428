"""What a pack says beside its sites: whose it is, until when, of what survey, whom to turn to."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from maps.linking import BASE32
from models.site_class import SiteClass
from tiles.errors import ConfigError
from tiles.settings_file import read_settings

PACK_ID_DIGITS = 8  # 40 bits: read aloud on a phone, and no two packs of an operator share it


class Contact(BaseModel):
    """One place to turn to, as the operator has checked it."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=1, max_length=120)
    phone: str = Field(default="", max_length=60)
    hours: str = Field(default="", max_length=60)
    languages: str = Field(default="", max_length=80)
    helps_with: str = Field(default="", max_length=160)

    def line(self) -> str:
        """Return the contact on one line, for a card."""
        parts = (self.phone, self.hours, self.languages, self.helps_with)
        return ", ".join([self.name, *(part for part in parts if part)])


class Contacts(BaseModel):
    """Referral contacts by country (ISO 3166-1, two letters); none come with the program."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    countries: dict[str, tuple[Contact, ...]] = {}

    def of(self, country: str | None) -> tuple[Contact, ...]:
        """Return the contacts of a country, or of the only one that the file has."""
        if country is None and len(self.countries) == 1:
            return next(iter(self.countries.values()))
        return self.countries.get(country or "", ())


def read_contacts(path: Path, country: str | None) -> tuple[Contact, ...]:
    """Read the operator's file of referral contacts and return those of a country.

    Raises:
        ConfigError: the file cannot be read, or has none for the country.
    """
    contacts = read_settings(path, Contacts, "contacts file", "docs/contacts.toml", ConfigError)
    chosen = contacts.of(country)
    if not chosen:
        known = ", ".join(sorted(contacts.countries)) or "none"
        raise ConfigError(
            f"contacts file {path} has no contact for {country or 'the country of this pack'} (it "
            f"has {known}): add one, or name the country with --country."
        )
    return chosen


@dataclass(frozen=True)
class PackFacts:
    """Everything about a pack but its sites.

    Attributes:
        pack_id: its name in every file and in the operator's log.
        team: who carries it.
        made: the day it was made, ISO.
        expires: the last day on which it may be used, ISO.
        region_name: the survey's region.
        site_class: what was looked for, with the sentence that stands in every file.
        imagery: credit of the imagery.
        area_km2: ground of the team's area.
        contacts: referral contacts; empty where the operator supplied none.
        simulated: the survey is made up.
    """

    pack_id: str
    team: str
    made: str
    expires: str
    region_name: str
    site_class: SiteClass
    imagery: str
    area_km2: float
    contacts: tuple[Contact, ...] = ()
    simulated: bool = False

    @property
    def stamp(self) -> str:
        """Pack, last day and disclaimer: what stands in every file."""
        return f"{self.pack_id}, valid until {self.expires}; {self.site_class.disclaimer}"


def name_pack(*of: str) -> str:
    """Name a pack after what it holds and whom it is for, as KP-1A2B3C4D."""
    digest = hashlib.sha256("\n".join(of).encode("utf-8")).digest()
    number = int.from_bytes(digest[:5], "big")
    digits = [BASE32[number >> 5 * place & 31] for place in reversed(range(PACK_ID_DIGITS))]
    return f"KP-{''.join(digits)}"
