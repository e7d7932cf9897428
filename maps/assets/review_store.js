"use strict";
// What a reviewer decided: kept in the browser where it can be, written and read as CSV.
const reviewStore = (() => {
  const METRES = { a: 6378137.0, e2: 0.0066943799901413165 }; // WGS 84
  const RUNS = /^[=+\-@\t\r]/; // what a spreadsheet would run as a formula
  const PLAIN = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/;

  function storage() {
    try {
      const probe = "kilnlight-probe";
      window.localStorage.setItem(probe, "1");
      window.localStorage.removeItem(probe);
      return window.localStorage;
    } catch (error) {
      return null;
    }
  }

  function perDegree(lat) {
    const sine = Math.sin((lat * Math.PI) / 180);
    const across = METRES.a / Math.sqrt(1 - METRES.e2 * sine * sine);
    const along = (across * (1 - METRES.e2)) / (1 - METRES.e2 * sine * sine);
    const shrunk = across * Math.cos((lat * Math.PI) / 180);
    return { lon: (shrunk * Math.PI) / 180, lat: (along * Math.PI) / 180 };
  }

  // Offsets in metres to the east and north of a place, to degrees and back.
  const toDegrees = (place, at) => {
    const scale = perDegree(place.lat);
    return { lon: place.lon + at.x / scale.lon, lat: place.lat + at.y / scale.lat };
  };
  const toMetres = (place, lon, lat) => {
    const scale = perDegree(place.lat);
    return { x: (lon - place.lon) * scale.lon, y: (lat - place.lat) * scale.lat };
  };

  // decisions: by place; added: sites that the list lacks; history: for undo, oldest first.
  const empty = () => ({ decisions: {}, added: [], history: [] });

  function open(page) {
    const kept = storage();
    const key = (reviewer) => `kilnlight-review:${page}:${reviewer.trim().toLowerCase()}`;
    let works = kept !== null;
    return {
      works: () => works,
      read(reviewer) {
        if (!works) return empty();
        try {
          return { ...empty(), ...JSON.parse(kept.getItem(key(reviewer)) || "{}") };
        } catch (error) {
          return empty();
        }
      },
      write(reviewer, state) {
        if (!works) return;
        try {
          kept.setItem(key(reviewer), JSON.stringify(state));
        } catch (error) {
          works = false; // full, or forbidden since
        }
      },
      lastReviewer(name) {
        if (!works) return name || "";
        try {
          if (name !== undefined) kept.setItem(`kilnlight-review:${page}`, name);
          return kept.getItem(`kilnlight-review:${page}`) || "";
        } catch (error) {
          return "";
        }
      },
    };
  }

  const number = (value, digits) => (value === null || value === undefined ? "" : value.toFixed(digits));

  function boxColumns(place, box) {
    if (!box) return {};
    const at = toDegrees(place, box);
    return {
      moved_lon: number(at.lon, 6),
      moved_lat: number(at.lat, 6),
      length_m: number(box.length, 1),
      width_m: number(box.width, 1),
      azimuth_deg: number(box.azimuth, 1),
    };
  }

  function row(place, made, survey) {
    return {
      site_id: place.site,
      lon: number(place.lon, 6),
      lat: number(place.lat, 6),
      decision: made.decision,
      reviewer: made.reviewer,
      decided_at: made.at,
      seconds: number(made.seconds, 1),
      stage: place.stage,
      queue: place.queue,
      chip_id: place.chip,
      count: made.count === null || made.count === undefined ? "" : String(made.count),
      exclude_m: made.exclude ? String(made.exclude.m) : "",
      exclude_reason: made.exclude ? made.exclude.reason : "",
      note: made.note || "",
      seen: place.near.map((picture) => picture.date).filter(Boolean).join(" "),
      survey,
      ...boxColumns(place, made.box),
    };
  }

  function rows(data, state) {
    const found = [];
    for (const place of data.places) {
      const made = state.decisions[place.key];
      if (made) found.push(row(place, made, data.survey));
    }
    for (const extra of state.added) {
      const near = data.places.find((place) => place.key === extra.near);
      if (!near) continue;
      const at = toDegrees(near, extra.box);
      const own = { ...near, site: "", chip: "", queue: "added", stage: "review" };
      const made = { ...extra, decision: "confirmed", exclude: null, count: null };
      found.push({ ...row(own, made, data.survey), lon: number(at.lon, 6), lat: number(at.lat, 6) });
    }
    return found;
  }

  function cell(value) {
    let text = value === undefined ? "" : String(value);
    if (RUNS.test(text) && !PLAIN.test(text)) text = `'${text}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function csv(columns, found) {
    const lines = [columns.join(",")];
    for (const one of found) lines.push(columns.map((name) => cell(one[name])).join(","));
    return `\ufeff${lines.join("\n")}\n`;
  }

  function parse(text) {
    const first = text.replace(/^\ufeff/, "");
    const mark = (first.split("\n", 1)[0].match(/;/g) || []).length ? ";" : ",";
    const table = [[""]];
    let quoted = false;
    for (let at = 0; at < first.length; at += 1) {
      const letter = first[at];
      const line = table[table.length - 1];
      if (quoted && letter === '"' && first[at + 1] === '"') {
        line[line.length - 1] += '"';
        at += 1;
      } else if (letter === '"') quoted = !quoted;
      else if (letter === mark && !quoted) line.push("");
      else if (letter === "\n" && !quoted) table.push([""]);
      else if (letter !== "\r" || quoted) line[line.length - 1] += letter;
    }
    const header = table[0].map((name) => name.trim());
    return table
      .slice(1)
      .filter((line) => line.some((text_) => text_ !== ""))
      .map((line) => Object.fromEntries(header.map((name, n) => [name, line[n] || ""])));
  }

  function boxOf(place, read) {
    if (!read.moved_lon || !read.moved_lat) return null;
    return {
      ...toMetres(place, Number(read.moved_lon), Number(read.moved_lat)),
      length: Number(read.length_m) || 0,
      width: Number(read.width_m) || 0,
      azimuth: Number(read.azimuth_deg) || 0,
    };
  }

  function made(place, read) {
    return {
      decision: read.decision,
      reviewer: read.reviewer.replace(/^'(?=[=+\-@])/, ""),
      at: read.decided_at,
      seconds: Number(read.seconds) || 0,
      count: read.count === "" ? null : Number(read.count),
      box: boxOf(place, read),
      note: (read.note || "").replace(/^'(?=[=+\-@])/, ""),
      exclude: read.exclude_m ? { m: Number(read.exclude_m), reason: read.exclude_reason } : null,
    };
  }

  const alike = (one, other) => one.trim().toLowerCase() === other.trim().toLowerCase();

  // Take rows of a CSV back into a state. What is no place's of this page, another reviewer's, or
  // older than what stands there, is left in the file and counted.
  function takeBack(data, state, text, reviewer) {
    const byChip = new Map(data.places.filter((p) => p.chip).map((p) => [p.chip, p]));
    const byName = new Map(data.places.map((p) => [`${p.site}|${p.lon.toFixed(4)}|${p.lat.toFixed(4)}`, p]));
    let taken = 0;
    let others = 0;
    for (const read of parse(text)) {
      const at = `${read.site_id}|${Number(read.lon).toFixed(4)}|${Number(read.lat).toFixed(4)}`;
      const place = (read.chip_id && byChip.get(read.chip_id)) || byName.get(at);
      const mine = read.decision && (!reviewer || alike(read.reviewer || "", reviewer));
      if (mine && place && (read.stage || "review") === place.stage) {
        const here = state.decisions[place.key];
        const older = here && here.at > read.decided_at;
        if (!older) state.decisions[place.key] = made(place, read);
        taken += older ? 0 : 1;
        others += older ? 1 : 0;
      } else if (mine && read.queue === "added" && addedBack(data, state, read)) taken += 1;
      else others += 1;
    }
    return { taken, others };
  }

  function addedBack(data, state, read) {
    const reach = data.near_m;
    const near = data.places.find((place) => {
      const at = toMetres(place, Number(read.lon), Number(read.lat));
      return Math.hypot(at.x, at.y) < reach;
    });
    if (!near) return false;
    const known = state.added.some((extra) => extra.at === read.decided_at);
    if (!known) state.added.push({ ...made(near, read), near: near.key });
    return true;
  }

  return { open, rows, csv, takeBack, toDegrees };
})();
