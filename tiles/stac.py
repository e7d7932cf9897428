"""A STAC catalogue asked for items: an API, a static catalogue, one item, or a list of them."""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pystac
import pystac_client
import requests
import shapely
from pystac.stac_io import DefaultStacIO
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO

from tiles.access import is_url
from tiles.errors import AccessError, SceneError
from tiles.files import write_text
from tiles.search import PREFIX, Query
from tiles.web import WebClient

PAGE_ITEMS = 100  # what public APIs give at once without complaint
NAMES_SHOWN = 12  # of a long list of collections in a message

Item = dict[str, Any]
JSON_ERRORS = (json.JSONDecodeError, UnicodeDecodeError)


@dataclass(frozen=True)
class CatalogueName:
    """`stac:URL#COLLECTION`, taken apart."""

    href: str
    collection: str | None

    @classmethod
    def parse(cls, source: str) -> "CatalogueName":
        """Read a source; the collection is what stands behind `#`."""
        href, _, collection = source.removeprefix(PREFIX).partition("#")
        return cls(href, collection or None)


def is_catalogue(source: str) -> bool:
    """Say whether an imagery source is a catalogue or items, not a raster."""
    plain = source.partition("#")[0].partition("?")[0].lower()
    return source.startswith(PREFIX) or plain.endswith((".json", ".geojson"))


def find_items(source: str, query: Query) -> list[Item]:
    """The items of a catalogue that a query wants, by their ids, with absolute addresses.

    What a server answered is kept beside the imagery, so that the same question needs no network.

    Raises:
        SceneError: nothing there, no such collection, or no item that is wanted.
        AccessError: the server gives no answer, or not in time.
    """
    name = CatalogueName.parse(source)
    if not is_url(name.href):
        found = _items_of_document(_LimitedIO(query), name, query)
    else:
        found = _answer(name, query)
    wanted = {str(item["id"]): item for item in found if query.wants(item)}
    if not wanted:
        raise SceneError(_nothing(source, found, query))
    return [wanted[item_id] for item_id in sorted(wanted)]


def _answer(name: CatalogueName, query: Query) -> list[Item]:
    """What a server answers, or has answered before where that is kept."""
    kept = _kept_answer(name, query)
    if query.access.offline or not query.access.refresh:
        known = _read_kept(kept)
        if known is not None:
            return known
    found = _items_of_document(_LimitedIO(query), name, query)
    write_text(kept, json.dumps(found) + "\n")
    return found


class _LimitedIO(StacApiIO):
    """How pystac-client asks: through our own web client, and until the time is up."""

    def __init__(self, query: Query) -> None:
        super().__init__(max_retries=None)
        self._client = WebClient(query.access)
        self._limit_s = query.search.limit_s
        self._until = time.monotonic() + self._limit_s
        self._had: dict[str, str] = {}  # pystac-client asks for a catalogue's own page repeatedly

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """Send one request of a search.

        Raises:
            AccessError: no answer, or the search takes too long.
        """
        if time.monotonic() > self._until:
            raise AccessError(
                f"the search of {href} was not over after {self._limit_s:g} s: narrow the region "
                "or the period, or raise [search] limit_s."
            )
        verb = (method or "GET").upper()
        if verb == "GET":
            url = str(requests.Request("GET", href, params=parameters or {}).prepare().url)
            if url not in self._had:
                reply = self._client.send(url, headers=headers or {})
                self._had[url] = reply.body.decode("utf-8")
            return self._had[url]
        return self._client.send(href, verb, headers or {}, parameters).body.decode("utf-8")


class _StaticIO(DefaultStacIO):
    """How pystac walks a static catalogue: through the same client and until the same time."""

    def __init__(self, limited: _LimitedIO) -> None:
        super().__init__()
        self._limited = limited

    def read_text_from_href(self, href: str) -> str:
        """Read one document of the catalogue."""
        return self._limited.request(href) if is_url(href) else super().read_text_from_href(href)


def _items_of_document(io: _LimitedIO, name: CatalogueName, query: Query) -> list[Item]:
    """All items behind an address or path, not yet filtered beyond what an API does itself."""
    document = _document(io, name.href)
    kind = document.get("type")
    if kind == "Feature":
        return [_absolute(document, name.href)]
    if kind == "FeatureCollection":
        return [_absolute(item, name.href) for item in document.get("features", [])]
    if kind not in ("Catalog", "Collection"):
        raise SceneError(
            f"{name.href} is no STAC document (its type is {kind!r}): give a catalogue, an item or "
            "a list of items."
        )
    try:
        if any(link.get("rel") == "search" for link in document.get("links", [])):
            return list(_search(io, name, query))
        return list(_walk(io, name, query))
    except (APIError, pystac.STACError, KeyError, TypeError, ValueError) as error:
        raise SceneError(
            f"{name.href} answers in a way that is no STAC ({str(error)[:200]}): check the address."
        ) from error


def _document(io: _LimitedIO, href: str) -> dict[str, Any]:
    try:
        document = json.loads(io.read_text(href))
    except OSError as error:
        raise SceneError(f"{href} cannot be read ({error.strerror}): check the path.") from error
    except JSON_ERRORS as error:
        raise SceneError(
            f"{href} is no STAC document (it is no JSON): check the address; that of a catalogue "
            "ends where its own page begins."
        ) from error
    if not isinstance(document, dict):
        raise SceneError(f"{href} is no STAC document: check the address.")
    return document


def _search(io: _LimitedIO, name: CatalogueName, query: Query) -> Iterator[Item]:
    """Ask an API for the items of a collection, page by page.

    Raises:
        SceneError: no region, no such collection, or too many items.
    """
    if query.region is None:
        raise SceneError(f"{name.href} is a whole catalogue: name the --region to look for in it.")
    client = pystac_client.Client.open(name.href, stac_io=io)
    collections = [one.id for one in client.get_collections()]
    search = client.search(
        collections=[_one_collection(name, collections)],
        bbox=shapely.bounds(query.region).tolist(),
        datetime=_interval(query),
        limit=PAGE_ITEMS,
    )
    items = (item for page in search.pages_as_dicts() for item in page["features"])
    yield from _counted((_absolute(item, name.href) for item in items), query, name)


def _walk(io: _LimitedIO, name: CatalogueName, query: Query) -> Iterator[Item]:
    """Go through a static catalogue, into what may touch the region.

    Raises:
        SceneError: no such collection, or too many items.
    """
    root = pystac.Catalog.from_file(name.href, stac_io=_StaticIO(io))
    collections = {one.id: one for one in _collections(root)}
    wanted = collections[_one_collection(name, sorted(collections))] if collections else root
    items = wanted.get_items(recursive=True)
    yield from _counted((_absolute(_as_dict(item), name.href) for item in items), query, name)


def _collections(catalog: pystac.Catalog) -> Iterator[pystac.Collection]:
    if isinstance(catalog, pystac.Collection):
        yield catalog
    for child in catalog.get_children():
        yield from _collections(child)


def _as_dict(item: pystac.Item) -> Item:
    item.make_asset_hrefs_absolute()
    found: Item = item.to_dict(transform_hrefs=False)
    return found


def _one_collection(name: CatalogueName, known: list[str]) -> str:
    """The collection that the user named, or the only one.

    Raises:
        SceneError: it is not there, or there are several and none was named.
    """
    if name.collection in known:
        return str(name.collection)
    if name.collection is None and len(known) == 1:
        return known[0]
    shown = ", ".join(sorted(known)[:NAMES_SHOWN]) + (" ..." if len(known) > NAMES_SHOWN else "")
    fault = f"has no collection {name.collection!r}" if name.collection else "has several"
    raise SceneError(
        f"{name.href} {fault}: write one of its collections behind '#' ({shown or 'it has none'})."
    )


def _interval(query: Query) -> str | None:
    """The period as pystac-client reads it: whole months, both included."""
    if query.period is None:
        return None
    return f"{query.period.first}/{query.period.last}"


def _counted(items: Iterable[Item], query: Query, name: CatalogueName) -> Iterator[Item]:
    for count, item in enumerate(items, start=1):
        if count > query.search.max_items:
            raise SceneError(
                f"{name.href} has more than {query.search.max_items} items there: narrow the "
                "region or the period, or raise [search] max_items."
            )
        yield item


def _absolute(item: Item, where: str) -> Item:
    """An item whose assets have whole addresses, whatever it was read from."""
    if not isinstance(item.get("id"), str) or not isinstance(item.get("assets"), dict):
        raise SceneError(f"{where} holds an item without id or assets: it is no STAC item.")
    links = item.get("links") or []
    own = next((link["href"] for link in links if link.get("rel") == "self"), where)
    base = own if is_url(own) or not is_url(where) else where
    assets = {key: _absolute_asset(asset, base) for key, asset in item["assets"].items()}
    return {**item, "assets": assets}


def _absolute_asset(asset: Mapping[str, Any], base: str) -> dict[str, Any]:
    href = str(asset.get("href", ""))
    if is_url(base):
        whole = href if is_url(href) else urljoin(base, href)
    else:
        path = Path(href.removeprefix("file://"))
        whole = href if is_url(href) else str((Path(base).absolute().parent / path).resolve())
    return {**asset, "href": whole}


def _kept_answer(name: CatalogueName, query: Query) -> Path:
    """Where the answer to this very question is kept."""
    region = shapely.to_wkb(query.region, hex=True) if query.region is not None else ""
    question = json.dumps([name.href, name.collection, region, str(query.period)])
    key = hashlib.sha256(question.encode()).hexdigest()[:32]
    return query.access.cache / "searches" / f"{key}.json"


def _read_kept(path: Path) -> list[Item] | None:
    try:
        found: list[Item] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, *JSON_ERRORS):
        return None
    return found


def _nothing(source: str, found: list[Item], query: Query) -> str:
    """One sentence on why no item is left."""
    period = f" in {query.period}" if query.period else ""
    if not found:
        return f"{source} holds no item there{period}: widen the region or the period."
    reasons = Counter(query.why_not(item) for item in found)
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return (
        f"{source} holds no item that is wanted{period} (of {len(found)}: {told}): widen the "
        "period, or change [search]."
    )
