// Rank correlations of columns, as a heat map.

/** The rank of each number, ties with the mean of theirs; from 1/2 rather than 1, which changes no correlation. */
function ranked(numbers) {
  const sorted = Float64Array.from(numbers).sort();
  return numbers.map((number) => (d3.bisectLeft(sorted, number) + d3.bisectRight(sorted, number)) / 2);
}

/** Pearson's correlation; null where one of them is constant. */
function correlation(x, y) {
  const [xMean, yMean] = [d3.mean(x), d3.mean(y)];
  const product = (one, oneMean, other, otherMean) => d3.sum(one, (value, place) => (value - oneMean) * (other[place] - otherMean));
  const scale = Math.sqrt(product(x, xMean, x, xMean)) * Math.sqrt(product(y, yMean, y, yMean));
  return scale > 0 ? product(x, xMean, y, yMean) / scale : null;
}

/**
 * Spearman's correlation of every two columns over the runs that have both numbers.
 *
 * Returns both columns, the correlation, which is null where a column is constant, and the number of runs, by pair.
 */
function spearman(columns, runs) {
  const known = new Map(columns.map((column) => [column, runs.filter((run) => column.values[run] !== null)]));
  const ranksOf = (column, some) => ranked(some.map((run) => column.values[run]));
  // Sorting takes most of the time; most columns have a number for every run.
  const whole = new Map(columns.filter((column) => known.get(column).length === runs.length).map((column) => [column, ranksOf(column, runs)]));
  const ofBoth = (one, other) => {
    if (whole.has(one) && whole.has(other)) return [runs.length, correlation(whole.get(one), whole.get(other))];
    const both = known.get(one).filter((run) => other.values[run] !== null);
    return [both.length, correlation(ranksOf(one, both), ranksOf(other, both))];
  };
  return columns.flatMap((one, place) => columns.slice(0, place + 1).map((other) => {
    const [count, value] = ofBoth(one, other);
    return { one: one.title, other: other.title, value, count };
  }));
}

/** The heat map of some columns' rank correlations; null for fewer than two columns or runs. */
function correlationMap(columns, runs) {
  if (columns.length < 2 || runs.length < 2) return null;
  const pairs = spearman(columns, runs);
  // The other half of the square.
  const cells = [...pairs, ...pairs.filter(({ one, other }) => one !== other).map(({ one, other, ...rest }) => ({ one: other, other: one, ...rest }))];
  const number = d3.format(".2f");
  const about = ({ one, other, value, count }) => `${one} and ${other}\n${value === null ? "not defined" : number(value)}, ${count} run${count === 1 ? "" : "s"}`;
  const place = { x: "other", y: "one" };
  const titles = columns.map((column) => column.title);
  const beside = 24 + 7.5 * d3.max(titles, (title) => title.length);
  return Plot.plot({
    className: "plot", width: beside + 60 * titles.length + beside / 2, height: 36 * titles.length + beside * 0.6, marginLeft: beside, marginTop: beside * 0.6, marginRight: beside / 2, marginBottom: 8,
    style: { fontSize: "13px" },
    x: { domain: titles, axis: "top", label: null, tickRotate: -35, tickSize: 0, padding: 0.04 },
    y: { domain: titles, label: null, tickSize: 0, padding: 0.04 },
    color: { type: "diverging", scheme: "RdBu", domain: [-1, 1], pivot: 0 },
    marks: [
      Plot.cell(cells, { ...place, fill: "none", stroke: "currentColor", strokeOpacity: 0.2 }),
      Plot.cell(cells.filter(({ value }) => value !== null), { ...place, fill: "value" }),
      // The ends of the scheme are dark in both themes.
      Plot.text(cells.filter(({ value }) => value !== null), { ...place, text: ({ value }) => number(value), fill: ({ value }) => (Math.abs(value) > 0.6 ? "white" : "#222"), pointerEvents: "none" }),
      Plot.tip(cells, Plot.pointer({ ...place, title: about })),
    ],
  });
}
