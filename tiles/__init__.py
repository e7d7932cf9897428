"""Imagery to blocks of pixels, the equal-area grid of cells, and coverage: the bottom layer."""

import os

# GDAL itself asks no server, whatever a VRT or a file in disguise tells it to: what comes over a
# network comes through `tiles.web`, from where the user said. It must stand before GDAL starts.
GDAL_WITHOUT_NETWORK = {
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",  # of /vsicurl and all that is built on it
    "GDAL_SKIP": "DAAS EEDA EEDAI HTTP PLMOSAIC STACIT STACTA WCS WMS WMTS",  # web services
}
for _name, _value in GDAL_WITHOUT_NETWORK.items():
    os.environ.setdefault(_name, _value)
