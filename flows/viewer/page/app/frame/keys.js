// Single keys: those of the view, and `?`, which lists them. They do nothing while something is typed.

const EVERYWHERE = {
  "?": ["these keys", () => showKeys()],
  r: ["the run", () => go(["overview"])],
  p: ["prompts", () => go(["prompts"])],
  e: ["an example", () => go(["example"])],
  "/": ["search", () => document.querySelector("input[type=search]")?.focus()],
  d: ["light or dark", () => toggleTheme()],
};

/** Those that lead somewhere in this page. */
function keysHere() {
  const there = (pattern) => routes.some((route) => route.pattern === pattern);
  const { r, p, "/": search, ...others } = EVERYWHERE;
  const isSearched = document.querySelector("input[type=search]") !== null;
  return { ...(there("overview") && { r }), ...(there("prompts") && { p }), ...(isSearched && { "/": search }), ...others, ...current.route?.keys };
}

function listenToKeys() {
  addEventListener("keydown", (event) => {
    if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    const act = keysHere()[event.key]?.[1];
    if (!act) return;
    event.preventDefault();
    act(current.place);
  });
}

function showKeys() {
  const keys = Object.entries(keysHere());
  const dialog = el("dialog", { "aria-label": "Keys", onclose: () => dialog.remove() },
    el("h2", {}, "Keys"),
    el("dl", { class: "keys" }, keys.map(([key, [about]]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, about)])),
    el("form", { method: "dialog" }, el("button", { autofocus: true }, "Close")));
  document.body.append(dialog);
  dialog.showModal();
}
