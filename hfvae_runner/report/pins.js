// Pinned rows of a table: they stay at the top, whatever the order, and visible, whatever the filter.

/**
 * A toggle in each row's first cell. Returns whether a row is pinned, and what pins some rows.
 *
 * `changed` is called with rows that were pinned or unpinned.
 */
function addPins(body, rows, changed) {
  const isPinned = (row) => row.classList.contains("pinned");
  const pin = (some, pinned) => {
    for (const row of some) {
      row.classList.toggle("pinned", pinned);
      row.querySelector(".pin").setAttribute("aria-pressed", String(pinned));
    }
    changed(some);
  };
  // Its sign is drawn by the style: text would be sorted by, searched and copied.
  const sample = make("button", { type: "button", className: "pin", title: "Keep this row at the top", ariaLabel: "Pin this row" });
  sample.setAttribute("aria-pressed", "false");
  for (const row of rows) row.cells[0].prepend(sample.cloneNode());
  body.addEventListener("click", (event) => {
    const button = event.target.closest(".pin");
    if (!button) return;
    const row = button.closest("tr");
    pin([row], !isPinned(row));
    // A row that moves loses the focus. What the mouse points at stays in view; a keyboard's focus moves with its row.
    button.focus({ preventScroll: event.detail > 0 });
  });
  return { isPinned, pin };
}

/**
 * A button that pins the rows with the best and the second best mean; null for a table that marks none.
 *
 * The metric is the one that the table is sorted by, or else the first one that has a best row.
 */
function bestPinner(heads, rows, pin, said) {
  const marked = (column) => rows.filter(({ cells }) => cells[column].classList.contains("first") || cells[column].classList.contains("second"));
  const columns = heads.map((_, column) => column).filter((column) => marked(column).length);
  if (!columns.length) return null;
  const button = make("button", { type: "button", title: "Keep the best and the second best row at the top" }, "Pin best");
  button.addEventListener("click", () => {
    const column = columns.find((place) => heads[place].hasAttribute("aria-sort")) ?? columns[0];
    pin(marked(column), true);
    said.textContent = `Pinned: best and second best mean ${heads[column].textContent.trim()}`;
  });
  return button;
}
