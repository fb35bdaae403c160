// The frame around the views: what is shown follows the address.

let source;
let current = { run: null, route: null, place: null };

async function start() {
  addEventListener("unhandledrejection", ({ reason }) => tellFailure(reason));
  try {
    source = document.getElementById("directory") ? new FileSource() : await ServerSource.open();
  } catch (error) {
    return refill(document.getElementById("view"), messagePage(shownText(failureText(error)), "problem")); // e.g. no token
  }
  addEventListener("hashchange", () => showPlace());
  listenToKeys();
  drawFoot();
  await showPlace();
  source.watch?.();
}

/**
 * Show what the address says. Where another place is shown than before, the focus goes to its heading. `keep`: what is
 * shown is shown anew, and nothing moves.
 */
async function showPlace({ keep = false } = {}) {
  const before = current;
  const asked = (current = readAddress(location.hash || "#/overview"));
  const content = document.getElementById("view");
  drawHead();
  hideTip();
  content.setAttribute("aria-busy", "true");
  const node = await nodeOf(asked);
  if (asked !== current) return; // somebody went on meanwhile
  document.title = asked.route ? `${plainText(asked.route.title(asked.place))} · mopd` : "mopd";
  const height = scrollY;
  content.replaceChildren(node);
  if (keep) scrollTo(0, height);
  content.removeAttribute("aria-busy");
  if (before.route && !isSamePlace(before, asked)) focusHeading(content);
}

async function nodeOf({ route, place }) {
  if (!route) return messagePage("There is no such place in this page.", "missing");
  try {
    return await route.show(place, source);
  } catch (error) {
    return messagePage(shownText(failureText(error)), "problem");
  }
}

/** Of what was asked for by a key or a choice, and did not come, a line above the view: it goes with the view. */
function tellFailure(error) {
  const view = document.getElementById("view");
  view.querySelector(":scope > [role=alert]")?.remove();
  view.prepend(el("p", { class: "problem", role: "alert" }, shownText(failureText(error))));
}

function failureText(error) {
  return String(error?.message ?? error);
}

function messagePage(parts, kind) {
  return el("article", {}, el("h1", {}, "Nothing to show"), el("p", { class: kind }, parts));
}

/** Whether only the question behind the address differs: an order, a filter. */
function isSamePlace(before, after) {
  const parts = ({ route, place }) => JSON.stringify([route?.pattern, { ...place, query: null }]);
  return parts(before) === parts(after);
}

function focusHeading(content) {
  const heading = content.querySelector("h1") ?? content;
  heading.setAttribute("tabindex", "-1");
  heading.focus({ preventScroll: true });
  scrollTo(0, 0);
}

function drawHead() {
  const runs = source.directory.runs;
  const choice = runs.length > 1
    ? el("select", { "aria-label": "Run", onchange: (event) => go(["overview"], event.target.value) },
        runs.map((run) => el("option", { value: run.id, selected: run.id === current.run }, plainText(run.name))))
    : el("bdi", { class: "name" }, shownText(runs[0]?.name ?? ""));
  refill(document.getElementById("head"),
    el("strong", {}, "mopd"), choice,
    el("nav", { "aria-label": "Views" }, routes.map(navLink)),
    source.directory.left_out.length > 0 && el("button", { type: "button", class: "badge", onclick: () => document.getElementById("left-out").focus() }, "not all is here"),
    el("button", { type: "button", "aria-label": "Light or dark", onclick: toggleTheme }, "◐"),
    el("button", { type: "button", "aria-label": "Keys", onclick: () => showKeys() }, "?"));
}

function navLink(route) {
  const name = route.nav();
  if (!name) return null;
  const isHere = current.route?.names[0] === route.names[0];
  return el("a", { href: href(route.names), "aria-current": isHere ? "page" : null }, name);
}

function drawFoot() {
  const { left_out: lines, version, made } = source.directory;
  refill(document.getElementById("foot"),
    el("ul", { id: "left-out", tabindex: "-1", "aria-label": "What is not here", hidden: lines.length === 0 }, lines.map((line) => el("li", {}, shownText(line)))),
    el("p", {}, made ? `written by mopd ${version}, ${made} · ` : `served by mopd ${version} · `, el("a", { href: "#/libraries" }, "libraries and licences")));
}

/** What stands in the place of a group that isn't here, be it that the file was too small for it, or that there is none. */
function leftOut({ run, round, prompt }) {
  const name = el("bdi", {}, shownText(prompt));
  if (source.isLive || source.directory.left_out.length === 0) {
    return messagePage(["Round ", round, " has no such rollout of prompt ", name, "."], "missing");
  }
  const address = source.directory.runs.find(({ id }) => id === run)?.address ?? run;
  return el("article", {},
    el("h1", {}, "Left out of this file"),
    el("p", { class: "missing" }, `Round ${round} of prompt `, name, " is not in this file. What is left out, and why, stands below; what only lacked room is shown by:"),
    el("p", {}, el("code", {}, shownText(`mopd view ${address}`))));
}

addEventListener("DOMContentLoaded", start);
