// Measures: the reports of compare, eval, probe, signal and diversity that the page was given, or that lie in its runs.

view("measures", {
  title: () => "Measures",
  nav: () => (source.directory.measures > 0 ? "Measures" : null),
  show: async () => {
    const measured = await source.get(null, "measures");
    return el("article", { class: "measures" }, el("h1", {}, "Measures"), measured?.reports.length ? reportsOf(measured.reports) : nothingMeasured());
  },
});

function nothingMeasured() {
  return el("p", { class: "missing" }, "Nothing in this page was measured beside the runs. ",
    el("code", {}, `mopd ${source.isLive ? "view" : "report"} RUN FOLDER`), " takes the folders that mopd eval, compare, probe and analyze write.");
}

function reportsOf(reports) {
  const sections = reports.map((report) => el("section", { tabindex: "-1" },
    el("h2", {}, shownText(report.title)),
    report.where && el("p", { class: "about" }, shownText(report.where)),
    report.parts.map(reportPart)));
  const jump = (section) => () => (section.focus({ preventScroll: true }), section.scrollIntoView());
  const contents = reports.map((report, index) => el("li", {}, el("button", { type: "button", onclick: jump(sections[index]) }, shownText(report.title))));
  return [reports.length > 1 && el("ul", { class: "row contents", "aria-label": "Reports" }, contents), sections];
}
