// Tables: a click on a column's head sorts the rows by it, a second one the other way round; what has no value stays last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const rest = table.querySelector("template");
  const rows = [...body.rows, ...(rest?.content.querySelectorAll("tr") ?? [])];
  const showAll = addRest(table, body, rest, rows.length);
  const heads = [...table.tHead.rows[0].cells];
  const words = new Intl.Collator("en", { numeric: true });
  let order = rows;

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if ("missing" in cell.dataset) return null;
    return "number" in cell.dataset ? Number(cell.dataset.number) : cell.textContent.trim();
  };
  const compare = (a, b) => {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return typeof a === "number" ? a - b : words.compare(a, b);
  };
  // Only rows that are out of place move, since the browser lays those out anew.
  const place = () => {
    const shown = order.filter((row) => row.parentElement === body);
    let next = body.firstElementChild;
    for (const row of [...shown.filter(pins.isPinned), ...shown.filter((row) => !pins.isPinned(row))]) {
      if (row === next) next = next.nextElementSibling;
      else body.insertBefore(row, next);
    }
  };
  const sort = (column) => {
    showAll();
    const descending = heads[column].getAttribute("aria-sort") === "ascending";
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
    const valued = rows.map((row) => [valueOf(row, column), row]);
    const sorted = valued.filter(([value]) => value !== null);
    sorted.sort(([a], [b]) => (descending ? compare(b, a) : compare(a, b)));
    order = [...sorted, ...valued.filter(([value]) => value === null)].map(([, row]) => row);
    place();
  };

  heads.forEach((head, column) => {
    const button = make("button", { type: "button" }, ...head.childNodes);
    button.addEventListener("click", () => sort(column));
    head.append(button);
  });

  const pins = addPins(body, rows, (changed) => {
    if (changed.some((row) => row.parentElement !== body)) showAll();
    // Those between its old place and its new one stay where they are.
    for (const row of changed) body.append(row);
    place();
    tools.filterAgain();
  });
  const tools = addTools(table, heads, rows, showAll, pins);
}

/** Below a table that shows its first rows only: a button for all of them. Returns what shows them. */
function addRest(table, body, rest, count) {
  if (!rest) return () => {};
  const button = make("button", { type: "button" }, `Show all ${count.toLocaleString("en")} rows`);
  const showAll = () => {
    body.append(rest.content);
    button.remove();
  };
  button.addEventListener("click", showAll);
  table.parentElement.after(button);
  return showAll;
}

// Above each table: a filter, a choice of columns, pins for the best rows, and what is shown as text to copy.
// Returns what applies the filter again, if there is one.
function addTools(table, heads, rows, showAll, { isPinned, pin, move, unpin }) {
  const titles = heads.map((head) => head.textContent.trim());
  const asRow = (row) => ({
    number: (column) => ("number" in row.cells[column].dataset ? Number(row.cells[column].dataset.number) : null),
    text: (column) => row.cells[column].textContent.trim(),
    all: () => row.textContent,
  });
  const box = make("input", { type: "search", placeholder: "text, ELBO > -100" });
  const said = make("output", {});
  const filter = () => {
    showAll();
    const all = conditions(box.value, titles);
    const passing = new Set(rows.filter((row) => all.every((holds) => holds(asRow(row)))));
    for (const row of rows) row.hidden = !passing.has(row) && !isPinned(row);
    const kept = rows.filter((row) => isPinned(row) && !passing.has(row)).length;
    said.textContent = box.value ? `${passing.size} of ${rows.length} rows${kept ? `, and ${kept} pinned` : ""}` : "";
  };
  box.addEventListener("input", filter);

  const choices = titles.map((title, column) => {
    const [box, label] = tick(title, true, () => {
      heads[column].hidden = !box.checked;
      for (const row of rows) row.cells[column].hidden = !box.checked;
      const first = heads.findIndex((head) => !head.hidden);
      if (first >= 0) move(first);
    });
    return label;
  });

  const textOf = (cell) => [...cell.childNodes].map((node) => node.textContent.trim()).filter(Boolean).join(" ");
  const shown = () => [
    titles.filter((_, column) => !heads[column].hidden),
    ...[...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => [...row.cells].filter((cell) => !cell.hidden).map(textOf)),
  ];
  const copies = { Markdown: markdown, LaTeX: latex, CSV: csv };
  const buttons = Object.entries(copies).map(([name, format]) => {
    const button = make("button", { type: "button" }, `Copy ${name}`);
    button.addEventListener("click", async () => {
      showAll();
      try {
        await navigator.clipboard.writeText(format(shown()));
        said.textContent = `${name} is copied`;
      } catch (error) {
        said.textContent = `The browser does not allow to copy: ${error.message}`;
      }
    });
    return button;
  });
  const best = bestPinner(heads, rows, pin, said);
  const columns = make("details", {}, make("summary", {}, "Columns"), ...choices);
  table.parentElement.before(make("div", { className: "tools" }, make("label", {}, "Filter ", box), ...buttons, ...(best ? [best] : []), unpin, said, columns));
  return { filterAgain: () => box.value && filter() };
}

function markdown([head, ...rows]) {
  const line = (cells) => `| ${cells.map((text) => text.replace(/[\\|<`*_[\]]/g, "\\$&")).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---|").join("")}`, ...rows.map(line)].join("\n") + "\n";
}

function latex([head, ...rows]) {
  const words = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" };
  // A bracket after \\ would be read as its argument.
  const cell = (text) => text.replace(/[\\~^&%$#_{}]/g, (sign) => words[sign] ?? `\\${sign}`).replace(/^\[/, "{[}");
  const line = (cells) => `${cells.map(cell).join(" & ")} \\\\`;
  const body = [line(head), "\\midrule", ...rows.map(line)];
  return [`\\begin{tabular}{${"l".repeat(head.length)}}`, "\\toprule", ...body, "\\bottomrule", "\\end{tabular}", ""].join("\n");
}

function csv(rows) {
  // A spreadsheet would compute a name that begins like a formula.
  const plain = (text) => (/^[=+@\t\r-]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text);
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const cell = (text) => quoted(plain(text));
  return rows.map((cells) => cells.map(cell).join(",")).join("\n") + "\n";
}
