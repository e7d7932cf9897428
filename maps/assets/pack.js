"use strict";
// A pack works without this: it only says that it is past its day, and finds a card by its text.
(function () {
  const today = new Date();
  const local = new Date(today.getTime() - today.getTimezoneOffset() * 60000);
  if (local.toISOString().slice(0, 10) > document.body.dataset.expires) {
    document.getElementById("expired").hidden = false;
  }
  const cards = Array.from(document.querySelectorAll(".site"), function (card) {
    return { card: card, text: card.textContent.toLowerCase() };
  });
  const field = document.getElementById("find");
  const none = document.getElementById("none");
  field.addEventListener("input", function () {
    const wanted = field.value.trim().toLowerCase();
    let shown = 0;
    for (const one of cards) {
      one.card.hidden = !one.text.includes(wanted);
      shown += one.card.hidden ? 0 : 1;
    }
    none.hidden = shown > 0;
  });
})();
