// The frame around the views: what is shown follows the address.

let source;
let current = { run: null, route: null, place: null };

async function start() {
  source = document.getElementById("directory") ? new FileSource() : await ServerSource.open();
  addEventListener("hashchange", showPlace);
  listenToKeys();
  await showPlace();
}

async function showPlace() {
  current = readAddress(location.hash || "#/overview");
  const { route, place } = current;
  const content = document.getElementById("view");
  drawHead();
  const asked = current;
  let node;
  try {
    node = route ? await route.show(place, source) : el("p", {}, "There is no such place in this page.");
  } catch (error) {
    node = el("p", { class: "problem" }, String(error.message ?? error));
  }
  if (asked !== current) return; // somebody went on meanwhile
  document.title = route ? `${route.title(place)} · mopd` : "mopd";
  content.replaceChildren(node);
  scrollTo(0, 0);
}

function drawHead() {
  const runs = source.directory.runs;
  const link = (title, parts) => el("a", { href: href(parts), "aria-current": current.route?.names[0] === parts[0] ? "page" : null }, title);
  const choice = runs.length > 1 && el("select", { "aria-label": "Run", onchange: (event) => go(["overview"], event.target.value) },
    runs.map((run) => el("option", { value: run.id, selected: run.id === current.run }, run.name)));
  document.getElementById("head").replaceChildren(
    el("strong", {}, "mopd"), choice || el("span", { class: "name" }, runs[0]?.name ?? ""),
    el("nav", {}, link("Run", ["overview"]), link("Prompts", ["prompts"])),
    el("button", { type: "button", "aria-label": "Keys", onclick: () => showKeys() }, "?"));
  document.getElementById("foot").replaceChildren(
    ...source.directory.left_out.map((line) => el("p", { class: "left-out" }, line)),
    el("p", {}, `written by mopd ${source.directory.version}, ${source.directory.made}`));
}

addEventListener("DOMContentLoaded", start);
