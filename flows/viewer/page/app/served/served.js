// A page that `mopd view` serves: documents are asked for, and what comes to a run meanwhile is told of.

const LOOK_MILLISECONDS = 1000;
const HIDDEN_MILLISECONDS = 10_000; // between two looks of a tab that nobody sees
const TOKEN_KEY = "mopd-token";

class ServerSource {
  constructor(directory) {
    this.directory = directory;
    this.isLive = true;
    this.shown = new Map(); // by run, the first moment that what stands on the page is of
    this.silent = 0; // looks one after the other that nobody answered
  }

  static async open() {
    takeToken();
    addEventListener("hashchange", () => takeToken() && location.reload()); // of another start, in the same tab
    const directory = await ask("api/directory");
    const place = location.hash || (directory.runs.length === 1 ? "#/overview" : "#/runs");
    history.replaceState(null, "", `${location.pathname}${place}`);
    addEventListener("hashchange", forgetShown);
    Object.assign(EVERYWHERE, { l: ["the list of runs", () => go(["runs"])], s: ["SQL", () => go(["sql"])], u: ["what came since", () => showNews()] });
    return new ServerSource(directory);
  }

  get(run, name, parameters = {}) {
    return orNull(run === null ? ask(`api/${name}`, parameters) : this.askRun(run, name, parameters));
  }

  page(run, name, { order = [], filters = {}, ...request }, parameters = {}) {
    const answer = this.askRun(run, name, { ...request, order: JSON.stringify(order), filters: JSON.stringify(filters), ...parameters });
    return name === "neighbours" ? orNull(answer) : answer;
  }

  async askRun(run, name, parameters) {
    const answer = await send(`api/run/${encodeURIComponent(run)}/${name}`, parameters);
    const moment = Number(answer.headers.get("Mopd-Moment"));
    this.shown.set(run, Math.min(moment, this.shown.get(run) ?? moment));
    return answer.json();
  }

  /** Look again and again what came. */
  async watch() {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, document.hidden ? HIDDEN_MILLISECONDS : LOOK_MILLISECONDS));
      await this.look();
    }
  }

  async look() {
    const run = current.run ?? null;
    try {
      const changes = await ask("api/changes", { run, since: this.shown.get(run) });
      this.silent = 0;
      await this.follow(changes);
      const isNew = this.shown.has(run) && changes.moments[run] > this.shown.get(run);
      tell(isNew ? changes.came : null);
    } catch {
      this.silent += 1;
      if (this.silent > 1) tellSilence();
    }
  }

  /** The head and the foot follow the list of runs; views that want to know listen to `changes`. */
  async follow(changes) {
    const { edition, left_out: lines } = changes;
    if (edition !== this.directory.edition) this.directory = await ask("api/directory");
    else if (lines.join() === this.directory.left_out.join()) return dispatchChanges(changes);
    this.directory.left_out = lines;
    drawHead();
    drawFoot();
    dispatchChanges(changes);
  }
}

/** A view that a page which is a file doesn't have. */
function onlyServed(show) {
  return (place) => (source.isLive ? show(place) : messagePage("There is no such place in a page that is a file: mopd view has it.", "missing"));
}

function dispatchChanges(changes) {
  dispatchEvent(new CustomEvent("changes", { detail: changes }));
}

async function ask(path, parameters = {}) {
  return (await send(path, parameters)).json();
}

/** The answer to a question; raises what the server says against it. */
async function send(path, parameters, options = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
  const headers = { Authorization: `Bearer ${keptToken()}` };
  const answer = await fetch(`${path}?${new URLSearchParams(given)}`, { ...options, headers }).catch((error) => {
    throw error.name === "AbortError" ? error : new Error("mopd view does not answer"); // the browser's own words are of the network
  });
  if (!answer.ok) throw Object.assign(new Error(await answer.text()), { status: answer.status });
  return answer;
}

/** What is promised; null where the server says that it isn't there: views have their own words for that. */
async function orNull(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/**
 * Keep the token of an address, `#token=…`, which it leaves, and with it the history; false where it has none. What is
 * kept is for the pages of this server alone, in every tab: a cookie would be sent to all ports of its host.
 */
function takeToken() {
  const [, token, place] = location.hash.match(/^#token=([\w-]+)(.*)$/) ?? [];
  if (!token) return false;
  keepToken(token);
  history.replaceState(null, "", `${location.pathname}${place.startsWith("#") ? place : ""}`); // e.g. a slash behind it, which is none
  return true;
}

let tabToken = ""; // where the browser lets a page keep nothing, until the page is closed

function keepToken(token) {
  tabToken = token;
  try {
    localStorage.setItem(TOKEN_KEY, token);
  } catch {
    // it holds for this tab
  }
}

function keptToken() {
  try {
    return localStorage.getItem(TOKEN_KEY) ?? tabToken;
  } catch {
    return tabToken;
  }
}

/** What came since the view was shown, by table, or null: a line above it, with a way to see it. */
function tell(came) {
  const line = document.getElementById("news");
  const text = came && (cameText(came) || "the run has changed");
  if (line.dataset.text === (text ?? "")) return; // said already: it isn't read out again
  line.dataset.text = text ?? "";
  refill(line, text && [el("span", {}, `${text} since this was shown `), el("button", { type: "button", onclick: showNews }, "show")]);
}

function cameText(came) {
  const parts = Object.entries(came).map(([table, rows]) => `${number(rows, 9)} ${table}`);
  return parts.length ? `${parts.join(", ")} came` : "";
}

function tellSilence() {
  const line = document.getElementById("news");
  line.dataset.text = "silence";
  refill(line, el("span", { class: "problem" }, "mopd view does not answer: start it again, and open the address that it prints"));
}

function forgetShown() {
  source.shown.clear();
  tell(null);
}

/** Show the same place as it is now: its tables, where it has any that can be refreshed, else all of it. */
async function showNews() {
  forgetShown();
  const tables = [...document.querySelectorAll("#view .table")].filter((frame) => frame.refresh);
  if (tables.length) tables.forEach((frame) => frame.refresh());
  else await showPlace({ keep: true });
}
