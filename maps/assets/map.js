// What folium does not have: one shared GeoJSON for all themes, patterns, degrees, plain-word popups.
var kilnlight = (function () {
  "use strict";
  var LINES_PANE = "lines"; // above the areas, deaf to the pointer
  var GRID_STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 45];
  var GRID_GAP_PX = 110; // lines closer than this crowd their labels

  function data(id) {
    return JSON.parse(document.getElementById(id).textContent);
  }

  function linesPane(map) {
    if (!map.getPane(LINES_PANE)) {
      var pane = map.createPane(LINES_PANE);
      pane.style.zIndex = 450;
      pane.style.pointerEvents = "none";
    }
    return LINES_PANE;
  }

  function hatch(pen, ink) {
    pen.strokeStyle = ink;
    pen.lineWidth = 1.2;
    pen.beginPath();
    [-8, 0, 8].forEach(function (x) { pen.moveTo(x, 8); pen.lineTo(x + 8, 0); });
    pen.stroke();
  }

  // Leaflet hands fillColor to the canvas as it is, and a canvas takes a pattern for a colour.
  function paint(line) {
    if (line.pattern === "plain") return line.fill;
    var tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    var pen = tile.getContext("2d");
    if (line.fill) {
      pen.fillStyle = line.fill;
      pen.fillRect(0, 0, 8, 8);
    }
    if (line.pattern === "dots") {
      pen.fillStyle = line.ink;
      pen.beginPath();
      pen.arc(4, 4, 1.3, 0, 7);
      pen.fill();
    } else {
      hatch(pen, line.ink);
    }
    return pen.createPattern(tile, "repeat");
  }

  function element(tag, text, className) {
    var made = document.createElement(tag);
    if (text) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  function card(properties) {
    var box = element("div", "", "card");
    box.appendChild(element("h3", properties.title));
    var list = box.appendChild(element("dl"));
    properties.rows.forEach(function (row) {
      list.appendChild(element("dt", row[0]));
      list.appendChild(element("dd", row[1]));
    });
    return box;
  }

  function polygons(theme) {
    var paints = theme.classes.map(paint);
    var at = {};
    var layer = L.geoJSON(data("groups"), {
      style: function (feature) {
        return {
          fillColor: paints[theme.groups[feature.properties.at]],
          fillOpacity: 1, color: "#5b6470", weight: 0.7, opacity: 1
        };
      },
      onEachFeature: function (feature, area) {
        var line = theme.classes[theme.groups[feature.properties.at]];
        area.bindTooltip(function () { return element("span", line.label); }, {sticky: true});
        area.bindPopup(function () { return card(feature.properties); }, {maxWidth: 230, autoPanPaddingTopLeft: [56, 8]});
        area.on("mouseover", function () { area.setStyle({color: "#101820", weight: 2.5}); area.bringToFront(); });
        area.on("mouseout", function () { layer.resetStyle(area); });
      }
    });
    return layer;
  }

  function showLegend(key) {
    document.querySelectorAll("[data-theme]").forEach(function (legend) {
      legend.hidden = legend.dataset.theme !== key;
    });
  }

  function themeLayer(theme) {
    var holder = L.layerGroup();
    holder.on("add", function () {
      if (!holder.getLayers().length) holder.addLayer(polygons(theme));
      showLegend(theme.key);
    });
    return holder;
  }

  function outline(map) {
    var renderer = L.svg({pane: linesPane(map), padding: 0.5});
    return L.geoJSON(data("region"), {
      pane: linesPane(map), interactive: false,
      style: {fill: false, color: "#101820", weight: 2, dashArray: "6 4", renderer: renderer}
    });
  }

  function gaps(map) {
    var fill = paint({pattern: "hatch", ink: "#37474f"});
    var renderer = L.canvas({pane: linesPane(map), padding: 0.5});
    return L.geoJSON(data("gaps"), {
      pane: linesPane(map), interactive: false,
      style: {fillColor: fill, fillOpacity: 1, color: "#37474f", weight: 1, renderer: renderer}
    });
  }

  function degrees(value, step, positive, negative) {
    var digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    return Math.abs(value).toFixed(digits) + "° " + (value < 0 ? negative : positive);
  }

  function gridStep(span, pixels) {
    var wanted = span / Math.max(pixels / GRID_GAP_PX, 1);
    return GRID_STEPS.find(function (step) { return step >= wanted; }) || 45;
  }

  function ticks(from, to, step) {
    var found = [];
    for (var n = Math.ceil(from / step); n * step <= to; n++) found.push(n * step);
    return found;
  }

  function gridLabel(map, point, text, className) {
    return L.marker(map.containerPointToLatLng(point), {
      pane: linesPane(map), interactive: false, keyboard: false,
      icon: L.divIcon({className: "degrees " + className, html: element("span", text), iconSize: [0, 0]})
    });
  }

  function graticule(map) {
    var renderer = L.svg({pane: linesPane(map), padding: 0.5});
    var group = L.layerGroup();
    function line(points) {
      return L.polyline(points, {pane: LINES_PANE, renderer: renderer, interactive: false,
        color: "#37474f", weight: 0.8, opacity: 0.55});
    }
    function draw() {
      var view = map.getBounds(), size = map.getSize();
      var step = Math.max(gridStep(view.getEast() - view.getWest(), size.x),
        gridStep(view.getNorth() - view.getSouth(), size.y));
      group.clearLayers();
      ticks(view.getWest(), view.getEast(), step).forEach(function (lon) {
        group.addLayer(line([[view.getSouth(), lon], [view.getNorth(), lon]]));
        var x = map.latLngToContainerPoint([view.getNorth(), lon]).x;
        if (x > 70 && x < size.x - 40) group.addLayer(gridLabel(map, [x, 4], degrees(lon, step, "E", "W"), "top"));
      });
      ticks(view.getSouth(), view.getNorth(), step).forEach(function (lat) {
        group.addLayer(line([[lat, view.getWest()], [lat, view.getEast()]]));
        var y = map.latLngToContainerPoint([lat, view.getWest()]).y;
        if (y > 30 && y < size.y - 20) group.addLayer(gridLabel(map, [size.x - 4, y], degrees(lat, step, "N", "S"), "side"));
      });
    }
    group.on("add", function () { map.on("moveend resize", draw); map.whenReady(draw); });
    group.on("remove", function () { map.off("moveend resize", draw); });
    return group;
  }

  function finish(map, control) {
    var bounds = L.geoJSON(data("groups")).getBounds();
    document.getElementById("layers").appendChild(control.getContainer());
    map.fitBounds(bounds, {padding: [14, 14]});
    map.setMinZoom(map.getZoom() - 2);
    map.setMaxBounds(bounds.pad(1.5));
  }

  return {themeLayer: themeLayer, outline: outline, graticule: graticule, gaps: gaps, finish: finish};
})();
