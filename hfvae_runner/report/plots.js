// Plots of the completed runs: two columns against each other with means and their intervals, or several columns as
// parallel coordinates or by their correlations.

const MOST_LINES = 1000;
const MOST_FACETS = 8;

/** The columns of DATA as numbers or words, and the rows of the runs. */
const COLUMNS = DATA.columns.map((column, place) => {
  const values = DATA.values[place].map((value) => (value === MISSING ? null : value));
  const known = values.filter((value) => value !== null);
  return { ...column, place, values, kinds: distinct(known), numeric: known.length > 0 && known.every((value) => typeof value === "number") };
}).filter((column) => column.kinds.length > 1);

(function plots() {
  const section = document.getElementById("plots");
  const knobs = COLUMNS.filter((column) => !column.metric && column.title !== "seed");
  const numbers = COLUMNS.filter((column) => column.metric);
  if (DATA.runs.length < 2 || !numbers.length) return;
  section.hidden = false;
  const [controls, frame, note] = section.querySelectorAll(".controls, .plot, .quiet");
  const titles = COLUMNS.map((column) => column.title);
  const named = (columns) => columns.map((column) => [titles.indexOf(column.title), column.title]);
  const every = DATA.runs.map((_, run) => run);

  const first = knobs.find((column) => column.numeric) ?? knobs[0] ?? numbers[1] ?? numbers[0];
  const height = numbers.find((column) => column.title === "ELBO") ?? numbers[0];
  const tint = knobs.find((column) => column !== first && coloured(column.kinds));
  const [kind, kindLabel] = selection("as", [["dots", "dots"], ["lines", "parallel coordinates"], ["ranks", "correlations"]], "dots", draw);
  const [across, acrossLabel] = selection("across", named(COLUMNS), titles.indexOf(first.title), draw);
  const [up, upLabel] = selection("up", named(numbers), titles.indexOf(height.title), draw);
  const tinted = COLUMNS.filter((column) => coloured(column.kinds));
  const [colour, colourLabel] = selection("colour", [["", "none"], ...named(tinted)], tint ? titles.indexOf(tint.title) : "", draw);
  const split = knobs.filter((column) => column.kinds.length <= MOST_FACETS);
  const [facet, facetLabel] = selection("facet", [["", "none"], ...named(split)], "", draw);
  const [means, meansLabel] = tick("means", true, draw);
  const [logarithmic, logLabel] = tick("log across", false, draw);
  const axes = COLUMNS.map((column, place) => [place, ...tick(column.title, knobs.includes(column) || numbers.indexOf(column) in [0, 1, 2, 3], draw)]);
  const axesBox = make("details", {}, make("summary", {}, "Axes"), ...axes.map(([, , label]) => label));
  const filter = make("input", { type: "search", placeholder: "text, ELBO > -100" });
  filter.addEventListener("input", draw);
  const filterLabel = make("label", {}, "Filter ", filter);
  controls.append(kindLabel, acrossLabel, upLabel, colourLabel, facetLabel, meansLabel, logLabel, filterLabel, saver(frame, "plot.svg"), axesBox);

  const asRow = (run) => ({
    number: (place) => (typeof COLUMNS[place].values[run] === "number" ? COLUMNS[place].values[run] : null),
    text: (place) => String(COLUMNS[place].values[run] ?? MISSING),
    all: () => [DATA.runs[run], ...COLUMNS.map((column) => column.values[run] ?? MISSING)].join("\n"),
  });
  const aboutOf = (run) => [DATA.runs[run], ...[...knobs, ...numbers.slice(0, 5)].map((column) => `${column.title}: ${column.values[run] ?? MISSING}`)].join("\n");
  const axisOf = (column) => (column.unit && column.unit !== "share" && !column.title.includes("/") ? `${column.title} / ${column.unit}` : column.title);
  const ticked = () => axes.filter(([, box]) => box.checked).map(([place]) => COLUMNS[place]);
  const chosen = (box) => (box.value === "" ? null : COLUMNS[Number(box.value)]);

  function draw() {
    const [isDots, isRanks] = [kind.value === "dots", kind.value === "ranks"];
    for (const label of [acrossLabel, upLabel, facetLabel, meansLabel, logLabel]) label.hidden = !isDots;
    axesBox.hidden = isDots;
    colourLabel.hidden = isRanks;
    // Words have no ranks.
    for (const [place, , label] of axes) label.hidden = isRanks && !COLUMNS[place].numeric;
    const all = conditions(filter.value, titles);
    const shown = every.filter((run) => all.every((holds) => holds(asRow(run))));
    if (isRanks) return correlations(shown);
    const by = chosen(colour);
    const scale = by && coloured(by.kinds);
    const tintOf = (run) => (scale.type === "ordinal" ? String(by.values[run] ?? MISSING) : by.values[run]);
    const look = by ? { of: tintOf, scale } : { of: () => COLOURS[0], scale: null };
    const chart = isDots ? dots(shown, look) : parallel(shown, look);
    if (!chart) return show(frame);
    const name = isDots ? `${chosen(up).title} against ${chosen(across).title}` : "Parallel coordinates";
    present(chart, `${name}, ${shown.length} runs`, by?.title);
  }

  /** Show a chart under its name for screen readers, below the legend of its colours if they have a title. */
  function present(chart, name, colours) {
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", name);
    // A ramp's first and last number are as wide as its margins.
    const margins = colours && chart.scale("color").type !== "ordinal" ? { marginLeft: 20, marginRight: 20, width: 280 } : {};
    const legend = colours ? chart.legend("color", { className: "plot-legend", label: colours, ...margins }) : null;
    show(frame, ...(legend ? [legend] : []), chart);
  }

  function correlations(shown) {
    const chart = correlationMap(ticked().filter((column) => column.numeric), shown);
    note.textContent = `Spearman's rank correlation over ${shown.length} of ${every.length} completed runs, for each two columns over those that have both; empty where one of them is constant.`;
    if (!chart) return show(frame);
    present(chart, `Rank correlations, ${shown.length} runs`, "Spearman's rank correlation");
  }

  function dots(shown, look) {
    const [x, y, fx] = [chosen(across), chosen(up), chosen(facet)];
    const there = shown.filter((run) => x.values[run] !== null && y.values[run] !== null);
    note.textContent = `${there.length} of ${every.length} completed runs, a dot each: click one to open its folder.`;
    if (!there.length) return null;
    const fxOf = fx ? { fx: (run) => String(fx.values[run] ?? MISSING) } : {};
    const xOf = (run) => (x.numeric ? x.values[run] : String(x.values[run]));
    const marks = [
      Plot.dot(there, { x: xOf, y: (run) => y.values[run], ...fxOf, fill: look.of, fillOpacity: 0.6, r: 4, href: (run) => DATA.links[run], ariaLabel: (run) => DATA.runs[run] }),
    ];
    if (means.checked) marks.push(...averages(there, { x, y, xOf, fxOf, look }));
    marks.push(Plot.tip(there, Plot.pointer({ x: xOf, y: (run) => y.values[run], ...fxOf, title: aboutOf })));
    return Plot.plot({
      className: "plot", width: 1100, height: 480, marginLeft: 64, marginTop: fx ? 52 : 24, marginBottom: 44, inset: 12, grid: true, style: { fontSize: "13px" },
      x: x.numeric ? { label: axisOf(x), type: logarithmic.checked && x.kinds[0] > 0 ? "log" : "linear" } : { label: axisOf(x), type: "point", domain: x.kinds.map(String), padding: 0.5 },
      y: { label: axisOf(y), nice: true },
      fx: fx ? { label: fx.title, domain: fx.kinds.map(String) } : undefined,
      color: look.scale ?? undefined,
      marks,
    });
  }

  /** The means over the runs of each setting, with the 95 % intervals, and lines between settings that differ in x alone. */
  function averages(there, { x, y, xOf, fxOf, look }) {
    const runs = d3.group(there, (run) => DATA.setting[run]);
    const apart = knobs.filter((column) => column !== x);
    const groups = [...runs].map(([setting, [run, ...others]]) => {
      const [mean, low, high] = DATA.means[y.title][setting];
      const [own, left, right] = x.metric ? DATA.means[x.title][setting] ?? [null, null, null] : [xOf(run), null, null];
      return { run, own, left, right, mean, low, high, several: others.length > 0, line: apart.map((column) => column.values[run]).join("\n") };
    }).filter(({ own }) => own !== null);
    if (x.title === "seed") return [];
    note.textContent += " Large dots: means over all runs of a setting; bars: 95 % bootstrap intervals over three or more.";
    // What lies above a run's dot must not take its clicks.
    const style = { pointerEvents: "none", ...(fxOf.fx ? { fx: (group) => fxOf.fx(group.run) } : {}) };
    const tint = (group) => look.of(group.run);
    const moving = d3.rollup(groups, (line) => new Set(line.map(({ own }) => own)).size, ({ line }) => line);
    return [
      x.metric ? null : Plot.line(d3.sort(groups.filter(({ line }) => moving.get(line) > 1), ({ own }) => (x.numeric ? own : x.kinds.map(String).indexOf(own))), { x: "own", y: "mean", z: "line", stroke: tint, strokeWidth: 1.5, ...style }),
      Plot.ruleX(groups.filter(({ low }) => low !== null), { x: "own", y1: "low", y2: "high", stroke: tint, strokeWidth: 2.5, ...style }),
      Plot.ruleY(groups.filter(({ left }) => left !== null), { y: "mean", x1: "left", x2: "right", stroke: tint, strokeWidth: 2.5, ...style }),
      Plot.dot(groups.filter(({ several }) => several), { x: "own", y: "mean", fill: tint, stroke: "white", r: 6, ...style }),
    ];
  }

  function parallel(shown, look) {
    const used = ticked();
    const drawn = shown.slice(0, MOST_LINES);
    note.textContent = `${drawn.length} of ${every.length} completed runs, a line each: click one to open its folder.`;
    if (drawn.length < shown.length) note.textContent += ` No more than ${MOST_LINES} are drawn; the filter chooses others.`;
    if (used.length < 2 || !drawn.length) return null;
    const placeOf = new Map(used.map((column) => {
      const known = distinct(drawn.map((run) => column.values[run]).filter((value) => value !== null));
      const scale = column.numeric
        ? d3.scaleLinear([known[0], known.at(-1)], known.length > 1 ? [0, 1] : [0.5, 0.5])
        : d3.scalePoint(known, known.length > 1 ? [0, 1] : [0.5, 0.5]);
      return [column, { scale, ends: column.numeric ? [known[0], known.at(-1)] : known }];
    }));
    const points = drawn.flatMap((run) => used.filter((column) => column.values[run] !== null)
      .map((column) => ({ run, axis: column.title, at: placeOf.get(column).scale(column.values[run]) })));
    const labels = used.flatMap((column) => [...new Set(placeOf.get(column).ends)].filter((value) => value !== undefined)
      .map((value) => ({ axis: column.title, at: placeOf.get(column).scale(value), text: column.numeric ? d3.format(".4~g")(value) : value })));
    return Plot.plot({
      className: "plot", width: Math.max(600, 130 * used.length), height: 440, marginTop: 48, marginBottom: 20, marginLeft: 60, marginRight: 90, insetTop: 12,
      style: { fontSize: "12px" }, x: { type: "point", domain: used.map((column) => column.title), axis: "top", label: null, tickSize: 0 }, y: { axis: null, domain: [0, 1] },
      color: look.scale ?? undefined,
      marks: [
        Plot.ruleX(used, { x: "title", strokeOpacity: 0.4 }),
        Plot.line(points, { x: "axis", y: "at", z: "run", stroke: ({ run }) => look.of(run), strokeOpacity: 0.6, href: ({ run }) => DATA.links[run] }),
        Plot.text(labels, { x: "axis", y: "at", text: "text", dx: 6, textAnchor: "start", fill: "currentColor", stroke: "var(--paper)", strokeWidth: 3 }),
        Plot.tip(points, Plot.pointer({ x: "axis", y: "at", title: ({ run }) => aboutOf(run) })),
      ],
    });
  }

  whenNear(section, draw);
})();
