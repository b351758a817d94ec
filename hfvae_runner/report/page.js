"use strict";
// A click on a column's head sorts the rows by it, a second one the other way round; what has no value stays last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const words = new Intl.Collator("en", { numeric: true });

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if ("missing" in cell.dataset) return null;
    return "number" in cell.dataset ? Number(cell.dataset.number) : cell.textContent.trim();
  };
  const compare = (a, b) => {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return typeof a === "number" ? a - b : words.compare(a, b);
  };
  const sort = (column) => {
    const descending = heads[column].getAttribute("aria-sort") === "ascending";
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
    const valued = rows.map((row) => [valueOf(row, column), row]);
    const sorted = valued.filter(([value]) => value !== null);
    sorted.sort(([a], [b]) => (descending ? compare(b, a) : compare(a, b)));
    body.append(...[...sorted, ...valued.filter(([value]) => value === null)].map(([, row]) => row));
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(column));
    head.append(button);
  });
}
