// Charts from Vega-Lite specifications that Python makes; their colours are the style's variables.

/** A chart, drawn once it is in the page. `alt`: what is to be seen, in a few words; `onclick(datum)`: a mark was chosen. */
function chart(specification, alt, { onclick = null } = {}) {
  const drawing = el("div", { class: "drawing" });
  whenShown(drawing, async () => {
    const { view: drawn } = await vegaEmbed(drawing, { ...fittedLegends(specification, drawing.clientWidth), config: CHART_CONFIG }, CHART_OPTIONS);
    if (onclick) drawn.addEventListener("click", (_, item) => item?.datum && onclick(item.datum));
  });
  return el("figure", { class: "chart", role: "img", "aria-label": alt }, drawing);
}

const NAME_PIXELS = { character: 7, around: 40 }; // of a name in a legend, about

/** Legends whose columns are so many that their names fit into a width. */
function fittedLegends(specification, width) {
  const fit = (_, value) => {
    if (!value?.legend || !value.scale?.domain) return value;
    const longest = Math.max(...value.scale.domain.map((name) => String(name).length));
    const most = Math.floor(width / (longest * NAME_PIXELS.character + NAME_PIXELS.around));
    return { ...value, legend: { ...value.legend, columns: Math.max(1, Math.min(value.legend.columns ?? most, most)) } };
  };
  return JSON.parse(JSON.stringify(specification, fit));
}

/** Do something once a node is in the page and has a size. */
function whenShown(node, act) {
  const observer = new ResizeObserver(() => {
    if (!node.isConnected) return;
    observer.disconnect();
    act();
  });
  observer.observe(node);
}

const CHART_OPTIONS = { ast: true, actions: false, defaultStyle: false, renderer: "svg", tooltip: showTip };

const CHART_CONFIG = {
  background: "transparent",
  font: "system-ui, sans-serif",
  axis: {
    labelColor: "var(--faint)", labelFontSize: 12, titleColor: "var(--text)", titleFontSize: 12, titleFontWeight: 500, titlePadding: 8,
    gridColor: "var(--line)", domainColor: "var(--line)", tickColor: "var(--line)",
  },
  legend: { labelColor: "var(--text)", labelFontSize: 13, symbolSize: 70, titleColor: "var(--text)", titleFontSize: 12, titleFontWeight: 500 },
  title: { color: "var(--text)", fontSize: 13, fontWeight: 600, anchor: "start" },
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
