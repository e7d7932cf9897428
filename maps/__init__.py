"""Tables to hotspots, ranked sites, pages and lists; sees no raw report and no torch."""
