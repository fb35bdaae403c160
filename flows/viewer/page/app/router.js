// Places in the page: `#/round/1/prompt/ID/sample/3`, behind `#/run/ID` where there are several runs.

const routes = [];

/** A view at a place: `show(place, source)` gives a node, or a promise of one. `keys`: what single keys do there. */
function view(pattern, { title, show, keys = {} }) {
  routes.push({ names: pattern.split("/").filter(Boolean), title, show, keys });
}

/** The address of a place. `place`: a path like "round/1/prompt/ID", its parts encoded; of `run` where there are several. */
function href(parts, run = current.run) {
  const path = parts.map((part) => encodeURIComponent(part)).join("/");
  return source.directory.runs.length > 1 && run ? `#/run/${encodeURIComponent(run)}/${path}` : `#/${path}`;
}

function go(parts, run = current.run) {
  location.hash = href(parts, run);
}

/** {run, route, place} of an address; the first run where it names none. */
function readAddress(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  let parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  let run = source.directory.runs[0]?.id;
  if (parts[0] === "run" && parts.length > 1) [, run, ...parts] = parts;
  for (const route of routes) {
    const place = matchRoute(route.names, parts);
    if (place) return { run, route, place: { ...place, run, query: new URLSearchParams(query) } };
  }
  return { run, route: null, place: null };
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
