"use strict";
// What the page's parts share: the data, elements, and the language of the filter.

const DATA = JSON.parse(document.getElementById("data").textContent);
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800", "#7f6fbf", "#8c564b", "#7f7f7f"];
const MISSING = "-";

/** An element with properties and children. */
function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A labelled choice; `options` are pairs of value and text. Returns the select element and its label. */
function selection(name, options, chosen, changed) {
  const box = make("select", { ariaLabel: name }, ...options.map(([value, text]) => make("option", { value }, text)));
  box.value = String(chosen);
  box.addEventListener("change", changed);
  return [box, make("label", {}, `${name} `, box)];
}

/** A labelled box to tick. Returns the input element and its label. */
function tick(name, checked, changed) {
  const box = make("input", { type: "checkbox", checked });
  box.addEventListener("change", changed);
  return [box, make("label", {}, box, ` ${name}`)];
}

/**
 * The conditions of a filter's text, of which all must hold: "text", which a row contains, or "ELBO > -100".
 *
 * Each is a function of a row, as which anything counts that has number(column), text(column) and all().
 */
function conditions(text, titles) {
  const tests = { "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b, "=": (a, b) => a === b };
  const condition = (part) => {
    const found = /^(.*?)\s*(<=|>=|<|>|=)\s*(\S+)$/.exec(part);
    const column = found ? titles.indexOf(found[1]) : -1;
    if (column < 0) return (row) => row.all().toLowerCase().includes(part.toLowerCase());
    const number = Number(found[3]);
    return (row) => {
      const own = row.number(column);
      if (own !== null) return tests[found[2]](own, number);
      return found[2] === "=" && row.text(column) === found[3];
    };
  };
  return text.split(",").map((part) => part.trim()).filter(Boolean).map(condition);
}

/** Put a drawing of Plot into a frame. Its style elements, which the page's policy forbids, stand in the page's own. */
function show(frame, ...drawings) {
  for (const drawing of drawings) for (const style of drawing.querySelectorAll("style")) style.remove();
  frame.replaceChildren(...drawings);
}

/** Call a function once, when a section is near what the window shows: plots of thousands of runs take a second. */
function whenNear(section, draw) {
  const observer = new IntersectionObserver(([entry]) => {
    if (!entry.isIntersecting) return;
    observer.disconnect();
    draw();
  }, { rootMargin: "400px" });
  observer.observe(section);
}

/** A button that saves the largest drawing of a frame as an SVG file. */
function saver(frame, name) {
  const button = make("button", { type: "button" }, "Save SVG");
  button.addEventListener("click", () => {
    const copy = frame.querySelector("svg.plot")?.cloneNode(true);
    if (!copy) return;
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("color", "#222");
    for (const tip of copy.querySelectorAll("[aria-label=tip]")) tip.remove();
    const url = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" }));
    make("a", { href: url, download: name }).click();
    URL.revokeObjectURL(url);
  });
  return button;
}

/** Distinct values: numbers by size, then words by their natural order. */
function distinct(values) {
  const words = new Intl.Collator("en", { numeric: true });
  const order = (a, b) => {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return typeof a === "number" ? a - b : words.compare(a, b);
  };
  return [...new Set(values)].sort(order);
}

/** How Plot colours values: a scale of numbers, or a colour for each of at most as many values as there are colours. */
function coloured(values) {
  const kinds = distinct(values);
  if (kinds.length <= COLOURS.length) return { type: "ordinal", domain: kinds.map(String), range: COLOURS.slice(0, kinds.length) };
  return kinds.every((value) => typeof value === "number") ? { type: "linear", scheme: "viridis" } : null;
}
