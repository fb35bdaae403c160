// Tables by DataTables, whose cells are text or nodes of ours.

/** A table that asks `source` for the rows that it shows. `columns`: [{key, title, node: (row) => Node | text, sortable}]. */
function pagedTable(run, name, columns, { order, length = 25, onrow = null, label }) {
  return dataTable(columns, {
    order, length, onrow, label, serverSide: true,
    ajax: async (request, answer) => {
      const wanted = {
        start: request.start, length: request.length, search: request.search.value,
        order: request.order.map((one) => [columns[one.column].key, one.dir]),
      };
      const page = await source.page(run, name, wanted);
      answer({ draw: request.draw, recordsTotal: page.total, recordsFiltered: page.filtered, data: page.rows });
    },
  });
}

/** A table of rows that are there. */
function plainTable(rows, columns, options) {
  return dataTable(columns, { ...options, data: rows, searching: rows.length > 10, paging: rows.length > 25 });
}

function dataTable(columns, { order = [], length = 25, onrow = null, label, ...options }) {
  const table = el("table", { class: "display", "aria-label": label });
  const frame = el("div", { class: "table" }, table);
  queueMicrotask(() => new DataTable(table, {
    ...options, pageLength: length, deferRender: true, autoWidth: false,
    columns: columns.map(({ key, title, node, sortable = true, className }) => ({
      title, className, data: null, orderable: sortable, defaultContent: "",
      render: (_, kind, row) => (kind === "display" ? cell(node ? node(row) : row[key]) : row[key]),
    })),
    order: order.map(([key, way]) => [columns.findIndex((column) => column.key === key), way]),
    createdRow: (element, row) => onrow && onrow(element, row),
  }));
  return frame;
}

/** A node: DataTables reads text as markup. */
function cell(content) {
  return content instanceof Node ? content : el("span", {}, content === null || content === undefined ? "–" : String(content));
}
