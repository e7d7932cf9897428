"""The code lists of the Human Trafficking Case Data Standard v2 that a report may carry.

Lists ForcedLabourIndustry and MethodsOfControl of the Human Trafficking Case Data Standard (HTCDS)
version 2, by the International Organization for Migration (IOM), UN Migration, licensed under
CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). Only codes and labels are taken over.
"""

import re
from collections.abc import Iterable, Mapping

# The sections of ISIC Rev. 4.
INDUSTRIES: Mapping[str, str] = {
    "A_AgricultureForestryAndFishing": "Agriculture, forestry and fishing",
    "B_MiningAndQuarrying": "Mining and quarrying",
    "C_Manufacturing": "Manufacturing",
    "D_ElectricityGasSteamAndAirConditioningSupply": (
        "Electricity, gas, steam and air conditioning supply"
    ),
    "E_WaterSupplySewerageWasteManagement": (
        "Water supply; sewerage, waste management and remediation"
    ),
    "F_Construction": "Construction",
    "G_WholesaleAndRetailTradeRepairOfMotorVehicles": (
        "Wholesale and retail trade; repair of motor vehicles and motorcycles"
    ),
    "H_TransportationAndStorage": "Transportation and storage",
    "I_AccommodationAndFoodServiceActivities": "Accommodation and food service activities",
    "J_InformationAndCommunication": "Information and communication",
    "K_FinancialAndInsuranceActivities": "Financial and insurance activities",
    "L_RealEstateActivities": "Real estate activities",
    "M_ProfessionalScientificAndTechnicalActivities": (
        "Professional, scientific and technical activities"
    ),
    "N_AdministrativeAndSupportServiceActivities": "Administrative and support service activities",
    "O_PublicAdministrationAndDefence": (
        "Public administration and defence; compulsory social security"
    ),
    "P_Education": "Education",
    "Q_HumanHealthAndSocialWorkActivities": "Human health and social work activities",
    "R_ArtsEntertainmentAndRecreation": "Arts, entertainment and recreation",
    "S_OtherServiceActivities": "Other service activities",
    "T_ActivitiesOfHouseholdsAsEmployers": (
        "Activities of households as employers; undifferentiated goods- and services- producing "
        "activities of households for own use"
    ),
    "U_ActivitiesOfExtraterritorialOrganizations": (
        "Activities of extraterritorial organizations and bodies"
    ),
}
HTCDS_INDUSTRIES = tuple(INDUSTRIES)

# Signs of coercion. The official name of debt bondage ends in a blank, in the field list and in the
# XLSForm alike; it is kept, so that what is written here matches the standard letter by letter.
SIGNS: Mapping[str, str] = {
    "PhysicalThreats": "Physical threats",
    "ThreatsLawEnforcement": "Threats of law enforcement",
    "ThreatensChildrenFamily": "Threatens children/family",
    "DebtBondage ": "Debt bondage ",
    "FalsePromises": "False promises",
    "PhysicalAbuse": "Physical abuse",
    "SexualAbuse": "Sexual abuse",
    "TakesEarnings": "Takes earnings",
    "RestrictsFinancialAccess": "Restricts financial access",
    "RestrictsMedicalCare": "Restricts medical care",
    "WithholdsNecessities": "Withholds necessities",
    "PsychologicalAbuse": "Psychological abuse",
    "PsychoactiveSubstance": "Psychoactive substance",
    "ExcessiveWorkingHours": "Excessive working hours",
    "WithholdsDocuments": "Withholds documents",
    "Other": "Other",
}
BETWEEN_CHOICES = re.compile(r"[;,|\n]+")  # what spreadsheets and platforms put there
REMEMBERED = 4096  # texts of choices, which repeat; a file of nothing but new ones is no matter


class CodeBook:
    """Finds the code that a text means: a code or label of the standard, or a partner's own word.

    Case, blanks at the ends and runs of blanks make no difference.
    """

    def __init__(self, codes: Mapping[str, str], own_words: Mapping[str, str]) -> None:
        self._codes = {_plain(label): code for code, label in codes.items()}
        self._codes |= {_plain(code): code for code in codes}
        # A partner's words may name a code without the official blank, so they are looked up too.
        self._codes |= {
            _plain(word): found
            for word, code in own_words.items()
            if (found := self._codes.get(_plain(code))) is not None
        }
        self._remembered: dict[str, tuple[str, ...]] = {}

    def code(self, text: str) -> str | None:
        """Return the official code, None where the text is none."""
        return self._codes.get(_plain(text))

    def codes(self, text: str) -> tuple[str, ...]:
        """Return every code in a list of choices, sorted, each once; other words are dropped.

        Choices stand between semicolons, commas, bars or line ends, or, as KoBo and ODK write
        them, as codes between blanks.
        """
        found = self._remembered.get(text)
        if found is None:
            found = tuple(sorted(set(self._found(text))))
            if len(self._remembered) < REMEMBERED:
                self._remembered[text] = found
        return found

    def _found(self, text: str) -> Iterable[str]:
        for part in BETWEEN_CHOICES.split(text):
            code = self.code(part)
            if code is not None:
                yield code
            else:
                yield from (code for word in part.split() if (code := self.code(word)))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
