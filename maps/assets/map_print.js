// Paper: the map as one picture of the paper's width.
(function (K) {
  "use strict";
  var PAPER = 3; // dots of a printed map for each of the screen
  K.paper = 0;

  // Browsers print every canvas on white, so that the topmost hides the others: paper gets one.
  function flatten(map) {
    var frame = map.getContainer().getBoundingClientRect(), flat = K.element("canvas", "", "flat");
    flat.width = frame.width * PAPER;
    flat.height = frame.height * PAPER;
    var pen = flat.getContext("2d");
    pen.scale(PAPER, PAPER);
    pen.fillStyle = getComputedStyle(map.getContainer()).backgroundColor;
    pen.fillRect(0, 0, frame.width, frame.height);
    Array.from(map.getContainer().querySelectorAll(".leaflet-pane img, .leaflet-pane canvas")).map(function (sheet) {
      return {sheet: sheet, level: +getComputedStyle(sheet.closest(".leaflet-map-pane > .leaflet-pane")).zIndex};
    }).sort(function (one, other) {
      return one.level - other.level;
    }).forEach(function (part) {
      var box = part.sheet.getBoundingClientRect(), pane = part.sheet.closest(".leaflet-map-pane > .leaflet-pane");
      if (getComputedStyle(pane).display === "none") return;
      pen.globalAlpha = +getComputedStyle(pane).opacity;
      pen.drawImage(part.sheet, box.x - frame.x, box.y - frame.y, box.width, box.height);
    });
    return map.getContainer().appendChild(flat);
  }

  // Print: the map takes the paper's width before the browser lays the page out.
  K.print = function (map) {
    var ground, middle, flat;
    window.addEventListener("beforeprint", function () {
      ground = map.getBounds();
      middle = {centre: map.getCenter(), zoom: map.getZoom()};
      K.paper = PAPER;
      document.body.classList.add("printing");
      map.invalidateSize({animate: false});
      map.fitBounds(ground, {animate: false});
      flat = flatten(map);
    });
    window.addEventListener("afterprint", function () {
      K.paper = 0;
      flat.remove();
      document.body.classList.remove("printing");
      map.invalidateSize({animate: false});
      map.setView(middle.centre, middle.zoom, {animate: false});
    });
    document.getElementById("print").addEventListener("click", function () { window.print(); });
  };
})(kilnlight);
