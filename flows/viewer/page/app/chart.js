// Charts from Vega-Lite specifications that Python makes; their colours are the style's variables.

/** A chart, drawn when it is in the page. `alt`: what is to be seen, in a few words. */
function chart(specification, alt) {
  const drawing = el("div", { class: "drawing" });
  const frame = el("figure", { class: "chart", role: "img", "aria-label": alt }, drawing);
  queueMicrotask(() => vegaEmbed(drawing, { ...specification, config: CHART_CONFIG }, CHART_OPTIONS));
  return frame;
}

const CHART_OPTIONS = { ast: true, actions: false, defaultStyle: false, renderer: "svg", tooltip: showTip };

const CHART_CONFIG = {
  background: "transparent",
  font: "system-ui, sans-serif",
  axis: {
    labelColor: "var(--faint)", titleColor: "var(--text)", titleFontWeight: 500,
    gridColor: "var(--line)", domainColor: "var(--line)", tickColor: "var(--line)",
  },
  legend: { labelColor: "var(--text)", titleColor: "var(--text)", titleFontWeight: 500 },
  title: { color: "var(--text)", fontWeight: 600, anchor: "start" },
  view: { stroke: "transparent" },
  mark: { color: "var(--series-1)" },
  rule: { color: "var(--faint)" },
  text: { color: "var(--text)" },
  range: { category: [1, 2, 3, 4, 5, 6].map((number) => `var(--series-${number})`) },
};

/** Vega's tooltip, as text. */
function showTip(_, event, item, value) {
  const tip = document.getElementById("tip") ?? document.body.appendChild(el("div", { id: "tip", role: "status" }));
  const lines = value && typeof value === "object" ? Object.entries(value).map(([name, one]) => `${name}: ${one}`) : [value];
  tip.hidden = value === null || value === undefined || value === "";
  tip.textContent = tip.hidden ? "" : lines.join("\n");
  tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${event.clientY + 12}px`;
}

function hideTip() {
  const tip = document.getElementById("tip");
  if (tip) tip.hidden = true;
}
