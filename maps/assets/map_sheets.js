// What Leaflet draws slowly or not at all: sheets of canvas for cells, borders, names and sites.
(function (K) {
  "use strict";
  var TILE = 8, MOST_POINTS = 5000, BIN = 56, FINEST_BORDER = 4, FINEST_PATTERN = 3;
  var GRID_STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 45], GRID_GAP = 110;
  var INK = "#14202b", FONT = '"Noto Sans", "Noto Sans Bengali", "Noto Sans Devanagari", "Noto Nastaliq Urdu", sans-serif';

  // A canvas over the view and a little more; Leaflet moves it while the map is dragged or zoomed.
  K.Sheet = L.Renderer.extend({
    initialize: function (paint, options) {
      this.paint = paint;
      L.Renderer.prototype.initialize.call(this, options);
    },
    _initContainer: function () {
      this._container = K.element("canvas");
      this._container.setAttribute("aria-hidden", "true");
      this._pen = this._container.getContext("2d");
    },
    _destroyContainer: function () {
      this._container.remove();
      delete this._container;
    },
    _update: function () {
      if (this._map._animatingZoom && this._bounds) return;
      L.Renderer.prototype._update.call(this);
      var size = this._bounds.getSize(), ratio = K.paper || (window.devicePixelRatio > 1 ? 2 : 1);
      L.DomUtil.setPosition(this._container, this._bounds.min);
      this._container.width = ratio * size.x;
      this._container.height = ratio * size.y;
      this._container.style.width = size.x + "px";
      this._container.style.height = size.y + "px";
      this._pen.scale(ratio, ratio);
      this._pen.translate(-this._bounds.min.x, -this._bounds.min.y);
      this.paint(this._pen, this._view(ratio));
    },
    // Where things of the world of 0 to 1 lie on the sheet.
    _view: function (ratio) {
      var world = 256 * Math.pow(2, this._map.getZoom()), origin = this._map.getPixelOrigin();
      return {
        map: this._map, ratio: ratio, bounds: this._bounds, world: world,
        x: function (x) { return x * world - origin.x; },
        y: function (y) { return y * world - origin.y; }
      };
    },
    redraw: function () {
      if (this._map) this._update();
    }
  });

  function inPane(map, name, level) {
    if (!map.getPane(name)) {
      var pane = map.createPane(name);
      pane.style.zIndex = level;
      pane.style.pointerEvents = "none";
    }
    return name;
  }

  // A class's fill with its pattern, as a canvas takes it.
  function paintOf(pen, line, patterns, withPattern, ratio) {
    if (!withPattern || line.pattern === "plain") return line.fill;
    var tile = document.createElement("canvas");
    tile.width = tile.height = TILE * ratio;
    var brush = tile.getContext("2d");
    brush.scale(ratio, ratio);
    if (line.fill) {
      brush.fillStyle = line.fill;
      brush.fillRect(0, 0, TILE, TILE);
    }
    brush.strokeStyle = line.ink;
    brush.lineWidth = /\.01/.test(patterns[line.pattern]) ? 2 : 1;
    brush.lineCap = "round";
    brush.stroke(new Path2D(patterns[line.pattern]));
    var paint = pen.createPattern(tile, "repeat");
    if (ratio > 1) paint.setTransform(new DOMMatrix().scale(1 / ratio));
    return paint;
  }

  function eachRun(runs, edges, view, draw) {
    var top = view.bounds.min.y, bottom = view.bounds.max.y;
    for (var n = 0; n < runs.count; n++) {
      var y0 = Math.round(view.y(edges.y(runs.row[n]))), y1 = Math.round(view.y(edges.y(runs.row[n] + 1)));
      if (y1 < top || y0 > bottom) continue;
      var x0 = view.x(edges.x(runs.col[n])), x1 = x0 + runs.length[n] * edges.width * view.world;
      draw(n, Math.round(x0), y0, Math.round(x1), y1);
    }
  }

  function trace(pen, borders, edges, view) {
    pen.beginPath();
    for (var n = 0; n < borders.length; n += 4) {
      var x1 = Math.round(view.x(edges.x(borders[n]))), y1 = Math.round(view.y(edges.y(borders[n + 1])));
      // An edge at the far east of a survey across 180 degrees is found from its own cell's side.
      var x2 = x1 + Math.round((borders[n + 2] - borders[n]) * edges.width * view.world);
      pen.moveTo(x1, y1);
      pen.lineTo(x2, Math.round(view.y(edges.y(borders[n + 3]))));
    }
    pen.stroke();
  }

  function cellPixels(survey, view) {
    return survey.edges.width * view.world;
  }

  K.cells = function (map, survey, state) {
    survey.edges.width = survey.edges.x(6000) - survey.edges.x(5999);
    var sheet = new K.Sheet(function (pen, view) {
      var theme = survey.theme(state.theme), classes = survey.classesOf(state.theme);
      if (!theme || !classes) return;
      var withPattern = state.patterns && cellPixels(survey, view) >= FINEST_PATTERN;
      var paints = theme.classes.map(function (line) {
        return paintOf(pen, line, survey.block.patterns, withPattern, view.ratio);
      });
      var last = -1;
      eachRun(survey.cells, survey.edges, view, function (n, x0, y0, x1, y1) {
        var at = classes.charCodeAt(survey.cells.group[n]) - 48;
        if (at !== last) pen.fillStyle = paints[last = at];
        pen.fillRect(x0, y0, x1 - x0, y1 - y0);
      });
      if (cellPixels(survey, view) < FINEST_BORDER) return;
      pen.strokeStyle = "#5b6470";
      pen.lineWidth = 0.7;
      trace(pen, survey.borders, survey.edges, view);
    }, {pane: inPane(map, "cells", 400), padding: 0.2});
    return sheet.addTo(map);
  };

  // The survey's own imagery; corners come in thousandths of a degree, latitude first.
  K.pictures = function (pictures) {
    return L.layerGroup(pictures.map(function (picture) {
      var ends = picture.ends.map(function (corner) { return [corner[0] / 1000, corner[1] / 1000]; });
      return L.imageOverlay(picture.address, ends, {pane: "tilePane"});
    }));
  };

  K.gaps = function (map, survey) {
    var line = {pattern: "hatch", ink: "#37474f"};
    return new K.Sheet(function (pen, view) {
      pen.fillStyle = paintOf(pen, line, survey.block.patterns, true, view.ratio);
      eachRun(survey.grounds[survey.period].gaps, survey.edges, view, function (n, x0, y0, x1, y1) {
        pen.fillRect(x0, y0, x1 - x0, y1 - y0);
      });
    }, {pane: inPane(map, "gaps", 410), padding: 0.2});
  };

  K.outline = function (map, survey) {
    return new K.Sheet(function (pen, view) {
      pen.strokeStyle = INK;
      pen.lineWidth = 2;
      pen.setLineDash([6, 4]);
      trace(pen, survey.grounds[survey.period].outline, survey.edges, view);
    }, {pane: inPane(map, "lines", 450), padding: 0.2});
  };

  K.chosen = function (map, survey, state) {
    return new K.Sheet(function (pen, view) {
      if (state.area < 0) return;
      [["#ffffff", 6], [INK, 3]].forEach(function (stroke) {
        pen.strokeStyle = stroke[0];
        pen.lineWidth = stroke[1];
        trace(pen, survey.bordersOf(state.area), survey.edges, view);
      });
    }, {pane: inPane(map, "chosen", 455), padding: 0.2}).addTo(map);
  };

  // First point, then differences, in millionths of a degree: to the world of 0 to 1.
  function worldLines(block) {
    return block.lines.map(function (code) {
      var line = new Float64Array(code.length), lon = 0, lat = 0;
      for (var n = 0; n < code.length; n += 2) {
        lon += code[n] * block.unit;
        lat += code[n + 1] * block.unit;
        line[n] = K.worldX(lon / 1e6);
        line[n + 1] = K.worldY(lat / 1e6);
      }
      return line;
    });
  }

  function follow(pen, lines, view, shifts) {
    pen.beginPath();
    shifts.forEach(function (shift) {
      lines.forEach(function (line) {
        for (var n = 0; n < line.length; n += 2) {
          pen[n ? "lineTo" : "moveTo"](view.x(line[n] + shift), view.y(line[n + 1]));
        }
        pen.closePath();
      });
    });
  }

  K.base = function (map, base, survey) {
    var shifts = survey.edges.wide ? [0, 1] : [0];
    var land = worldLines(base.land), districts = worldLines(base.districts);
    function borders(pen, view) {
      pen.lineJoin = "round";
      pen.strokeStyle = "#6d7780";
      pen.lineWidth = 0.8;
      pen.setLineDash([4, 2]);
      follow(pen, districts, view, shifts);
      pen.stroke();
      pen.setLineDash([]);
      pen.strokeStyle = "#39434c";
      pen.lineWidth = 1.3;
      follow(pen, land, view, shifts);
      pen.stroke();
    }
    return {
      under: new K.Sheet(function (pen, view) {
        pen.fillStyle = "#f3f2ec";
        follow(pen, land, view, shifts);
        pen.fill("evenodd");
      }, {pane: inPane(map, "land", 190), padding: 0.2}).addTo(map),
      over: new K.Sheet(function (pen, view) {
        borders(pen, view);
        writeNames(pen, view, base, shifts);
      }, {pane: inPane(map, "names", 470), padding: 0.2})
    };
  };

  function nameOf(name) {
    return name[K.code] || name.en;
  }
  K.nameOf = nameOf;

  // Larger things first; a name that would touch one already written waits for a closer view.
  function writeNames(pen, view, base, shifts) {
    var taken = [];
    function write(block, font, least, colour) {
      pen.font = font + " " + FONT;
      block.names.forEach(function (name, n) {
        var width = pen.measureText(nameOf(name)).width, spread = block.reach[n] / 18000 * view.world;
        if (least && spread < least * width) return;
        shifts.forEach(function (shift) {
          var x = view.x(K.worldX(block.lon[n] / 100) + shift), y = view.y(K.worldY(block.lat[n] / 100));
          var box = [x - width / 2 - 3, y - 9, x + width / 2 + 3, y + 9];
          if (!view.bounds.contains([x, y])) return;
          if (taken.some(function (other) {
            return box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1];
          })) return;
          taken.push(box);
          pen.strokeText(nameOf(name), x, y);
          pen.fillStyle = colour;
          pen.fillText(nameOf(name), x, y);
        });
      });
    }
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineWidth = 3.5;
    pen.strokeStyle = "rgba(255, 255, 255, .88)";
    write(base.country_names, "600 14px", 0, INK);
    write(base.district_names, "italic 12px", 0.6, INK);
    write(base.place_names, "12px", 0.9, INK);
  }

  function disc(pen, x, y, radius) {
    pen.beginPath();
    pen.arc(x, y, radius, 0, 7);
    pen.fill();
    pen.stroke();
  }

  // Sites in the view; above 5,000 of them, how many lie in each square of the screen.
  function visible(sites, view) {
    var min = view.bounds.min, max = view.bounds.max, found = [];
    for (var n = 0; n < sites.count; n++) {
      var x = view.x(sites.x[n]), y = view.y(sites.y[n]);
      if (x >= min.x && x <= max.x && y >= min.y && y <= max.y) found.push(n);
    }
    return found;
  }

  function bins(sites, found, view) {
    var squares = new Map();
    found.forEach(function (n) {
      var x = sites.x[n] * view.world, y = sites.y[n] * view.world;
      var key = Math.floor(x / BIN) + "/" + Math.floor(y / BIN), bin = squares.get(key);
      if (!bin) squares.set(key, bin = {count: 0, x: 0, y: 0});
      bin.count++;
      bin.x += sites.x[n];
      bin.y += sites.y[n];
    });
    squares.forEach(function (bin) { bin.x /= bin.count; bin.y /= bin.count; });
    return Array.from(squares.values());
  }

  // Surer sites are filled, doubtful ones rings: to be told apart without colours.
  K.sites = function (map, survey) {
    var sites = survey.sites, sheet = new K.Sheet(function (pen, view) {
      var found = visible(sites, view);
      sheet.bins = found.length > MOST_POINTS ? bins(sites, found, view) : [];
      sheet.points = found.length > MOST_POINTS ? [] : found;
      pen.lineWidth = 1.5;
      pen.strokeStyle = "#ffffff";
      sheet.bins.forEach(function (bin) {
        var radius = 7 + 3 * Math.log(bin.count) / Math.LN10 * 1.6;
        pen.fillStyle = "#0b3d66";
        disc(pen, view.x(bin.x), view.y(bin.y), radius);
        pen.fillStyle = "#ffffff";
        pen.font = "600 11px " + FONT;
        pen.textAlign = "center";
        pen.textBaseline = "middle";
        pen.fillText(K.number(bin.count, 0), view.x(bin.x), view.y(bin.y));
      });
      sheet.points.forEach(function (n) {
        var sure = sites.p[n] >= 50;
        pen.strokeStyle = sure ? "#ffffff" : "#0b3d66";
        pen.fillStyle = sure ? "#0b3d66" : "#ffffff";
        disc(pen, view.x(sites.x[n]), view.y(sites.y[n]), 4);
      });
    }, {pane: inPane(map, "sites", 460), padding: 0.1});
    // What lies under a point of the view: a site's number, a cluster, or nothing.
    sheet.under = function (point) {
      if (!sheet._map) return null;
      var view = sheet._view(1), nearest = null, least = 14;
      function look(x, y, what, radius) {
        var away = Math.hypot(view.x(x) - point.x, view.y(y) - point.y) - radius;
        if (away < least) { least = away; nearest = what; }
      }
      (sheet.points || []).forEach(function (n) { look(sites.x[n], sites.y[n], {site: n}, 4); });
      (sheet.bins || []).forEach(function (bin) { look(bin.x, bin.y, {bin: bin}, 12); });
      return nearest;
    };
    return sheet;
  };

  function ticks(from, to, step) {
    var found = [];
    for (var n = Math.ceil(from / step); n * step <= to; n++) found.push(n * step);
    return found;
  }

  function degrees(value, step, positive, negative) {
    var decimals = step < 0.1 ? 2 : step < 1 ? 1 : 0, turned = value > 180 ? value - 360 : value;
    var units = Math.round(Math.abs(turned) * Math.pow(10, decimals));
    return K.say("number." + (turned < 0 ? negative : positive), {n: K.number(units, decimals)});
  }

  K.graticule = function (map) {
    function step(span, pixels) {
      var wanted = span / Math.max(pixels / GRID_GAP, 1);
      return GRID_STEPS.find(function (one) { return one >= wanted; }) || 45;
    }
    function label(pen, text, x, y, align) {
      pen.textAlign = align;
      var width = pen.measureText(text).width, left = align === "center" ? x - width / 2 : x - width;
      pen.fillStyle = "rgba(255, 255, 255, .85)";
      pen.fillRect(left - 3, y - 8, width + 6, 16);
      pen.fillStyle = INK;
      pen.fillText(text, x, y);
    }
    return new K.Sheet(function (pen, view) {
      var seen = map.getBounds(), size = map.getSize(), corner = map.containerPointToLayerPoint([0, 0]);
      var by = Math.max(step(seen.getEast() - seen.getWest(), size.x), step(seen.getNorth() - seen.getSouth(), size.y));
      pen.strokeStyle = "rgba(55, 71, 79, .55)";
      pen.lineWidth = 0.8;
      pen.font = "11px " + FONT;
      pen.textBaseline = "middle";
      ticks(seen.getWest(), seen.getEast(), by).forEach(function (lon) {
        var x = view.x(K.worldX(lon));
        pen.beginPath();
        pen.moveTo(x, view.bounds.min.y);
        pen.lineTo(x, view.bounds.max.y);
        pen.stroke();
        var at = x - corner.x;
        if (at > 70 && at < size.x - 40) label(pen, degrees(lon, by, "east", "west"), x, corner.y + 12, "center");
      });
      ticks(seen.getSouth(), seen.getNorth(), by).forEach(function (lat) {
        var y = view.y(K.worldY(lat));
        pen.beginPath();
        pen.moveTo(view.bounds.min.x, y);
        pen.lineTo(view.bounds.max.x, y);
        pen.stroke();
        var at = y - corner.y;
        if (at > 30 && at < size.y - 20) label(pen, degrees(lat, by, "north", "south"), corner.x + size.x - 6, y, "right");
      });
    }, {pane: inPane(map, "degrees", 480), padding: 0});
  };
})(kilnlight);
