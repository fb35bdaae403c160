// The run: what was run, how it went and how it ended.

view("overview", {
  title: () => "Run",
  nav: "Run",
  show: async ({ run }) => {
    const overview = await source.get(run, "overview");
    return el("article", {}, el("h1", {}, overview.title));
  },
});
