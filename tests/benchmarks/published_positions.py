"""Hotspots of published kiln positions over five Indian states: the figures of docs/hotspots.md.

    python -m tests.benchmarks.published_positions ../shared/data OUT [PICTURE.png]

writes the lists, the states and their districts into OUT, maps both lists with the command, and
draws the hotspots of the list under CC BY 4.0. Only that list's positions and Natural Earth (public
domain) are drawn: the districts' file states no licence, so their borders are not.

    python -m tests.benchmarks.published_positions --beside RUN OUT

sets a finished survey beside the positions of both lists in its own region.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import geopandas as gpd
import matplotlib as mpl
import pandas as pd
import shapely
from scipy.stats import spearmanr

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patheffects import withStroke

STATES = ("Bihar", "Haryana", "Punjab", "Uttar Pradesh", "West Bengal")
OPEN_LIST = "BrickKilnsNeurIPS24/"  # CC BY 4.0
OTHER_LIST = "UNDP-India-GeoAI"  # states no licence
CREDIT = (
    "Positions: BrickKilnsNeurIPS24, CC BY 4.0, taken as if whole and all ground searched. "
    "Borders and towns: Natural Earth.\nWorksites, labour conditions not assessed."
)
COLOURS = {"hot_99": "#7f0000", "hot_95": "#ef6548", "hot_90": "#fdbb84"}
WORDS = {"hot_99": "Hotspot, 99 %", "hot_95": "Hotspot, 95 %", "hot_90": "Hotspot, 90 %"}
LARGE_TOWN = 1_300_000  # people; more names would cover the map


def prepare(data: Path, out: Path) -> None:
    """Write both lists, one of both together, the five states and their districts."""
    out.mkdir(parents=True, exist_ok=True)
    points = pd.read_csv(data / "locations/kiln_points.csv.gz")
    ours = points[points["source"].str.startswith(OPEN_LIST)]
    other = points[points["source"] == OTHER_LIST]
    for name, rows in (("open", ours), ("other", other), ("both", pd.concat([ours, other]))):
        rows[["lat", "lon"]].to_csv(out / f"{name}.csv", index=False)
    districts = gpd.read_file(data / "boundaries/india_districts.geojson")
    named = districts[districts["st_nm"].isin(STATES) & districts["district"].notna()]
    named[["district", "st_nm", "geometry"]].to_file(out / "districts.geojson")
    named.dissolve("st_nm")[["geometry"]].to_file(out / "states.geojson")


def map_lists(data: Path, out: Path) -> None:
    """Run the command on each list, and say how long it took."""
    places = data / "boundaries/ne_50m_populated_places_simple.json"
    for name, more in (("open", ["--against", out / "other.csv"]), ("other", []), ("both", [])):
        started = time.perf_counter()
        kilnlight(
            *("hotspots", out / f"{name}.csv", "--region", out / "states.geojson"),
            *("--districts", out / "districts.geojson", "--places", places),
            *("--name", "five Indian states", "--out", out / name, *more),
        )
        print(f"{name}: {time.perf_counter() - started:.0f} s")


def compare(out: Path) -> str:
    """Say how far the hot cells of the two lists are the same."""
    hot = [
        set(cells.loc[cells["cluster_id"].notna(), "cell_id"])
        for cells in (
            gpd.read_parquet(out / name / "hotspots.parquet") for name in ("open", "other")
        )
    ]
    return f"hot cells: {len(hot[0])} and {len(hot[1])}, of which {len(hot[0] & hot[1])} in both"


def draw(data: Path, out: Path, picture: Path) -> None:
    """Draw the hotspots of the open list."""
    cells = gpd.read_parquet(out / "open/hotspots.parquet")
    clusters = gpd.read_parquet(out / "open/clusters.parquet")
    figure, axes = plt.subplots(figsize=(10, 6.4), layout="constrained")
    west, south, east, north = cells[cells["n_sites"] > 0].total_bounds
    view = shapely.box(west - 0.4, south - 0.4, east + 0.4, north + 0.4)
    countries = gpd.read_file(data / "boundaries/world_110m_countries.geojson")
    countries.boundary.clip(view).plot(ax=axes, color="#9aa5ad", linewidth=0.7)
    cells[(cells["n_sites"] > 0) & cells["cluster_id"].isna()].plot(ax=axes, color="#dfe4e6")
    for name, colour in COLOURS.items():
        cells[cells["hotspot_class"] == name].plot(ax=axes, color=colour, label=name)
    steady = cells[cells["cluster_id"].notna() & (cells["stability"] < 0.5)]
    steady.plot(ax=axes, facecolor="none", edgecolor="white", hatch="////", linewidth=0)
    towns = gpd.read_file(data / "boundaries/ne_50m_populated_places_simple.json").clip(view)
    for town in towns[towns["pop_max"] > LARGE_TOWN].itertuples():
        axes.plot(town.geometry.x, town.geometry.y, "o", color="#101820", markersize=2)
        name = axes.annotate(
            town.name, town.geometry.coords[0], (3, 2), textcoords="offset points", size=7
        )
        name.set_path_effects([withStroke(linewidth=2, foreground="white")])
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS.values()]
    handles += [
        plt.Rectangle((0, 0), 1, 1, facecolor="#7f0000", edgecolor="white", hatch="////"),
        plt.Rectangle((0, 0), 1, 1, color="#dfe4e6"),
    ]
    labels = [*WORDS.values(), "hot on under half of the other grids", "kilns, no hotspot"]
    axes.legend(handles, labels, loc="upper right", fontsize=8, frameon=False)
    axes.set_title(
        f"Where published brick kilns are denser than chance: {len(clusters)} clusters, 5 km cells",
        fontsize=11,
    )
    axes.set_aspect(1.12)  # a degree north over a degree east at 27 degrees
    axes.set_axis_off()
    figure.supxlabel(CREDIT, fontsize=6.5, color="#37474f", x=0.01, ha="left")
    figure.savefig(picture, dpi=120, metadata={"Software": None})


def beside(run: Path, out: Path) -> str:
    """Map both lists in a survey's region, and say how far cells and districts are alike."""
    manifest = json.loads((run / "manifest.json").read_text())
    region = shapely.from_wkb(bytes.fromhex(manifest["survey"]["region"]["wkb"]))
    gpd.GeoDataFrame(geometry=[region], crs=4326).to_file(out / "region.geojson")
    kilnlight(
        *(
            "hotspots",
            out / "both.csv",
            "--region",
            out / "region.geojson",
            "--out",
            out / "beside",
        ),
        *("--districts", out / "districts.geojson", "--name", "the survey's region"),
    )
    ours, listed = (
        gpd.read_parquet(folder / "hotspots.parquet").set_index("cell_id")
        for folder in (run, out / "beside")
    )
    listed = listed.reindex(ours.index)
    hot = [cells["cluster_id"].notna() for cells in (ours, listed)]
    rho = spearmanr(ours["rate_per_1000km2"], listed["n_sites"], nan_policy="omit").statistic
    lines = [
        f"{ours['n_sites'].sum():,} sites found, {listed['n_sites'].sum():,.0f} listed",
        f"rank correlation of cells {rho:.2f}; hot cells {hot[0].sum()} and {hot[1].sum()}, "
        f"{(hot[0] & hot[1]).sum()} in both",
    ]
    if (run / "districts.parquet").exists():
        columns = ["n_sites", "expected_sites", "expected_low", "expected_high"]
        figures = gpd.read_parquet(run / "districts.parquet").set_index("district")[columns]
        theirs = gpd.read_parquet(out / "beside/districts.parquet").set_index("district")
        lines.append(figures.assign(listed=theirs["n_sites"]).round().to_string())
    return "\n".join(lines)


def kilnlight(*arguments: object) -> None:
    """Run the command that is installed beside this Python."""
    command = Path(sys.executable).with_name("kilnlight")
    subprocess.run([command, *map(str, arguments)], check=True)


def main() -> None:
    """Do all of it."""
    if sys.argv[1] == "--beside":
        print(beside(Path(sys.argv[2]), Path(sys.argv[3])))
        return
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    prepare(data, out)
    map_lists(data, out)
    print(compare(out))
    if len(sys.argv) > 3:
        draw(data, out, Path(sys.argv[3]))


if __name__ == "__main__":
    main()
