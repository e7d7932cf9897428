"use strict";
// One place after another: shows it, takes the answer, keeps it, goes on.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  document.getElementById("data").remove();
  const places = data.places;
  const store = reviewStore.open(data.survey);
  const $ = (id) => document.getElementById(id);
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  const WORDS = { confirmed: "yes", rejected: "no", unsure: "unsure", wrong_class: "something else", counted: "counted", not_imaged: "not imaged" };
  const PACE_OVER = 20; // decisions that the pace is told from
  const LEFT_ALONE_S = 120; // nobody looks at one place for longer: such a pause is no pace

  let state = { decisions: {}, added: [], history: [] };
  let at = 0;
  let draft = {}; // box, note, exclude of the place that is shown
  let adding = null; // a box that is being added
  let drawing = false;
  let since = 0;
  let hiddenMs = 0;
  let hiddenSince = 0;
  let unsaved = false;

  const reviewer = () => $("reviewer").value.trim();
  const place = () => places[at];
  const madeHere = () => state.decisions[place().key];
  const ownBox = (one) => (one.box ? { x: 0, y: 0, length: one.box[0], width: one.box[1], azimuth: one.box[2] } : null);
  const usualBox = () => ({ x: 0, y: 0, length: data.usual_box[0], width: data.usual_box[1], azimuth: 0 });
  const alike = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const movedBox = () => (alike(draft.box, ownBox(place())) ? null : draft.box);

  function show(number) {
    at = Math.min(Math.max(number, 0), places.length - 1);
    const made = madeHere();
    draft = { box: (made && made.box) || ownBox(place()), note: (made && made.note) || "", exclude: (made && made.exclude) || null };
    adding = null;
    setDrawing(false);
    since = performance.now();
    hiddenMs = 0;
    hiddenSince = document.hidden ? since : 0;
    words();
    paint();
    progress();
  }

  function words() {
    const one = place();
    const ground = one.kind === "ground";
    $("question").textContent = one.question;
    $("why").textContent = [one.site || one.chip, `${one.lat.toFixed(5)}, ${one.lon.toFixed(5)}`, one.p === null ? "" : `score ${Math.round(100 * one.p)} %`, one.why].filter(Boolean).join(" · ");
    $("said").textContent = one.said;
    $("said").hidden = !one.said;
    $("note").value = draft.note;
    $("verdicts").hidden = ground;
    $("counts").hidden = !ground;
    answered();
    const what = `${one.question} Place ${at + 1} of ${places.length}.`;
    $("near").setAttribute("aria-label", `Satellite picture, ${data.near_m} m wide. ${what}`);
    $("far").setAttribute("aria-label", `The same place, ${data.far_m} m wide.`);
  }

  function answered() {
    const made = madeHere();
    const parts = [];
    if (made) parts.push(`Your answer: ${made.decision === "counted" ? made.count : WORDS[made.decision] || made.decision}`);
    if (draft.exclude) parts.push("left out of every output");
    const extra = state.added.filter((one) => one.near === place().key).length;
    if (extra) parts.push(`${extra} more added here`);
    $("answer").textContent = parts.join(" · ");
  }

  function paint() {
    const one = place();
    const box = adding || draft.box;
    const mark = adding ? "added" : movedBox() ? "moved" : "";
    const common = { known: one.known, box, mark, square: one.kind === "ground" ? data.ground_m : 0 };
    const uri = (picture) => (picture ? `data:image/webp;base64,${picture.image}` : "");
    reviewBox.draw($("near"), { ...common, side: data.near_m, href: uri(one.near[0]), grips: one.kind !== "ground" });
    reviewBox.draw($("far"), { ...common, side: data.far_m, href: uri(one.far) });
    const day = (picture) => (picture ? picture.date || "no date" : "no picture");
    $("near-says").textContent = `${day(one.near[0])} · ${data.near_m} m`;
    $("far-says").textContent = `${day(one.far)} · ${data.far_m} m`;
    const others = one.near.slice(1).map((picture) => {
      const figure = document.createElement("figure");
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", `The same place on ${day(picture)}, ${data.near_m} m wide.`);
      reviewBox.draw(svg, { ...common, side: data.near_m, href: uri(picture) });
      const caption = document.createElement("figcaption");
      caption.textContent = day(picture);
      figure.append(svg, caption);
      return figure;
    });
    $("dates").replaceChildren(...others);
  }

  function progress() {
    const made = places.map((one) => state.decisions[one.key]).filter(Boolean);
    $("position").textContent = `Place ${at + 1} of ${places.length}`;
    $("decided").textContent = `${made.length} decided`;
    $("progress").max = places.length;
    $("progress").value = made.length;
    const last = made.filter((one) => one.seconds > 0 && one.seconds < LEFT_ALONE_S).sort((a, b) => (a.at < b.at ? -1 : 1)).slice(-PACE_OVER);
    const mean = last.reduce((sum, one) => sum + one.seconds, 0) / last.length;
    const left = places.length - made.length;
    $("pace").textContent = !left ? "All places are decided: export your answers." : last.length < 3 ? "" : `${Math.round(3600 / mean)} an hour · about ${Math.ceil((left * mean) / 60)} min left`;
    document.body.classList.toggle("finished", !left);
  }

  // Another tab may show another page of this survey, or this one: what it kept is not overwritten.
  function renew() {
    if (store.works()) state = store.read(reviewer());
  }

  function keep() {
    store.write(reviewer(), state);
    unsaved = true;
    $("no-storage").hidden = store.works();
    send();
  }

  function secondsHere() {
    const away = hiddenMs + (hiddenSince ? performance.now() - hiddenSince : 0);
    return Math.max(0, performance.now() - since - away) / 1000;
  }

  function stamp() {
    return { reviewer: reviewer(), at: new Date().toISOString().replace(/\.\d+Z$/, "Z"), seconds: secondsHere() };
  }

  function named() {
    if (reviewer()) return true;
    say("Write your name first: it stands beside each of your answers.");
    $("reviewer").focus();
    return false;
  }

  function decide(decision, count = null) {
    if (adding || !named()) return;
    renew();
    const key = place().key;
    state.history.push({ key, before: madeHere() || null });
    state.decisions[key] = { decision, count, box: movedBox(), note: $("note").value.trim(), exclude: draft.exclude, ...stamp() };
    keep();
    nextOpen(true);
  }

  function nextOpen(onward) {
    for (let step = onward ? 1 : 0; step <= places.length; step += 1) {
      const number = (at + step) % places.length;
      if (!state.decisions[places[number].key]) return show(number);
    }
    show(at);
    return say("All places are decided: export your answers.");
  }

  function undo() {
    if (adding) return addDrop();
    renew();
    const here = state.history.findLastIndex((one) => places.some((other) => other.key === one.key));
    if (here < 0) return say("There is nothing to undo.");
    const [last] = state.history.splice(here, 1);
    if (last.added) state.added.splice(state.added.findLastIndex((one) => one.near === last.key), 1);
    else if (last.before) state.decisions[last.key] = last.before;
    else delete state.decisions[last.key];
    keep();
    show(places.findIndex((one) => one.key === last.key));
    return say("Undone.");
  }

  function setBox(box, done) {
    if (adding) adding = box;
    else draft.box = box;
    if (done) setDrawing(false);
    paint();
  }

  function startAdding() {
    if (!named()) return;
    adding = { ...usualBox(), x: 0.2 * data.near_m };
    show_adding(true);
  }

  function addKeep() {
    renew();
    state.added.push({ near: place().key, box: adding, note: $("note").value.trim(), ...stamp() });
    state.history.push({ key: place().key, added: true });
    adding = null;
    show_adding(false);
    keep();
    answered();
  }

  function addDrop() {
    adding = null;
    show_adding(false);
  }

  function show_adding(yes) {
    $("adding").hidden = !yes;
    const ground = place().kind === "ground";
    $("verdicts").hidden = yes || ground;
    $("counts").hidden = yes || !ground;
    paint();
  }

  function setDrawing(yes) {
    drawing = yes;
    if (yes && !adding && !draft.box) draft.box = usualBox();
    document.body.classList.toggle("drawing", yes);
    $("draw").setAttribute("aria-pressed", String(yes));
  }

  function exclude(chosen) {
    $("leave-out").close();
    if (chosen && !named()) return;
    renew();
    draft.exclude = chosen;
    const made = madeHere();
    // left out stays left out, also where the reviewer goes on without an answer: that is unsure
    const now = made || (chosen && { decision: "unsure", count: null, box: null, note: draft.note, ...stamp() });
    if (now) {
      state.history.push({ key: place().key, before: made || null });
      state.decisions[place().key] = { ...now, exclude: chosen, at: stamp().at };
      keep();
    }
    answered();
    progress();
  }

  function say(words_) {
    $("said-file").textContent = words_;
  }

  function text() {
    return reviewStore.csv(data.columns, reviewStore.rows(data, state));
  }

  function exportFile() {
    if (!named()) return;
    const name = `decisions_${reviewer().replace(/[^\p{L}\p{N}]+/gu, "_")}_${data.name}.csv`;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text()], { type: "text/csv" }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
    unsaved = false;
    say(`${Object.keys(state.decisions).length} decisions exported as ${name}.`);
  }

  function showText() {
    for (const id of ["plain", "plain-label"]) $(id).hidden = false;
    $("plain").value = text();
    $("plain").focus();
    $("plain").select();
  }

  async function load(file) {
    let read = "";
    try {
      read = await file.text();
    } catch (error) {
      return say(`${file.name} cannot be read.`);
    }
    if (!read.includes("decision")) return say(`${file.name} holds no decisions: load what this page exported.`);
    renew();
    const { taken, others } = reviewStore.takeBack(data, state, read, reviewer());
    const first = Object.values(state.decisions)[0];
    if (!reviewer() && first) $("reviewer").value = first.reviewer;
    keep();
    document.activeElement.blur(); // keys are the page's from here
    nextOpen(false);
    return say(`${taken} decisions taken from ${file.name}${others ? `; ${others} of other places or reviewers, or older than what is here, stay in that file` : ""}.`);
  }

  let sending = 0;
  function send() {
    if (!token) return;
    clearTimeout(sending);
    sending = setTimeout(async () => {
      let words_ = "";
      try {
        const body = JSON.stringify({ token, csv: text() });
        const answer = await fetch("/review/decisions", { method: "POST", body });
        words_ = answer.ok ? "" : await answer.text();
        if (answer.ok) unsaved = false;
      } catch (error) {
        words_ = "The server does not answer.";
      }
      $("server").textContent = words_ ? `Not saved by the server: ${words_} Your answers stay in this browser; export them.` : "";
      $("server").hidden = !words_;
    }, 1000);
  }

  const DO = {
    undo,
    previous: () => show(at - 1),
    next: () => show(at + 1),
    open: () => nextOpen(true),
    draw: () => setDrawing(!drawing) || paint(),
    reset: () => setBox(adding ? usualBox() : ownBox(place()), true),
    add: startAdding,
    "add-keep": addKeep,
    "add-drop": addDrop,
    box: () => $("box").setAttribute("aria-pressed", String(!document.body.classList.toggle("hide-box"))),
    contrast: () => {
      const level = (Number(document.body.dataset.contrast || 0) + 1) % 4;
      document.body.classList.remove("contrast-1", "contrast-2", "contrast-3");
      document.body.dataset.contrast = String(level);
      if (level) document.body.classList.add(`contrast-${level}`);
    },
    pixels: () => document.body.classList.toggle("pixels"),
    "leave-out": () => $("leave-out").showModal(),
    exclude: () => exclude({ m: Math.min(Math.max(Math.round(Number($("exclude-m").value) || 100), 1), 2000), reason: $("exclude-reason").value.trim() || "left out by a reviewer" }),
    include: () => exclude(null),
    note: () => $("note").focus(),
    export: exportFile,
    text: showText,
    help: () => $("help").showModal(),
    not_imaged: () => decide("not_imaged"),
  };
  for (const verdict of ["confirmed", "rejected", "unsure", "wrong_class"]) DO[verdict] = () => decide(verdict);
  for (let n = 0; n < 10; n += 1) DO[`count-${n}`] = () => decide("counted", n);

  const KEYS = { y: "confirmed", n: "rejected", u: "unsure", w: "wrong_class", z: "undo", Backspace: "undo", k: "previous", j: "next", " ": "next", g: "open", d: "draw", r: "reset", a: "add", b: "box", c: "contrast", s: "pixels", x: "leave-out", t: "note", e: "export", "?": "help" };

  function keyOf(key) {
    if (adding) return { Enter: "add-keep", Escape: "add-drop", z: "undo", d: "draw", r: "reset", b: "box" }[key];
    if (place().kind !== "ground") return KEYS[key];
    if (/^\d$/.test(key)) return `count-${key}`;
    if (key === "i") return "not_imaged";
    return ["y", "n", "w"].includes(key) ? undefined : KEYS[key];
  }

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.matches("input:not([type=file]), textarea");
    if (typing) {
      if (event.key === "Enter" || event.key === "Escape") event.target.blur();
      return;
    }
    if ([" ", "Enter"].includes(event.key) && event.target.matches("button, a, input")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const what = keyOf(key);
    const boxed = what || place().kind === "ground" && !adding ? null : reviewBox.keyed(adding || draft.box || usualBox(), event.key, event.shiftKey);
    if (!what && !boxed) return;
    event.preventDefault();
    if (boxed) setBox(boxed, false);
    else DO[what]();
  }

  document.addEventListener("keydown", pressed);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    if (!button) return;
    DO[button.dataset.do]();
    // keys go to the page again, but a dialog or a field that the button opened keeps its focus
    if (document.activeElement === button) button.blur();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hiddenSince = performance.now();
    else if (hiddenSince) {
      hiddenMs += performance.now() - hiddenSince;
      hiddenSince = 0;
    }
  });
  $("note").addEventListener("change", () => {
    draft.note = $("note").value.trim();
    renew();
    const made = madeHere();
    if (!made) return;
    state.decisions[place().key] = { ...made, note: draft.note, at: stamp().at };
    keep();
  });
  $("reviewer").addEventListener("change", () => {
    store.lastReviewer(reviewer());
    if (store.works()) {
      state = store.read(reviewer());
      nextOpen(false);
    }
    say("");
  });
  $("load").addEventListener("change", (event) => {
    if (event.target.files.length) load(event.target.files[0]);
    event.target.value = "";
  });
  window.addEventListener("beforeunload", (event) => {
    if (!store.works() && unsaved) event.preventDefault();
  });
  reviewBox.hold($("near"), { now: () => adding || draft.box, drawing: () => drawing, changed: setBox });

  $("no-storage").hidden = store.works();
  if (!reviewer()) $("reviewer").value = store.lastReviewer();
  state = store.read(reviewer());
  nextOpen(false);
  if (!reviewer()) $("reviewer").focus();
})();
