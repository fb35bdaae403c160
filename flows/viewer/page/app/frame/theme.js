// Light or dark: as the system has it, until somebody chooses; the choice is kept where the browser lets a page keep one.

const THEME_KEY = "mopd-theme";
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

function chosenTheme() {
  try {
    return localStorage.getItem(THEME_KEY);
  } catch {
    return null; // a file may keep nothing in some browsers
  }
}

function keepTheme(theme) {
  try {
    localStorage.setItem(THEME_KEY, theme);
  } catch {
    // it holds until the page is closed
  }
}

/** What is seen: where nothing is chosen, colours follow the system before its `change` has come. */
function isDark() {
  const { classList } = document.documentElement;
  return classList.contains("dark") || (systemIsDark.matches && !classList.contains("light"));
}

/** DataTables and our style go by the class. */
function applyTheme(theme) {
  const dark = theme === null ? systemIsDark.matches : theme === "dark";
  document.documentElement.classList.toggle("dark", dark);
  document.documentElement.classList.toggle("light", theme === "light");
}

function toggleTheme() {
  const theme = isDark() ? "light" : "dark";
  keepTheme(theme);
  applyTheme(theme);
}

systemIsDark.addEventListener("change", () => applyTheme(chosenTheme()));
applyTheme(chosenTheme());
