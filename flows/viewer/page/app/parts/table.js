// Tables by DataTables, whose cells are text or nodes of ours.

/**
 * A table that asks for the rows that it shows: `ask(request)` gives, or promises, a page as `source.page` has it. `columns`:
 * [{key, title, node: (row) => Node | text, sortable, className}]. `filters()`: {column: value}, asked for at each load;
 * `onpage(page, request)` is told what came. The frame that is given back has `reload()`: the first page again, and
 * `refresh()`: the same page again.
 */
function askedTable(ask, columns, { filters = () => ({}), onpage = null, ...options }) {
  const note = el("p", { hidden: true });
  const load = async (asked, answer) => {
    const order = asked.order.map((by) => [columns[by.column].key, by.dir]);
    const request = { start: asked.start, length: asked.length, search: asked.search.value, order, filters: filters() };
    try {
      const page = await ask(request);
      frame.classList.remove("unanswered");
      tellNote(note, "missing", page.note);
      answer({ draw: asked.draw, recordsTotal: page.total, recordsFiltered: page.filtered, data: page.rows });
      onpage?.(page, request);
    } catch (error) {
      tellNote(note, "problem", shownText(failureText(error)), " ", el("button", { type: "button", onclick: () => frame.refresh() }, "ask again"));
    }
  };
  const frame = dataTable(columns, { ...options, serverSide: true, ajax: load });
  frame.classList.add("unanswered"); // until the first page came
  frame.append(note);
  return frame;
}

/** A line below a table, or none. */
function tellNote(note, kind, ...parts) {
  note.className = kind;
  note.hidden = !parts.some(Boolean);
  refill(note, parts);
}

/** A table of rows that are there. */
function plainTable(rows, columns, options) {
  return dataTable(columns, { ...options, data: rows, ...furniture(rows.length) });
}

/** What stands around a table, where it has so many rows that this is of use. */
function furniture(length) {
  return { searching: length > 10, paging: length > 25, info: length > 25 };
}

function dataTable(columns, { order = [], length = 25, onrow = null, label, ...options }) {
  const heads = columns.map(({ title, className }) => el("th", { scope: "col", class: className }, title));
  const table = el("table", { class: "display", "aria-label": label }, el("thead", {}, el("tr", {}, heads)));
  const frame = el("div", { class: "table" }, table);
  queueMicrotask(() => {
    const drawn = new DataTable(table, {
      ...options, pageLength: length, deferRender: true, autoWidth: false, language: TABLE_WORDS,
      columns: columns.map(({ key, node, sortable = true, className }) => ({
        className, data: null, orderable: sortable, defaultContent: "",
        render: (_, kind, row) => (kind === "display" ? cell(node ? node(row) : row[key]) : row[key]),
      })),
      order: order.map(([key, way]) => [columns.findIndex((column) => column.key === key), way]),
      createdRow: (element, row) => onrow && onrow(element, row),
    });
    frame.reload = () => drawn.ajax.reload();
    if (options.serverSide) frame.refresh = () => keepFocus(frame, (done) => drawn.ajax.reload(done, false));
    for (const input of frame.querySelectorAll("input[type=search]")) input.setAttribute("aria-label", `Search ${label ?? ""}`.trim());
  });
  return frame;
}

/** Draw rows anew; the focus goes to the link that leads where the one led that had it. */
function keepFocus(frame, draw) {
  const had = frame.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  draw(() => had !== null && document.activeElement === document.body && frame.querySelector(`a[href="${CSS.escape(had)}"]`)?.focus({ preventScroll: true }));
}

const TABLE_WORDS = {
  search: "", searchPlaceholder: "search", lengthMenu: "_MENU_ a page", info: "_START_ to _END_ of _TOTAL_",
  infoEmpty: "none", infoFiltered: "(of _MAX_)", emptyTable: "there are none", zeroRecords: "none has that in it",
};

/** A node: DataTables reads text as markup. */
function cell(content) {
  if (content instanceof Node) return content;
  return el("span", {}, content === null || content === undefined ? MISSING : shownText(String(content)));
}

/** Make a row a way to a place: by the pointer anywhere in it, by the keyboard through its first cell's link. */
function rowLink(row, parts) {
  row.classList.add("way");
  row.addEventListener("click", (event) => {
    if (!event.target.closest("a, button, input, select") && !getSelection().toString()) go(parts);
  });
  const first = row.cells[0];
  if (first && !first.querySelector("a")) first.replaceChildren(el("a", { href: href(parts) }, [...first.childNodes]));
}
