// What the reader does: layers, period, search, areas, languages, links, print.
(function (K) {
  "use strict";
  var map, survey, base, parts, moved = false;
  var state = {theme: "", patterns: true, area: -1};
  var CARD_WIDTH = 250;
  K.state = state;

  function at(id) { return document.getElementById(id); }

  function tell(text) { at("told").textContent = text; }

  // Layers

  function showTheme(key) {
    if (!survey.theme(key)) return;
    state.theme = key;
    document.querySelectorAll("input[name=theme]").forEach(function (radio) {
      radio.checked = radio.value === key;
    });
    K.showLegend(survey, state.theme);
    parts.cells.redraw();
    remember();
  }

  function showPeriod(n) {
    survey.period = n;
    var text = K.span(survey.block.periods[n].period), slider = at("period");
    if (slider) {
      slider.value = n;
      slider.setAttribute("aria-valuetext", text);
      at("period-text").textContent = text;
    }
    ["cells", "gaps", "outline"].forEach(function (name) { parts[name].redraw(); });
    if (state.area >= 0) openArea(state.area, false);
    remember();
  }

  // Areas and sites

  function card(title, rows, link) {
    var came = document.activeElement, box = K.element("div", "", "card");
    box.dir = K.meta().direction;
    box.tabIndex = -1;
    box.appendChild(K.element("h3", title));
    var list = box.appendChild(K.element("dl"));
    rows.forEach(function (row) {
      list.appendChild(K.element("dt", row[0]));
      list.appendChild(K.element("dd", row[1]));
    });
    // Leaflet closes a card by Escape only while the map itself has the focus.
    box.addEventListener("keydown", function (event) {
      if (event.key !== "Escape") return;
      map.closePopup();
      (came && came.isConnected ? came : map.getContainer()).focus();
    });
    if (link) {
      var way = box.appendChild(K.element("a", K.say("map.in_table")));
      way.href = link;
    }
    return box;
  }

  function openCard(latlng, content) {
    var popup = L.popup({
      maxWidth: CARD_WIDTH, minWidth: 190, maxHeight: Math.max(160, map.getSize().y - 90),
      autoPanPaddingTopLeft: [54, 12], autoPanPaddingBottomRight: [12, 12]
    }).setLatLng(latlng).setContent(content).openOn(map);
    var close = popup.getElement().querySelector(".leaflet-popup-close-button");
    close.setAttribute("aria-label", K.say("map.close"));
    return popup;
  }

  function centre(group) {
    var box = survey.extent(group), cells = survey.cells, best = null, least = Infinity;
    var x = (box[0] + box[2]) / 2, y = (box[1] + box[3]) / 2;
    for (var n = 0; n < cells.count; n++) {
      if (cells.group[n] !== group) continue;
      var col = Math.min(Math.max(x, cells.col[n] + 0.5), cells.col[n] + cells.length[n] - 0.5);
      var away = Math.hypot(col - x, cells.row[n] + 0.5 - y);
      if (away < least) { least = away; best = latLngOf(col, cells.row[n] + 0.5); }
    }
    return best;
  }

  function latLngOf(col, row) {
    var size = 5000, place = K.toDegrees(-17367530.45 + col * size, 7314540.83 - row * size);
    return L.latLng(place.lat, place.lon + (survey.edges.wide && col <= 3473 ? 360 : 0));
  }

  function tableLink(group) {
    var own = document.body.dataset.language, file = K.code === own ? "" : "." + K.code;
    return "table" + file + ".html#area-" + group;
  }

  function openArea(group, focus, latlng) {
    var content = card(survey.title(group), survey.rows(group), tableLink(group));
    openCard(latlng || centre(group), content);
    state.area = group; // after the card before this one was closed, which forgets its area
    parts.chosen.redraw();
    if (focus) content.focus({preventScroll: true});
    remember();
  }

  function goToArea(group, focus) {
    var box = survey.extent(group);
    var ground = L.latLngBounds(latLngOf(box[0], box[3]), latLngOf(box[2], box[1]));
    map.fitBounds(ground.pad(1.5), {animate: false, maxZoom: map.options.closest});
    openArea(group, focus);
    tell(K.say("map.went", {name: survey.title(group)}));
  }

  function siteRows(n) {
    var kind = survey.sites.block.kinds[survey.sites.block.kind[n]];
    var rows = [[K.say("map.p_site"), K.share(survey.sites.p[n])]];
    return kind === "unknown" ? rows : rows.concat([[K.say("map.kind"), kind]]);
  }

  function openSite(n, focus) {
    var world = {x: survey.sites.x[n], y: survey.sites.y[n]};
    var latlng = map.unproject(L.point(world.x, world.y).multiplyBy(256), 0);
    var content = card(K.say("map.site", {id: survey.sites.id(n)}), siteRows(n));
    openCard(latlng, content);
    if (focus) content.focus({preventScroll: true});
    return latlng;
  }

  function goToSite(id, focus) {
    for (var n = 0; survey.sites && n < survey.sites.count; n++) {
      if (survey.sites.id(n) !== id) continue;
      toggle("sites", true);
      map.setView(openSite(n, false), Math.max(map.getZoom(), 12), {animate: false});
      openSite(n, focus);
      tell(K.say("map.went", {name: id}));
      return;
    }
  }

  function click(event) {
    var hit = parts.sites && parts.sites.under(event.layerPoint);
    if (hit && hit.bin) {
      var place = map.unproject(L.point(hit.bin.x, hit.bin.y).multiplyBy(256), 0);
      return map.setView(place, map.getZoom() + 2);
    }
    if (hit) return openSite(hit.site, false);
    var group = survey.groupOn(event.latlng);
    if (group >= 0) openArea(group, false, event.latlng);
  }

  function hover() {
    var tip = L.tooltip({sticky: true, offset: [12, 0]}), last = -2;
    map.on("mousemove", function (event) {
      var group = survey.groupOn(event.latlng), classes = survey.classesOf(state.theme);
      if (group < 0 || !classes) {
        last = -2;
        return map.closeTooltip(tip);
      }
      tip.setLatLng(event.latlng);
      if (group !== last) {
        var line = survey.theme(state.theme).classes[classes.charCodeAt(group) - 48];
        tip.setContent(K.element("span", K.say(line.key, line.values)));
        last = group;
      }
      map.openTooltip(tip);
    });
    map.on("mouseout", function () { map.closeTooltip(tip); });
  }

  // Also shown

  function toggle(name, on) {
    var box = at("show-" + name), part = name === "names" ? parts.base.over : parts[name];
    if (box) box.checked = on;
    if (name === "patterns") {
      state.patterns = on;
      parts.cells.redraw();
    } else if (name === "tiles") {
      askForTiles(on);
    } else if (on) {
      part.addTo(map);
    } else {
      part.remove();
    }
    document.body.classList.toggle("see-through", ["picture", "tiles"].some(function (name) {
      return parts[name] && map.hasLayer(parts[name]);
    }));
  }

  // Nothing is asked of another host before the reader has said yes.
  function askForTiles(on) {
    at("tiles-consent").hidden = !on;
    if (!on && parts.tiles) parts.tiles.remove();
  }

  function loadTiles() {
    var holder = at("tiles-consent");
    parts.tiles = parts.tiles || L.tileLayer(holder.dataset.address, {
      attribution: holder.dataset.credit, maxZoom: 18, referrerPolicy: "no-referrer"
    });
    parts.tiles.addTo(map);
    at("tiles-credit").hidden = false;
    holder.hidden = true;
    document.body.classList.add("see-through");
  }

  // What can be found, and the way there

  function things() {
    var found = [];
    [["district", base.district_names], ["place", base.place_names]].forEach(function (list) {
      list[1].names.forEach(function (name, n) {
        found.push({kind: list[0], name: K.nameOf(name), block: list[1], n: n});
      });
    });
    survey.block.group_ids.forEach(function (_, n) {
      found.push({kind: "area_kind", name: survey.title(n), n: n});
    });
    return found;
  }

  function goTo(thing) {
    if (thing.kind === "area_kind") return goToArea(thing.n, true);
    var reach = Math.max(thing.block.reach[thing.n], 5) / 100;
    var lon = thing.block.lon[thing.n] / 100, lat = thing.block.lat[thing.n] / 100;
    if (survey.edges.wide && lon < 0) lon += 360;
    map.fitBounds([[lat - reach, lon - reach], [lat + reach, lon + reach]], {animate: false});
    tell(K.say("map.went", {name: thing.name}));
  }

  // The link that holds the view

  function hash() {
    var middle = map.getCenter(), words = [
      "v=" + [map.getZoom().toFixed(2), middle.lat.toFixed(2), middle.lng.toFixed(2)].join("/"),
      "layer=" + state.theme
    ];
    if (survey.block.periods.length > 1) words.push("period=" + survey.block.periods[survey.period].period);
    if (state.area >= 0) words.push("area=" + state.area);
    words.push("lang=" + K.code);
    return "#" + words.join("&");
  }

  function remember() {
    if (!moved) return;
    try {
      history.replaceState(null, "", hash());
    } catch (refused) {
      location.replace(hash());
    }
  }

  function wanted() {
    var found = {};
    location.hash.slice(1).split("&").forEach(function (word) {
      var ends = word.split("=");
      try {
        if (ends.length === 2) found[ends[0]] = decodeURIComponent(ends[1]);
      } catch (broken) {
        return; // half a letter: somebody cut the link
      }
    });
    return found;
  }

  function areaCalled(text) {
    var n = survey.block.group_ids.indexOf(text);
    return n >= 0 ? n : /^\d+$/.test(text) && +text < survey.block.group_ids.length ? +text : -1;
  }

  function follow() {
    var ask = wanted(), view = (ask.v || "").split("/").map(Number);
    if (K.knows(ask.lang) && ask.lang !== K.code) speak(ask.lang);
    if (ask.layer) showTheme(ask.layer);
    survey.block.periods.forEach(function (period, n) {
      if (period.period === ask.period) showPeriod(n);
    });
    if (ask.site) goToSite(ask.site, true);
    var seen = view.length === 3 && view.every(isFinite) && Math.abs(view[1]) < 86;
    if (seen) map.setView([view[1], view[2]], view[0], {animate: false});
    var area = ask.area === undefined ? -1 : areaCalled(ask.area);
    if (area >= 0) (seen ? openArea : goToArea)(area, true);
  }

  function share() {
    var link = location.href.split("#")[0] + hash();
    function fallBack() {
      moved = true;
      remember();
      tell(K.say("map.link_here"));
    }
    if (!navigator.clipboard) return fallBack();
    navigator.clipboard.writeText(link).then(function () { tell(K.say("map.copied")); }, fallBack);
  }

  // Language

  function speak(code) {
    K.code = code;
    K.sayPage();
    var own = document.body.dataset.language;
    document.querySelectorAll("[data-page]").forEach(function (link) {
      link.href = link.dataset.page + (code === own ? "" : "." + code) + ".html";
    });
    document.querySelectorAll("[data-language-link]").forEach(function (link) {
      if (link.dataset.languageLink === code) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
    at("not-reviewed").hidden = K.meta().reviewed_by !== "";
    at("map_survey").setAttribute("aria-label", K.say("map.name"));
    at("search").placeholder = K.say("map.search");
    [["in", "zoom_in"], ["out", "zoom_out"]].forEach(function (way) {
      var button = document.querySelector(".leaflet-control-zoom-" + way[0]);
      button.title = K.say("map." + way[1]);
      button.setAttribute("aria-label", button.title);
    });
    K.showLegend(survey, state.theme);
    showPeriod(survey.period);
    [parts.base.over, parts.graticule, parts.sites].forEach(function (part) {
      if (part) part.redraw();
    });
  }

  function listen() {
    document.querySelectorAll("input[name=theme]").forEach(function (radio) {
      radio.addEventListener("change", function () { showTheme(radio.value); });
    });
    document.querySelectorAll("input[data-shows]").forEach(function (box) {
      box.addEventListener("change", function () { toggle(box.dataset.shows, box.checked); });
    });
    if (at("period")) at("period").addEventListener("input", function () { showPeriod(+this.value); });
    if (at("tiles-yes")) at("tiles-yes").addEventListener("click", loadTiles);
    at("share").addEventListener("click", share);
    window.addEventListener("hashchange", follow);
    map.on("click", click);
    map.on("moveend", remember);
    map.on("popupclose", function () {
      state.area = -1;
      parts.chosen.redraw();
      remember();
    });
    K.search(things, goTo, tell);
    hover();
    K.print(map);
  }

  // No sliding and fading for readers who asked their system for less motion.
  K.motion = function (options) {
    if (!window.matchMedia("(prefers-reduced-motion: reduce)").matches) return options;
    return Object.assign(options, {zoomAnimation: false, fadeAnimation: false, markerZoomAnimation: false, inertia: false});
  };

  function wholeView() {
    var cells = survey.cells, bounds = L.latLngBounds([]);
    for (var n = 0; n < cells.count; n++) {
      bounds.extend(latLngOf(cells.col[n], cells.row[n]));
      bounds.extend(latLngOf(cells.col[n] + cells.length[n], cells.row[n] + 1));
    }
    return bounds;
  }

  K.start = function (made, layers) {
    map = made;
    parts = layers;
    survey = K.survey;
    base = K.ground;
    state.theme = survey.block.themes[0].key;
    var bounds = wholeView();
    map.setMaxBounds(bounds.pad(1.5));
    map.fitBounds(bounds, {padding: [14, 14], animate: false});
    map.setMinZoom(Math.max(map.getZoom() - 2, 0));
    map.options.closest = 13;
    ["gaps", "outline", "graticule", "names", "sites"].forEach(function (name) {
      if (at("show-" + name)) toggle(name, true);
    });
    speak(K.code);
    listen();
    follow();
    moved = true;
    document.body.dataset.ready = "yes";
  };
})(kilnlight);
