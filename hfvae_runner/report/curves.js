// Training curves: one column of history.csv of each run, coloured by a setting.
/** The share of the steps from which the vertical scale is fitted. */
const FITTED_FROM = 0.05;

(function curves() {
  const section = document.getElementById("curves");
  section.hidden = !DATA.curves.length && !DATA.broken.length;
  if (DATA.broken.length) section.querySelector(".quiet").append(` ${DATA.broken.join("; ")}.`);
  if (!DATA.curves.length) return;
  const [controls, frame] = section.querySelectorAll(".controls, .plot");
  const names = [...new Set(DATA.curves.flatMap(({ values }) => Object.keys(values)))];
  const varies = (name) => DATA.curves.some(({ values }) => new Set(values[name] ?? []).size > 1);
  const shown = names.filter(varies);
  if (!shown.length) return void (section.hidden = !DATA.broken.length);
  const configs = new Map(DATA.configs.map(({ run, settings }) => [run, settings]));
  const links = new Map(DATA.runs.map((run, place) => [run, DATA.links[place]]));
  const valueOf = (run, key) => configs.get(run)?.[key] ?? MISSING;
  const knobs = DATA.columns.filter((column) => !column.metric && column.title !== "seed").map((column) => column.title)
    .filter((key) => { const kinds = new Set(DATA.curves.map(({ run }) => valueOf(run, key))); return kinds.size > 1 && kinds.size <= COLOURS.length; });

  const [column, columnLabel] = selection("column", shown.map((name) => [name, name]), shown.includes("elbo") ? "elbo" : shown[0], draw);
  const [colour, colourLabel] = selection("colour", [["", "none"], ...knobs.map((key) => [key, key])], knobs[0] ?? "", draw);
  const [logarithmic, logLabel] = tick("log steps", false, draw);
  const [start, startLabel] = tick("fit the first steps", false, draw);
  controls.append(columnLabel, colourLabel, logLabel, startLabel, saver(frame, "curves.svg"));

  function draw() {
    const name = column.value;
    const points = DATA.curves.filter(({ values }) => name in values)
      .flatMap(({ run, step, values }) => step.map((at, place) => ({ run, at, value: values[name][place] })).filter(({ value }) => value !== null));
    const tint = colour.value ? ({ run }) => valueOf(run, colour.value) : () => COLOURS[0];
    const about = ({ run, at, value }) => [run, `step ${at}: ${value}`, ...knobs.map((key) => `${key}: ${valueOf(run, key)}`)].join("\n");
    const kinds = distinct(DATA.curves.map(({ run }) => valueOf(run, colour.value)));
    // At first, terms change by far more than later, which would flatten the rest.
    const last = d3.max(points, ({ at }) => at);
    const fitted = start.checked ? points : points.filter(({ at }) => at >= FITTED_FROM * last);
    const chart = Plot.plot({
      className: "plot", width: 1100, height: 420, marginLeft: 64, marginBottom: 44, grid: true, style: { fontSize: "13px" },
      x: { label: "optimiser steps", type: logarithmic.checked ? "log" : "linear" }, y: { label: name, domain: d3.extent(fitted, ({ value }) => value), nice: true },
      color: colour.value ? { type: "ordinal", domain: kinds, range: COLOURS.slice(0, kinds.length) } : undefined,
      marks: [
        Plot.line(points, { x: "at", y: "value", z: "run", stroke: tint, strokeOpacity: 0.7, clip: true, href: ({ run }) => links.get(run) }),
        Plot.tip(points, Plot.pointer({ x: "at", y: "value", title: about })),
      ],
    });
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", `${name} over training, ${DATA.curves.length} runs`);
    show(frame, ...(colour.value ? [chart.legend("color", { className: "plot-legend", label: colour.value })] : []), chart);
  }

  whenNear(section, draw);
})();
