// The map of prompts and rounds: a cell a group, the fuller the more of its replies succeed.

const MOST_MAPPED = 200;

/** {node, follow}: a map that follows the table beside it, by what the table asks for, while it is unfolded. */
function promptMap(run, rounds) {
  const frame = el("div", {});
  let request = null;
  const node = el("details", { class: "map", open: innerWidth > 600, ontoggle: () => draw() },
    el("summary", {}, "Map of prompts and rounds"), frame);
  const draw = async () => {
    if (!node.open || !request) return;
    const asked = request;
    const { rows, filtered } = await source.page(run, "prompts", { ...asked, start: 0, length: MOST_MAPPED });
    learnRounds(rounds, rows);
    if (asked === request) refill(frame, mapOf(run, rows, rounds, filtered));
  };
  const follow = (next) => {
    const isOtherPage = request && request.start !== next.start && isSameTable(request, next);
    request = next;
    if (!isOtherPage) draw();
  };
  return { node, follow };
}

function isSameTable(before, after) {
  return JSON.stringify({ ...before, start: 0 }) === JSON.stringify({ ...after, start: 0 });
}

function mapOf(run, rows, rounds, filtered) {
  if (rows.length === 0) return el("p", { class: "missing" }, "No prompt is left.");
  const line = el("p", { class: "map-line", role: "status" }, MAP_HELP);
  const isWide = innerWidth > 600;
  const about = isWide ? "Prompts from left to right, rounds from top to bottom" : "Prompts from top to bottom, rounds from left to right";
  const which = filtered > rows.length ? `the first ${rows.length} of ${filtered} prompts` : `${rows.length} prompts`;
  return [
    el("p", { class: "legend" }, `${about}: ${which}, in the table's order.`),
    mapLegend(), line, drawMap(run, rows, rounds, { isWide, say: (text) => refill(line, shownText(text)) }),
  ];
}

const MAP_HELP = "Point at a cell, or use the arrow keys; Enter opens its group.";

function mapLegend() {
  const cell = (attributes) => svg("svg", { class: "map-cells", width: 16, height: 16, "aria-hidden": "true" }, svg("rect", { width: 15, height: 15, x: 0.5, y: 0.5, ...attributes }));
  const scale = [0, 0.25, 0.5, 0.75, 1].map((rate) => el("span", {}, cell({ class: "rate", style: passStyle(rate) }), ` ${100 * rate} %`));
  return el("p", { class: "legend row" }, scale, el("span", {}, cell({ class: "unjudged" }), " none judged"), el("span", {}, "blank: not asked"));
}

/** The cells, and a cursor that arrow keys and the pointer move. */
function drawMap(run, rows, rounds, { isWide, say }) {
  const cells = mapCells(rows, rounds);
  const size = mapSize(rows.length, rounds.length, isWide);
  const cursor = svg("rect", { class: "cursor", visibility: "hidden", width: size.width, height: size.height });
  let chosen = -1;
  const choose = (index) => {
    chosen = index;
    const [x, y] = cornerOf(cells[index], size);
    fill(cursor, { visibility: "visible", x, y }, []);
    say(cellWords(cells[index]));
  };
  const open = ({ row, asked }) => go(["round", asked[0], "prompt", row.prompt_id], run);
  const pointed = (event, act) => event.target.dataset?.cell !== undefined && act(Number(event.target.dataset.cell));
  return el("div", {
    class: "map-frame", tabindex: "0", role: "application", "aria-label": "Map of prompts and rounds; arrow keys go from group to group, Enter opens one",
    onpointermove: (event) => pointed(event, choose),
    onclick: (event) => pointed(event, (index) => open(cells[index])),
    onkeydown: (event) => {
      if (event.key === "Enter" && chosen >= 0) open(cells[chosen]);
      const next = event.key.startsWith("Arrow") ? nextCell(cells, chosen, event.key, isWide) : null;
      if (next === null) return;
      event.preventDefault();
      choose(next);
    },
  }, mapDrawing(cells, rounds, size, cursor));
}

function mapDrawing(cells, rounds, size, cursor) {
  const { across, down, left, top, width, height } = size;
  const [wide, high] = [left + across * width + 1, top + down * height + 1];
  return svg("svg", { class: "map-cells", width: wide, height: high, viewBox: `0 0 ${wide} ${high}`, "aria-hidden": "true" },
    mapHatch(), roundLabels(rounds, size), cells.map((cell, index) => mapBox(cell, index, size)), cursor);
}

/** What fills cells of groups that nobody judged. */
function mapHatch() {
  return svg("pattern", { id: "map-hatch", class: "map-hatch", width: 5, height: 5, patternUnits: "userSpaceOnUse" }, svg("path", { d: "M0,5L5,0" }));
}

/** A cell a prompt and round that asked it: `column` counts prompts, `line` rounds. */
function mapCells(rows, rounds) {
  const lines = new Map(rounds.map((round, index) => [round, index]));
  return rows.flatMap((row, column) => row.rounds.map((asked) => ({ row, asked, column, line: lines.get(asked[0]) })));
}

/** Cells across and down, and their measures; prompts stand from left to right where that `isWide` enough. */
function mapSize(numPrompts, numRounds, isWide) {
  const [left, top] = isWide ? [56, 1] : [1, 16];
  const [across, down] = isWide ? [numPrompts, numRounds] : [numRounds, numPrompts];
  const room = isWide ? 1120 : innerWidth - 60;
  const width = Math.max(5, Math.min(36, Math.floor((room - left) / across)));
  return { isWide, left, top, across, down, width, height: isWide ? Math.max(14, Math.min(28, width)) : 14 };
}

function cornerOf({ column, line }, { isWide, left, top, width, height }) {
  const [x, y] = isWide ? [column, line] : [line, column];
  return [left + x * width, top + y * height];
}

function mapBox(cell, index, size) {
  const rate = passRate(cell.asked);
  const [x, y] = cornerOf(cell, size);
  const { width, height } = size;
  const box = svg("rect", {
    class: `${rate === null ? "unjudged" : "rate"}${width < 10 ? " thin" : ""}`, style: rate === null ? {} : passStyle(rate),
    x: x + 0.5, y: y + 0.5, width: width - 1, height: height - 1, "data-cell": String(index),
  });
  if (width < 22 || rate === null) return box;
  return [box, svg("text", { class: rate >= 0.8 ? "on-full" : "on-empty", x: x + width / 2, y: y + height / 2 }, String(cell.asked[1]))];
}

/** The rounds' numbers, as many as have room. */
function roundLabels(rounds, { isWide, left, top, width, height }) {
  const every = isWide ? 1 : Math.ceil(28 / width);
  return rounds.map((round, index) => {
    if (index % every) return null;
    const place = isWide
      ? { x: left - 6, y: top + (index + 0.5) * height, class: "round-label line" }
      : { x: left + (index + 0.5) * width, y: top - 5, class: "round-label" };
    return svg("text", place, isWide ? `round ${round}` : String(round));
  });
}

function cellWords({ row, asked }) {
  const name = row.question ? `${row.question.replace(/\s+/g, " ").slice(0, 100)} (${row.prompt_id})` : row.prompt_id;
  return `round ${asked[0]}: ${passWords(asked)} · ${name}`;
}

/** The next cell that there is in a direction, or null. */
function nextCell(cells, chosen, key, isWide) {
  if (chosen < 0) return 0;
  const forward = key === "ArrowRight" || key === "ArrowDown" ? 1 : -1;
  const isAcross = key === "ArrowLeft" || key === "ArrowRight";
  const [along, beside] = isAcross === isWide ? ["column", "line"] : ["line", "column"];
  const from = cells[chosen];
  const ahead = cells.filter((cell) => cell[beside] === from[beside] && forward * (cell[along] - from[along]) > 0);
  ahead.sort((a, b) => forward * (a[along] - b[along]));
  return ahead.length ? cells.indexOf(ahead[0]) : null;
}
