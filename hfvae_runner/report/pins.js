// Pinned rows of a table: they stay at the top, whatever the order, and visible, whatever the filter.

/**
 * A toggle in each row's first cell. Returns whether a row is pinned, what pins some rows, what moves the toggles to
 * another column, and a button that unpins all.
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
    unpin.disabled = !rows.some(isPinned);
    changed(some);
  };
  const unpin = make("button", { type: "button", disabled: true, title: "Let all rows go back to their places" }, "Unpin all");
  unpin.addEventListener("click", () => pin(rows.filter(isPinned), false));
  const move = (column) => {
    for (const row of rows) row.cells[column].prepend(row.querySelector(".pin"));
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
  return { isPinned, pin, move, unpin };
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
