"use strict";
// The box on a picture: drawn in metres around the place, moved and redrawn by keys or pointer.
const reviewBox = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const LEAST_M = 10; // a pixel: shorter is a slip of the finger

  function make(name, attributes, parent) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
    parent.append(element);
    return element;
  }

  // Unit vectors of the long and the short side, in the picture's axes (y down).
  function axes(box) {
    const turn = (box.azimuth * Math.PI) / 180;
    return { along: [Math.sin(turn), -Math.cos(turn)], across: [Math.cos(turn), Math.sin(turn)] };
  }

  function corner(box, alongM, acrossM) {
    const { along, across } = axes(box);
    return [
      box.x + along[0] * alongM + across[0] * acrossM,
      -box.y + along[1] * alongM + across[1] * acrossM,
    ];
  }

  function outline(box) {
    const [l, w] = [box.length / 2, box.width / 2];
    return [[l, w], [l, -w], [-l, -w], [-l, w]].map(([a, b]) => corner(box, a, b).join(",")).join(" ");
  }

  // Draw a picture with everything on it; `grips` makes the box one that can be taken hold of.
  function draw(svg, scene) {
    const half = scene.side / 2;
    svg.setAttribute("viewBox", `${-half} ${-half} ${scene.side} ${scene.side}`);
    svg.replaceChildren();
    if (scene.href) {
      make("image", { href: scene.href, x: -half, y: -half, width: scene.side, height: scene.side }, svg);
    } else {
      const words = make("text", { x: 0, y: 0, class: "north", "text-anchor": "middle", "font-size": scene.side / 18 }, svg);
      words.textContent = "no picture of this place";
    }
    for (const [x, y] of scene.known) make("circle", { cx: x, cy: -y, r: scene.side / 60, class: "shape outline-over" }, svg);
    if (scene.square) square(svg, scene.square);
    if (scene.box) shape(svg, scene.box, scene);
    else if (!scene.square) cross(svg, scene.side);
    bar(svg, half);
  }

  function square(svg, side) {
    for (const kind of ["under", "over"]) {
      make("rect", { x: -side / 2, y: -side / 2, width: side, height: side, class: `shape outline-${kind}` }, svg);
    }
  }

  function cross(svg, side) {
    const [inner, outer] = [side / 24, side / 10];
    const lines = [[0, -1], [0, 1], [-1, 0], [1, 0]]
      .map(([x, y]) => `M${x * inner},${y * inner}L${x * outer},${y * outer}`)
      .join("");
    for (const kind of ["under", "over"]) make("path", { d: lines, class: `shape outline-${kind}` }, svg);
  }

  function shape(svg, box, scene) {
    const group = make("g", { class: `shape ${scene.mark || ""}` }, svg);
    const points = outline(box);
    make("polygon", { points, class: "outline-under" }, group);
    make("polygon", { points, class: "outline-over" }, group);
    if (!scene.grips) return;
    make("polygon", { points, class: "grip", "data-grip": "move" }, group);
    for (const [grip, at] of [["length", corner(box, box.length / 2, 0)], ["width", corner(box, 0, box.width / 2)]]) {
      make("circle", { cx: at[0], cy: at[1], r: scene.side / 70, class: "handle", "data-grip": grip }, group);
    }
  }

  function bar(svg, half) {
    const long = half > 600 ? 500 : 100;
    const y = half * 0.93;
    make("path", { d: `M${-half * 0.93},${y}h${long}`, class: "scale" }, svg);
    const words = make("text", { x: -half * 0.93, y: y - half * 0.03, class: "north", "font-size": half / 14 }, svg);
    words.textContent = `${long} m`;
  }

  const wrapped = (degrees) => ((degrees % 180) + 180) % 180;

  // A box after a key; null where the key is none of a box's.
  function keyed(box, key, fine) {
    const step = fine ? 2 : 10;
    const change = {
      ArrowLeft: { x: box.x - step },
      ArrowRight: { x: box.x + step },
      ArrowUp: { y: box.y + step },
      ArrowDown: { y: box.y - step },
      "[": { azimuth: wrapped(box.azimuth - 5) },
      "]": { azimuth: wrapped(box.azimuth + 5) },
      "+": { length: box.length + 5 },
      "=": { length: box.length + 5 },
      "-": { length: Math.max(LEAST_M, box.length - 5) },
      ".": { width: box.width + 5 },
      ",": { width: Math.max(LEAST_M, box.width - 5) },
    }[key];
    return change ? { ...box, ...change } : null;
  }

  function pointed(svg, event) {
    const point = new DOMPoint(event.clientX, event.clientY);
    const at = point.matrixTransform(svg.getScreenCTM().inverse());
    return { x: at.x, y: -at.y };
  }

  function dragged(box, grip, from, to) {
    if (grip === "move") return { ...box, x: box.x + to.x - from.x, y: box.y + to.y - from.y };
    if (grip === "draw") return drawn(box, from, to);
    const away = [to.x - box.x, to.y - box.y];
    if (grip === "length") {
      const length = Math.max(LEAST_M, 2 * Math.hypot(...away));
      return { ...box, length, azimuth: wrapped((Math.atan2(away[0], away[1]) * 180) / Math.PI) };
    }
    const { across } = axes(box);
    return { ...box, width: Math.max(LEAST_M, 2 * Math.abs(away[0] * across[0] - away[1] * across[1])) };
  }

  // The long side from end to end; the width stays.
  function drawn(box, from, to) {
    const [x, y] = [to.x - from.x, to.y - from.y];
    const length = Math.hypot(x, y);
    if (length < LEAST_M) return box;
    const azimuth = wrapped((Math.atan2(x, y) * 180) / Math.PI);
    return { ...box, x: (from.x + to.x) / 2, y: (from.y + to.y) / 2, length, azimuth };
  }

  // Let a pointer take hold of the box. `now` gives the box, `changed` takes the new one.
  function hold(svg, { now, drawing, changed }) {
    let held = null;
    svg.addEventListener("pointerdown", (event) => {
      const grip = drawing() ? "draw" : event.target.dataset && event.target.dataset.grip;
      const box = now();
      if (!grip || !box) return;
      held = { grip, from: pointed(svg, event), box };
      svg.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    svg.addEventListener("pointermove", (event) => {
      if (held) changed(dragged(held.box, held.grip, held.from, pointed(svg, event)), false);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      svg.addEventListener(end, () => {
        if (held) changed(now(), held.grip === "draw");
        held = null;
      });
    }
  }

  return { draw, keyed, hold };
})();
