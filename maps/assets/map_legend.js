// The legend of the layer that is shown: a swatch, its pattern and words for each class.
(function (K) {
  "use strict";

  function swatch(line, path) {
    var NS = "http://www.w3.org/2000/svg", svg = document.createElementNS(NS, "svg");
    function add(parent, tag, attributes) {
      var made = parent.appendChild(document.createElementNS(NS, tag));
      Object.keys(attributes).forEach(function (name) { made.setAttribute(name, attributes[name]); });
      return made;
    }
    svg.setAttribute("class", "swatch");
    svg.setAttribute("viewBox", "0 0 32 16");
    svg.setAttribute("aria-hidden", "true");
    add(svg, "rect", {width: 32, height: 16, fill: line.fill});
    for (var x = 0; path && x < 32; x += 8) {
      for (var y = 0; y < 16; y += 8) {
        add(svg, "path", {
          d: path, transform: "translate(" + x + " " + y + ")", fill: "none", stroke: line.ink,
          "stroke-linecap": "round", "stroke-width": /\.01/.test(path) ? 2 : 1
        });
      }
    }
    return svg;
  }

  K.showLegend = function (survey, key) {
    var theme = survey.theme(key), box = document.getElementById("legend");
    box.replaceChildren();
    if (!theme) return;
    box.appendChild(K.element("h2", K.say("theme." + theme.key + ".heading")));
    var list = box.appendChild(K.element("ul"));
    theme.classes.forEach(function (line) {
      var item = list.appendChild(K.element("li"));
      item.appendChild(swatch(line, survey.block.patterns[line.pattern]));
      item.appendChild(K.element("span", K.say(line.key, line.values)));
    });
    box.appendChild(K.element("p", K.say("theme." + theme.key + ".note")));
  };
})(kilnlight);
