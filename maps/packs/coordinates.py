"""Where a place is, written the ways people pass it on: degrees, plus code, QR, nearest place."""

from dataclasses import dataclass

import numpy as np
from pyproj import Geod

from maps.boundaries import Places

# Open Location Code, specification 1.0: twenty digits that spell no word, pairs of digits that
# each divide a cell of degrees by 20, and a plus after the eighth.
PLUS_DIGITS = "23456789CFGHJMPQRVWX"
PLUS_PER_DEGREE = 8000  # the tenth digit is 1/8000 degree: 14 m, within which a kiln is found
PLUS_AT = 8
POINTS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")  # keys of the catalogue's compass points


@dataclass(frozen=True)
class Bearing:
    """Where a place lies as seen from a named one: 4.2 km to the north-east of it."""

    name: str
    point: str  # one of POINTS
    distance_km: float


def decimal_degrees(lon: float, lat: float) -> str:
    """Return latitude, longitude as map searches take them, to a metre."""
    return f"{lat:.5f}, {lon:.5f}"


def degrees_minutes_seconds(lon: float, lat: float) -> str:
    """Return degrees, minutes and seconds to a tenth of a second (3 m), latitude first."""
    return f"{_sexagesimal(lat, 'NS')} {_sexagesimal(lon, 'EW')}"


def _sexagesimal(degrees: float, sides: str) -> str:
    tenths = round(abs(degrees) * 36_000)  # whole tenths of a second: 59.96" never shows as 60.0"
    minutes, tenths = divmod(tenths, 600)
    whole, minutes = divmod(minutes, 60)
    side = sides[0] if degrees >= 0 else sides[1]
    return f"{whole}°{minutes:02d}'{tenths / 10:04.1f}\"{side}"


def plus_code(lon: float, lat: float) -> str:
    """Return the ten-digit plus code (Open Location Code) of the 14 m cell that holds a place."""
    # rounded first: 0.1 + 0.2 must not fall into the cell below
    row = int(np.floor(round((lat + 90) * PLUS_PER_DEGREE, 6)))
    row = min(max(row, 0), 180 * PLUS_PER_DEGREE - 1)
    col = int(np.floor(round((lon + 180) * PLUS_PER_DEGREE, 6))) % (360 * PLUS_PER_DEGREE)
    digits = ""
    for _ in range(5):
        row, down = divmod(row, 20)
        col, across = divmod(col, 20)
        digits = PLUS_DIGITS[down] + PLUS_DIGITS[across] + digits
    return f"{digits[:PLUS_AT]}+{digits[PLUS_AT:]}"


def geo_uri(lon: float, lat: float) -> str:
    """Return a geo: URI (RFC 5870), which phones open in whatever map they have."""
    return f"geo:{lat:.5f},{lon:.5f}"


def nearest(lon: float, lat: float, places: Places | None) -> Bearing | None:
    """Return the place seen from the nearest named one; None where no places were given."""
    if places is None:
        return None
    count = len(places.names)
    forward, _, metres = Geod(ellps="WGS84").inv(
        places.lon, places.lat, np.full(count, lon), np.full(count, lat)
    )
    first = int(np.argmin(metres))
    point = POINTS[int(np.floor((forward[first] % 360) / 45 + 0.5)) % 8]
    return Bearing(places.names[first], point, float(metres[first]) / 1000)
