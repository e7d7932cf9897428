// The survey as numbers: cells of the equal-area grid, groups, figures in words, single sites.
(function (K) {
  "use strict";
  // EPSG:6933 (WGS 84, cylindrical equal-area, true at 30 degrees); Snyder, Map Projections, 1987,
  // equations 3-12, 3-18 and 10-14 to 10-17.
  var A = 6378137, E2 = 0.0066943799901413165, E = Math.sqrt(E2), RADIAN = Math.PI / 180;
  var WEST = -17367530.45, NORTH = 7314540.83, SPAN = 8192;
  var STEP = 2.5, SQUARE = 10; // metres of a site's position, and steps of the square that names it
  var K0 = Math.cos(30 * RADIAN) / Math.sqrt(1 - E2 * Math.pow(Math.sin(30 * RADIAN), 2));
  var HALF_COLUMNS = 3473; // of 6,947: a survey wider than that lies on both sides of 180 degrees
  var BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

  function q(sine) {
    return (1 - E2) * (sine / (1 - E2 * sine * sine) - Math.log((1 - E * sine) / (1 + E * sine)) / (2 * E));
  }

  K.toMetres = function (lon, lat) {
    return {x: A * K0 * lon * RADIAN, y: A * q(Math.sin(lat * RADIAN)) / (2 * K0)};
  };

  K.toDegrees = function (x, y) {
    var b = Math.asin(2 * y * K0 / A / q(1));
    var lat = b + (E2 / 3 + 31 * E2 * E2 / 180 + 517 * E2 * E2 * E2 / 5040) * Math.sin(2 * b) +
      (23 * E2 * E2 / 360 + 251 * E2 * E2 * E2 / 3780) * Math.sin(4 * b) +
      761 * E2 * E2 * E2 / 45360 * Math.sin(6 * b);
    return {lon: x / (A * K0) / RADIAN, lat: lat / RADIAN};
  };

  // Web Mercator, the whole world as 0 to 1 on both axes: what the map multiplies by its size.
  function mercatorY(lat) {
    return 0.5 - Math.log(Math.tan(Math.PI / 4 + lat * RADIAN / 2)) / (2 * Math.PI);
  }
  K.worldX = function (lon) { return lon / 360 + 0.5; };
  K.worldY = mercatorY;

  // [gap, length, ...] or [gap, length, group, ...] to runs of neighbouring cells in a row.
  function runs(code, width) {
    var count = code.length / width, found = {
      row: new Int32Array(count), col: new Int32Array(count), length: new Int32Array(count),
      group: new Int32Array(count), count: count
    };
    for (var n = 0, key = 0; n < count; n++) {
      key += code[n * width];
      found.row[n] = Math.floor(key / SPAN);
      found.col[n] = key % SPAN;
      found.length[n] = code[n * width + 1];
      found.group[n] = width === 3 ? code[n * width + 2] : 0;
      key += found.length[n];
    }
    return found;
  }

  function groupAt(cells) {
    var at = new Map();
    for (var n = 0; n < cells.count; n++) {
      for (var step = 0; step < cells.length[n]; step++) {
        at.set(cells.row[n] * SPAN + cells.col[n] + step, cells.group[n]);
      }
    }
    return at;
  }

  // Borders between unlike cells, straight pieces joined: [col, row, col, row, ...].
  function borders(at) {
    var level = [], upright = [], found = [];
    at.forEach(function (group, key) {
      if (at.get(key - SPAN) !== group) level.push(key);
      if (at.get(key + SPAN) === undefined) level.push(key + SPAN);
      var turned = (key % SPAN) * SPAN + Math.floor(key / SPAN);
      if (at.get(key - 1) !== group) upright.push(turned);
      if (at.get(key + 1) === undefined) upright.push(turned + SPAN);
    });
    function join(keys, put) {
      keys.sort(function (one, other) { return one - other; });
      for (var n = 0; n < keys.length; n++) {
        var first = n;
        while (keys[n + 1] === keys[n] + 1) n++;
        put(Math.floor(keys[first] / SPAN), keys[first] % SPAN, keys[n] % SPAN + 1);
      }
    }
    join(level, function (row, from, to) { found.push(from, row, to, row); });
    join(upright, function (col, from, to) { found.push(col, from, col, to); });
    return found;
  }

  // Where edges of rows and columns lie in the world of 0 to 1.
  function Edges(wide) {
    this.rows = new Map();
    this.wide = wide;
  }
  Edges.prototype.x = function (col) {
    var shift = this.wide && col <= HALF_COLUMNS ? 1 : 0;
    return K.worldX(K.toDegrees(WEST + col * 5000, 0).lon) + shift;
  };
  Edges.prototype.y = function (row) {
    if (!this.rows.has(row)) this.rows.set(row, mercatorY(K.toDegrees(0, NORTH - row * 5000).lat));
    return this.rows.get(row);
  };

  function widest(cells) {
    var west = Infinity, east = -Infinity;
    for (var n = 0; n < cells.count; n++) {
      west = Math.min(west, cells.col[n]);
      east = Math.max(east, cells.col[n] + cells.length[n]);
    }
    return east - west;
  }

  K.Survey = function (block) {
    this.block = block;
    this.cells = runs(block.cells, 3);
    this.at = groupAt(this.cells);
    this.borders = borders(this.at);
    this.edges = new Edges(widest(this.cells) > HALF_COLUMNS);
    this.grounds = block.periods.map(function (period) {
      var surveyed = runs(period.surveyed, 2);
      return {surveyed: surveyed, gaps: runs(period.gaps, 2), outline: borders(groupAt(surveyed))};
    });
    this.period = block.periods.length - 1;
    this.sites = block.sites ? sites(block.sites, this.edges.wide) : null;
    this.extents = null;
  };

  K.Survey.prototype.theme = function (key) {
    return this.block.themes.find(function (theme) { return theme.key === key; });
  };

  K.Survey.prototype.classesOf = function (key) {
    return this.block.periods[this.period].classes[key] || "";
  };

  K.Survey.prototype.groupOn = function (latlng) {
    var lon = ((latlng.lng + 540) % 360 + 360) % 360 - 180, ground = K.toMetres(lon, latlng.lat);
    var row = Math.floor((NORTH - ground.y) / 5000), col = Math.floor((ground.x - WEST) / 5000);
    var group = this.at.get(row * SPAN + col);
    return group === undefined ? -1 : group;
  };

  // West, north, east, south of each group in rows and columns.
  K.Survey.prototype.extent = function (group) {
    if (!this.extents) {
      var cells = this.cells, found = this.extents = this.block.group_ids.map(function () {
        return [Infinity, Infinity, -Infinity, -Infinity];
      });
      for (var n = 0; n < cells.count; n++) {
        var box = found[cells.group[n]];
        box[0] = Math.min(box[0], cells.col[n]);
        box[1] = Math.min(box[1], cells.row[n]);
        box[2] = Math.max(box[2], cells.col[n] + cells.length[n]);
        box[3] = Math.max(box[3], cells.row[n] + 1);
      }
    }
    return this.extents[group];
  };

  K.Survey.prototype.bordersOf = function (group) {
    var own = new Map(), cells = this.cells;
    for (var n = 0; n < cells.count; n++) {
      for (var step = 0; cells.group[n] === group && step < cells.length[n]; step++) {
        own.set(cells.row[n] * SPAN + cells.col[n] + step, group);
      }
    }
    return borders(own);
  };

  K.Survey.prototype.title = function (group) {
    var id = this.block.group_ids[group];
    if (id === "rest") return K.say("words.rest");
    if (id === "outside_partition") return K.say("words.outside");
    return K.say("words.area", {id: id});
  };

  // One group's figures; the words are those of maps/wording.py.
  function Words(figures, at) {
    this.figures = figures;
    this.at = at;
  }
  Words.prototype.of = function (name) { return this.figures[name][this.at]; };
  Words.prototype.expected = function () {
    var tenths = this.of("expected");
    var middle = tenths < 100 ? K.number(tenths, 1) : K.number(tenths / 10, 0);
    return K.say("number.interval", {middle: middle, low: this.of("low"), high: this.of("high")});
  };
  Words.prototype.steady = function () {
    var stability = this.of("stability");
    return stability === null ? "" : K.say("words.steady", {share: K.share(stability)});
  };
  Words.prototype.hotspot = function () {
    var found = +this.of("hotspot"), hot = this.of("hot"), cells = this.of("cells");
    var values = {hot: hot, cells: cells, steady: this.steady()};
    var some = K.say(hot === 1 ? "words.some_hot_one" : "words.some_hot", values);
    if (found === 4) {
      var why = K.say(this.of("little") === "1" ? "words.why_searched" :
        cells === 1 ? "words.why_cell" : "words.why_cells");
      return K.say(hot ? "words.some_not_tested" : "words.not_tested", {some: some, why: why});
    }
    if (found === 3) return hot ? some : K.say("words.not_denser");
    values["class"] = K.numeral(["99", "95", "90"][found]);
    return K.say(cells === 1 ? "words.hot_whole" : "words.hot_some", values);
  };
  Words.prototype.reporting = function () {
    if (this.of("rate") === null) {
      return K.say(this.of("evidence") === "4" ? "words.not_released" : "words.too_few");
    }
    var rates = ["rate", "rate_low", "rate_high"].map(function (name) {
      var hundredths = this.of(name);
      return hundredths < 100 ? K.number(hundredths, 2) : K.number(hundredths / 10, 1);
    }, this);
    return K.say("words.rate", {rate: rates[0], low: rates[1], high: rates[2]});
  };
  Words.prototype.evidence = function () {
    return K.say("evidence." + ["imagery_only", "reports_only", "both", "unheard", "no_release",
      "not_searched"][+this.of("evidence")]);
  };
  Words.prototype.coverage = function () {
    var area = K.say("number.square_km", {n: this.of("area")});
    return K.say("words.coverage", {share: K.share(this.of("searched")), area: area});
  };

  K.Survey.prototype.rows = function (group) {
    var words = new Words(this.block.periods[this.period].figures, group);
    return ["expected", "hotspot", "reporting", "evidence", "coverage"].map(function (name) {
      return [K.say("row." + name), words[name]()];
    });
  };

  // Six bits a letter, see maps/short_text.py; signs are folded.
  function unpack(text) {
    var LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", at = {}, found = [];
    for (var n = 0; n < 64; n++) at[LETTERS.charCodeAt(n)] = n;
    for (var place = 0, size = 1, value = 0; place < text.length; place++) {
      var six = at[text.charCodeAt(place)];
      value += (six % 32) * size;
      size *= 32;
      if (six >= 32) continue;
      found.push(value % 2 ? -(value + 1) / 2 : value / 2);
      value = 0;
      size = 1;
    }
    return found;
  }

  // Single sites: steps from the grid's corner; a site's name comes from its square of 25 m.
  function sites(block, wide) {
    var p = unpack(block.p), count = p.length, souths = unpack(block.south), easts = unpack(block.east);
    var found = {
      count: count, x: new Float64Array(count), y: new Float64Array(count), block: block, p: p,
      south: new Int32Array(count), east: new Int32Array(count)
    };
    for (var n = 0, south = 0, east = 0; n < count; n++) {
      found.south[n] = south += souths[n];
      found.east[n] = east += easts[n];
      var place = K.toDegrees(WEST + (east + 0.5) * STEP, NORTH - (south + 0.5) * STEP);
      found.x[n] = K.worldX(place.lon) + (wide && place.lon < 0 ? 1 : 0);
      found.y[n] = mercatorY(place.lat);
    }
    found.id = function (n) {
      var row = Math.floor(found.south[n] / SQUARE), col = Math.floor(found.east[n] / SQUARE);
      var number = row * 2097152 + col, text = "";
      for (var place = 0; place < 9; place++) {
        text = BASE32[number % 32] + text;
        number = Math.floor(number / 32);
      }
      var nth = block.second[n];
      return "KL-" + text + (nth ? "-" + nth : "");
    };
    return found;
  }
})(kilnlight);
