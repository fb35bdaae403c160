// Charts from Vega-Lite specifications that Python makes; colours follow the page.

/** A chart, drawn when it is in the page and again where the colours change. `alt`: what is to be seen, in a few words. */
function chart(specification, alt) {
  const frame = el("figure", { class: "chart", role: "img", "aria-label": alt });
  const draw = () => vegaEmbed(frame, { ...specification, config: chartConfig(), background: "transparent" }, CHART_OPTIONS);
  queueMicrotask(draw);
  onColours(frame, draw);
  return frame;
}

const CHART_OPTIONS = { ast: true, actions: false, defaultStyle: false, renderer: "svg", tooltip: showTip };

function chartConfig() {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const [text, line] = [colour("--text"), colour("--line")];
  return {
    axis: { labelColor: text, titleColor: text, gridColor: line, domainColor: line, tickColor: line },
    legend: { labelColor: text, titleColor: text },
    title: { color: text },
    view: { stroke: "transparent" },
    font: "system-ui, sans-serif",
  };
}

/** Do something whenever the colours change, as long as a node is in the page. */
function onColours(node, act) {
  const query = matchMedia("(prefers-color-scheme: dark)");
  const listen = () => (node.isConnected ? act() : query.removeEventListener("change", listen));
  query.addEventListener("change", listen);
}

/** Vega's tooltip, as text. */
function showTip(_, event, item, value) {
  const tip = document.getElementById("tip") ?? document.body.appendChild(el("div", { id: "tip", role: "status" }));
  const lines = value && typeof value === "object" ? Object.entries(value).map(([name, one]) => `${name}: ${one}`) : [value];
  tip.hidden = value === null || value === undefined || value === "";
  tip.textContent = tip.hidden ? "" : lines.join("\n");
  tip.style.left = `${event.clientX + 12}px`;
  tip.style.top = `${event.clientY + 12}px`;
}
