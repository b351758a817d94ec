"use strict";
// A dot plot of a table's rows: any column against any other, coloured by a third. Only rows that the filter shows.

const PLOT = { width: 760, height: 420, left: 78, right: 16, top: 16, bottom: 52 };
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800", "#7f6fbf", "#8c564b", "#7f7f7f"];

function svg(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Round numbers that cover a range, about five of them. */
function ticksOf(low, high) {
  const rough = (high - low) / 5 || Math.abs(low) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: Math.max(1, count) }, (_, place) => Number(((first + place) * step).toPrecision(12)));
}

function scaleOf(values, from, to) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const margin = 0.05 * (most - least) || 0.5;
  const [low, high] = [least - margin, most + margin];
  return { low, high, place: (value) => from + ((to - from) * (value - low)) / (high - low) };
}

function axes(x, y, titles) {
  const { width, height, left, right, top, bottom } = PLOT;
  const parts = [];
  for (const value of ticksOf(x.low, x.high)) {
    const place = x.place(value);
    parts.push(svg("line", { x1: place, x2: place, y1: top, y2: height - bottom, stroke: "currentColor", "stroke-opacity": 0.12 }));
    parts.push(svg("text", { x: place, y: height - bottom + 18, "text-anchor": "middle", fill: "currentColor" }, String(value)));
  }
  for (const value of ticksOf(y.low, y.high)) {
    const place = y.place(value);
    parts.push(svg("line", { x1: left, x2: width - right, y1: place, y2: place, stroke: "currentColor", "stroke-opacity": 0.12 }));
    parts.push(svg("text", { x: left - 8, y: place + 4, "text-anchor": "end", fill: "currentColor" }, String(value)));
  }
  const middle = (top + height - bottom) / 2;
  parts.push(svg("text", { x: (left + width - right) / 2, y: height - 10, "text-anchor": "middle", fill: "currentColor" }, titles.x));
  parts.push(svg("text", { x: 16, y: middle, "text-anchor": "middle", fill: "currentColor", transform: `rotate(-90 16 ${middle})` }, titles.y));
  return parts;
}

/** Add the plot below a table's tools; a table without two columns of numbers has none. */
function addPlot(tools, heads, rows, make) {
  const titles = heads.map((head) => head.textContent.trim());
  const isNumber = (row, column) => "number" in row.cells[column].dataset;
  const numeric = titles.map((_, column) => column).filter((column) => rows.filter((row) => isNumber(row, column)).length > 1);
  if (numeric.length < 2) return;
  const textOf = (row, column) => row.cells[column].firstChild?.textContent.trim() ?? "";
  const kindsOf = (column) => [...new Set(rows.map((row) => textOf(row, column)))];
  const few = titles.map((_, column) => column).filter((column) => kindsOf(column).length > 1 && kindsOf(column).length <= COLOURS.length);

  const select = (name, columns, chosen, none) => {
    const box = make("select", {}, ...(none ? [make("option", { value: "" }, none)] : []));
    box.append(...columns.map((column) => make("option", { value: column }, titles[column])));
    box.value = chosen;
    box.addEventListener("change", draw);
    return [box, make("label", {}, `${name} `, box)];
  };
  const [across, acrossLabel] = select("across", numeric, numeric[0]);
  const [up, upLabel] = select("up", numeric, numeric.find((column) => titles[column] === "ELBO") ?? numeric[1]);
  const [colour, colourLabel] = select("colour", few, "", "none");
  const frame = make("div", { className: "plot" });
  const legend = make("ul", { className: "legend" });
  const save = make("button", { type: "button" }, "Save SVG");

  function draw() {
    const columns = { x: Number(across.value), y: Number(up.value) };
    const shown = rows.filter((row) => !row.hidden && isNumber(row, columns.x) && isNumber(row, columns.y));
    frame.replaceChildren();
    legend.replaceChildren();
    if (!shown.length) return;
    const valueOf = (row, axis) => Number(row.cells[columns[axis]].dataset.number);
    const x = scaleOf(shown.map((row) => valueOf(row, "x")), PLOT.left, PLOT.width - PLOT.right);
    const y = scaleOf(shown.map((row) => valueOf(row, "y")), PLOT.height - PLOT.bottom, PLOT.top);
    const kinds = colour.value === "" ? [] : kindsOf(Number(colour.value));
    const colourOf = (row) => COLOURS[colour.value === "" ? 0 : kinds.indexOf(textOf(row, Number(colour.value)))];
    const dots = shown.map((row) => {
      const about = titles.map((title, column) => `${title}: ${textOf(row, column)}`).filter((_, column) => !heads[column].hidden);
      const dot = svg("circle", { cx: x.place(valueOf(row, "x")), cy: y.place(valueOf(row, "y")), r: 5, fill: colourOf(row), "fill-opacity": 0.75 });
      const link = row.querySelector("a");
      const held = link ? svg("a", { href: link.getAttribute("href") }, dot) : dot;
      dot.append(svg("title", {}, [link?.title, ...about].filter(Boolean).join("\n")));
      return held;
    });
    const box = `0 0 ${PLOT.width} ${PLOT.height}`;
    const whole = svg("svg", { viewBox: box, role: "img", "font-family": "system-ui, sans-serif", "font-size": 13 });
    whole.setAttribute("aria-label", `${titles[columns.y]} against ${titles[columns.x]}, ${shown.length} rows`);
    whole.append(...axes(x, y, { x: titles[columns.x], y: titles[columns.y] }), ...dots);
    frame.append(whole);
    legend.append(...kinds.map((kind, place) => {
      const mark = svg("svg", { viewBox: "0 0 10 10", width: 10, height: 10 }, svg("circle", { cx: 5, cy: 5, r: 5, fill: COLOURS[place] }));
      return make("li", {}, mark, ` ${kind}`);
    }));
  }

  save.addEventListener("click", () => {
    const copy = frame.firstElementChild?.cloneNode(true);
    if (!copy) return;
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("color", "#222");
    const url = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" }));
    make("a", { href: url, download: "plot.svg" }).click();
    URL.revokeObjectURL(url);
  });

  const controls = make("div", { className: "controls" }, acrossLabel, upLabel, colourLabel, save);
  const details = make("details", {}, make("summary", {}, "Plot"), controls, frame, legend);
  details.addEventListener("toggle", draw);
  tools.querySelector("input[type=search]").addEventListener("input", () => details.open && draw());
  tools.append(details);
}
