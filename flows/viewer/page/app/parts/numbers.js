// Numbers as Python has shaped them: tables whose cells are shown one way and sorted by another, curves, texts of reports.

/**
 * A table as `Table.document` has it. `links`: {column's title: (value) => {parts, query}}, for cells that lead somewhere;
 * `run`: where to, in a page of several.
 */
function numbersTable({ columns, rows }, { label, order = [], links = {}, wide = [], run = current.run } = {}) {
  const shaped = rows.map((row) => ({ cells: row, ...row.map(sortValue) }));
  return plainTable(shaped, columns.map((title, index) => ({
    key: index, title,
    className: [rows.every((row) => isNumber(row[index])) && rows.length && "num", wide.includes(title) && "wide"].filter(Boolean).join(" "),
    node: ({ cells }) => numberCell(cells[index], links[title], run),
  })), { label, order });
}

function sortValue(value) {
  return value !== null && typeof value === "object" ? value.value : value;
}

function isNumber(value) {
  return value === null || typeof sortValue(value) === "number";
}

/** 0.41 [0.35, 0.48]: the interval stands back. */
function numberCell(value, link, run) {
  if (value === null) return MISSING;
  if (link) {
    const { parts, query } = link(sortValue(value));
    return el("a", { href: href(parts, run, query) }, shownText(String(sortValue(value))));
  }
  if (typeof value !== "object") return el("span", { class: "any" }, typeof value === "number" ? number(value, 6) : textOrName(value));
  const [head, ends] = value.shown.split(" [");
  return el("span", {}, head, ends && el("span", { class: "faint" }, ` [${ends}`));
}

/** The text; a name of several words, such as a setting's, breaks between them where the column is narrow. */
function textOrName(text) {
  if (!/^[a-z0-9_.]+$/.test(text)) return shownText(text);
  return text.split(/(?<=[._])/).flatMap((word, place) => (place ? [el("wbr"), word] : [word]));
}

/** A curve as `curve_document` has it: what it says, the chart, and its numbers folded below. */
function curveCard({ title, about, figure, table, missing }, { runs = [current.run] } = {}) {
  const open = (datum) => Number.isFinite(datum.place) && go(["rollouts"], runs[0], { round: Math.round(datum.place) });
  const byRound = runs.length === 1 && table?.columns[0] === "round";
  const isDrawnByRound = byRound && figure?.layer?.some(({ encoding }) => encoding.x?.title === "round"); // else by step
  return el("section", { class: "curve" },
    el("h2", {}, title),
    figure ? chart(figure, `${title}: ${about}`, { onclick: isDrawnByRound ? open : null }) : el("p", { class: "missing" }, missing),
    el("p", { class: "about" }, about),
    table && el("details", {}, el("summary", {}, "numbers"),
      numbersTable(table, { label: title, links: byRound ? { round: roundLink } : {}, run: runs[0] })));
}

function roundLink(round) {
  return { parts: ["rollouts"], query: { round } };
}

/** A part of a report, as `Report.document` has it. */
function reportPart({ text, table, figure, alt }) {
  if (table) return [table.title && el("h3", {}, capital(table.title)), numbersTable(table, { label: table.title || "numbers" })];
  if (figure) return el("div", { class: "wide", tabindex: "0", role: "group", "aria-label": alt }, chart(figure, alt));
  return text.startsWith("    ") ? el("pre", {}, shownText(text.replace(/^ {4}/gm, ""))) : markdown(text);
}

/** The Markdown that reports are written in: headings of the second level, lists, paragraphs, code within them. */
function markdown(text) {
  if (text.startsWith("## ")) return el("h3", {}, inline(text.slice(3)));
  if (!text.startsWith("- ")) return el("p", {}, text.split("\n").map((line) => el("span", { class: "line" }, inline(line), " ")));
  return el("ul", {}, text.slice(2).split(/\n- /).map((item) => el("li", {}, inline(item.replace(/\n\s*/g, " ")))));
}

function inline(text) {
  return text.split(/`([^`]+)`/).map((part, index) => (index % 2 ? el("code", {}, shownText(part)) : shownText(part)));
}

function capital(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
