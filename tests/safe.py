"""Made-up Sentinel-2 products as ESA packs them: `.SAFE` folders of JPEG 2000 files."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from affine import Affine

from tests.made_up import UTM_44N, UTM_ORIGIN, write_raster

PRODUCT = "S2B_MSIL2A_20260115T053139_N0511_R105_T43RGM_20260115T081552"
METADATA = """<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-2A_User_Product xmlns:n1="https://psd-15.sentinel2.eo.esa.int/PSD/made_up.xsd">
 <n1:General_Info>
  <Product_Info>
   <PRODUCT_START_TIME>2026-01-15T05:31:39.024Z</PRODUCT_START_TIME>
   <PROCESSING_BASELINE>05.11</PROCESSING_BASELINE>
   <Datatake><SPACECRAFT_NAME>Sentinel-2B</SPACECRAFT_NAME></Datatake>
  </Product_Info>
  <Offsets>
   <{offset} band_id="1">-1000</{offset}>
   <{offset} band_id="2">-1000</{offset}>
   <{offset} band_id="3">-1000</{offset}>
  </Offsets>
 </n1:General_Info>
 <n1:Quality_Indicators_Info>
  <Cloud_Coverage_Assessment>12.5</Cloud_Coverage_Assessment>
 </n1:Quality_Indicators_Info>
</n1:Level-2A_User_Product>
"""
LOSSLESS = {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES"}
VEGETATION = 4  # class of the scene classification that is clear ground


def write_safe(
    folder: Path,
    pixels: npt.NDArray[np.uint16],
    level: str = "2A",
    crs: str = UTM_44N,
    transform: Affine = UTM_ORIGIN,
) -> Path:
    """Write red, green, blue (band, y, x) and a classification of clear ground as a product."""
    name = PRODUCT.replace("L2A", f"L{level}")
    safe = folder / f"{name}.SAFE"
    images = safe / "GRANULE" / f"L{level}_T43RGM_A000001" / "IMG_DATA"
    fine, coarse = (images / "R10m", images / "R20m") if level == "2A" else (images, images)
    for path in {fine, coarse, safe / "GRANULE" / "x" / "QI_DATA"}:
        path.mkdir(parents=True)
    ending = "_10m" if level == "2A" else ""
    for band, values in zip(("B04", "B03", "B02"), pixels, strict=True):
        path = fine / f"T43RGM_20260115T053139_{band}{ending}.jp2"
        write_raster(path, values[None], crs, transform, **LOSSLESS)
    if level == "2A":
        classes = np.full((1, pixels.shape[1] // 2, pixels.shape[2] // 2), VEGETATION, np.uint8)
        path = coarse / "T43RGM_20260115T053139_SCL_20m.jp2"
        write_raster(path, classes, crs, transform @ Affine.scale(2), **LOSSLESS)
    offset = "BOA_ADD_OFFSET" if level == "2A" else "RADIO_ADD_OFFSET"
    (safe / f"MTD_MSIL{level}.xml").write_text(METADATA.format(offset=offset))
    return safe
