// Texts, numbers and months in the reader's language; the same rules as maps/language.py.
var kilnlight = {};
(function (K) {
  "use strict";
  var catalogues = {};
  K.code = "en";

  K.block = function (id) {
    return JSON.parse(document.getElementById(id).textContent);
  };

  K.languages = function (words, code) {
    catalogues = words;
    K.code = code;
  };

  K.knows = function (code) {
    return Object.prototype.hasOwnProperty.call(catalogues, code);
  };

  K.meta = function (code) {
    return catalogues[code || K.code].meta;
  };

  K.numeral = function (text) {
    var digits = Array.from(K.meta().digits);
    return text.replace(/[0-9]/g, function (digit) { return digits[+digit]; });
  };

  function grouped(whole) {
    var step = K.meta().grouping === "western" ? 3 : 2;
    var head = whole.slice(0, -3), parts = [whole.slice(-3)];
    while (head) {
      parts.unshift(head.slice(-step));
      head = head.slice(0, -step);
    }
    return parts.join(",");
  }

  // Whole numbers of 1 / 10^decimals: nothing is rounded here.
  K.number = function (units, decimals) {
    var text = String(units);
    if (!decimals) return K.numeral(grouped(text));
    while (text.length <= decimals) text = "0" + text;
    return K.numeral(grouped(text.slice(0, -decimals)) + "." + text.slice(-decimals));
  };

  function written(value) {
    if (typeof value !== "number") return value;
    var parts = String(value).split(".");
    return K.numeral(grouped(parts[0]) + (parts[1] ? "." + parts[1] : ""));
  }

  K.say = function (key, values) {
    var text = catalogues[K.code].texts[key];
    if (text === undefined) throw new Error("no text " + key);
    return text.replace(/\{(\w+)\}/g, function (_, name) { return written(values[name]); });
  };

  K.share = function (perCent) {
    return K.say("number.per_cent", {n: perCent});
  };

  K.month = function (month) {
    var parts = month.split("-");
    return K.say("number.month", {month: K.meta().months[parts[1] - 1], year: K.numeral(parts[0])});
  };

  K.span = function (period) {
    var ends = period.split("/");
    if (!/^\d/.test(period)) return K.say("number.undated");
    if (ends.length < 2 || ends[0] === ends[1]) return K.month(ends[0]);
    return K.say("number.months", {first: K.month(ends[0]), last: K.month(ends[1])});
  };

  // What the template wrote as data-args: {"known": key}, {"span": period}, or plain values.
  K.told = function (args) {
    var values = {};
    Object.keys(args).forEach(function (name) {
      var value = args[name];
      if (value && value.known) value = K.say(value.known);
      else if (value && value.span) value = K.span(value.span);
      values[name] = value;
    });
    return values;
  };

  K.sayPage = function () {
    var root = document.documentElement;
    root.lang = K.code;
    root.dir = K.meta().direction;
    document.querySelectorAll("[data-say]").forEach(function (element) {
      element.textContent = K.say(element.dataset.say, K.told(JSON.parse(element.dataset.args || "{}")));
    });
    document.querySelectorAll("[data-label]").forEach(function (element) {
      element.setAttribute("aria-label", K.say(element.dataset.label));
    });
    document.title = document.querySelector("h1").textContent;
  };

  K.element = function (tag, text, className) {
    var made = document.createElement(tag);
    if (text) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
})(kilnlight);
