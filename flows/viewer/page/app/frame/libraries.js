// What of others the page has inside, with the licences in full.

view("libraries", {
  title: () => "Libraries",
  show: () => {
    const works = JSON.parse(document.getElementById("libraries").textContent);
    return el("article", {},
      el("h1", {}, "Libraries and licences"),
      el("p", {}, "This page loads nothing. Inside it, beside mopd's own script, is the work of others:"),
      works.map(({ name, licence, text }) => el("details", {}, el("summary", {}, `${name} (${licence})`), el("pre", { class: "text" }, text))));
  },
});
