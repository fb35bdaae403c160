// Single keys: those of the view, and `?`, which lists them. They do nothing while something is typed.

const EVERYWHERE = {
  "?": ["these keys", () => showKeys()],
  r: ["the run", () => go(["overview"])],
  p: ["prompts", () => go(["prompts"])],
  "/": ["search", () => document.querySelector("input[type=search]")?.focus()],
};

function listenToKeys() {
  addEventListener("keydown", (event) => {
    if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = { ...EVERYWHERE, ...current.route?.keys }[event.key]?.[1];
    if (!act) return;
    event.preventDefault();
    act(current.place);
  });
}

function showKeys() {
  const keys = Object.entries({ ...EVERYWHERE, ...current.route?.keys });
  const dialog = el("dialog", { "aria-label": "Keys", onclose: () => dialog.remove() },
    el("h2", {}, "Keys"),
    el("dl", { class: "keys" }, keys.map(([key, [about]]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, about)])),
    el("form", { method: "dialog" }, el("button", { autofocus: true }, "Close")));
  document.body.append(dialog);
  dialog.showModal();
}
