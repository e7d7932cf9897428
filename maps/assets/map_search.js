// The field that finds districts, places and areas, by keyboard as by pointer.
(function (K) {
  "use strict";
  var MOST_FOUND = 8;

  function plain(text) {
    return text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  }

  function matches(things, asked) {
    var wanted = plain(asked.trim());
    if (!wanted) return [];
    return things.map(function (thing) {
      thing.where = plain(thing.name).indexOf(wanted);
      return thing;
    }).filter(function (thing) {
      return thing.where >= 0;
    }).sort(function (one, other) {
      return (one.where > 0) - (other.where > 0);
    }).slice(0, MOST_FOUND);
  }

  // The combobox of the ARIA Authoring Practices: focus stays in the field.
  K.search = function (things, goTo, tell) {
    var field = document.getElementById("search"), list = document.getElementById("found"), shown = [], chosen = -1;
    function draw() {
      list.replaceChildren();
      shown.forEach(function (thing, n) {
        var item = list.appendChild(K.element("li"));
        item.id = "found-" + n;
        item.setAttribute("role", "option");
        item.setAttribute("aria-selected", String(n === chosen));
        item.appendChild(K.element("bdi", thing.name));
        item.appendChild(K.element("small", K.say("map." + thing.kind)));
        item.addEventListener("mousedown", function (event) {
          event.preventDefault();
          take(n);
        });
      });
      list.hidden = !shown.length;
      field.setAttribute("aria-expanded", String(shown.length > 0));
      if (chosen >= 0) field.setAttribute("aria-activedescendant", "found-" + chosen);
      else field.removeAttribute("aria-activedescendant");
    }
    function close() {
      shown = [];
      chosen = -1;
      draw();
    }
    function take(n) {
      var thing = shown[n];
      if (!thing) return;
      field.value = thing.name;
      close();
      goTo(thing);
    }
    field.addEventListener("input", function () {
      shown = matches(things(), field.value);
      chosen = shown.length ? 0 : -1;
      draw();
      if (field.value.trim()) tell(shown.length ? K.say("map.found", {n: shown.length}) : K.say("map.found_none"));
    });
    field.addEventListener("keydown", function (event) {
      var step = {ArrowDown: 1, ArrowUp: -1}[event.key];
      if (step && shown.length) {
        chosen = (chosen + step + shown.length) % shown.length;
        draw();
      } else if (event.key === "Enter") {
        take(chosen);
      } else if (event.key === "Escape") {
        close();
      } else {
        return;
      }
      event.preventDefault();
    });
    field.addEventListener("blur", close);
  };
})(kilnlight);
