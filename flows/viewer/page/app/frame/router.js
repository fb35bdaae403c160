// Places in the page: `#/round/1/prompt/ID/sample/3`, behind `#/run/ID` where there are several runs.

const routes = [];

/**
 * A view at a place: `show(place, source)` gives a node, or a promise of one, with one <h1>.
 * `keys`: what single keys do there, {key: [about, act(place)]}. `nav`: its name in the page's head, or a function that gives
 * it, or null where it doesn't stand there.
 */
function view(pattern, { title, show, keys = {}, nav = null }) {
  const name = typeof nav === "function" ? nav : () => nav;
  routes.push({ pattern, names: pattern.split("/").filter(Boolean), title, show, keys, nav: name });
}

/** The address of a place. `parts`: ["round", 1, "prompt", id], of `run` where there are several; `query`: {by: "flip"}. */
function href(parts, run = current.run, query = {}) {
  const path = parts.map((part) => encodeURIComponent(String(part).toWellFormed())).join("/");
  const search = new URLSearchParams(query).toString();
  const behind = source.directory.runs.length > 1 && run ? `run/${encodeURIComponent(run)}/` : "";
  return `#/${behind}${path}${search && `?${search}`}`;
}

function go(parts, run = current.run, query = {}) {
  location.hash = href(parts, run, query);
}

/** Say in the address how what is shown is asked, without a step back; nothing where somebody is on the way elsewhere. */
function keepAddress(address) {
  const isStillHere = [address, location.hash || "#/overview"].every((one) => isSamePlace(readAddress(one), current));
  if (isStillHere) history.replaceState(null, "", address);
}

/** {run, route, place} of an address; the first run where it names none. */
function readAddress(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  let parts = path.split("/").filter(Boolean).map(decodePart);
  let run = source.directory.runs[0]?.id;
  if (parts[0] === "run" && parts.length > 1) [, run, ...parts] = parts;
  for (const route of routes) {
    const place = matchRoute(route.names, parts);
    if (place) return { run, route, place: { ...place, run, query: new URLSearchParams(query) } };
  }
  return { run, route: null, place: null };
}

function decodePart(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // somebody typed a % of their own
  }
}

function matchRoute(names, parts) {
  if (names.length !== parts.length) return null;
  const place = {};
  for (const [index, name] of names.entries()) {
    if (name.startsWith(":")) place[name.slice(1)] = parts[index];
    else if (name !== parts[index]) return null;
  }
  return place;
}
