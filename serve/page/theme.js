// Light or dark: as the system says, until the button says otherwise.
"use strict";
{
  const NAME = "telmo-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  const themeOfSystem = () => (system.matches ? "dark" : "light");

  // A browser may refuse storage; the button then holds until the page is left.
  function chosen() {
    try {
      return localStorage.getItem(NAME);
    } catch {
      return null;
    }
  }

  function keep(theme) {
    try {
      if (theme) localStorage.setItem(NAME, theme);
      else localStorage.removeItem(NAME);
    } catch {}
  }

  let choice = chosen();

  function apply() {
    const theme = choice ?? themeOfSystem();
    document.documentElement.dataset.theme = theme;
    document.getElementById("theme")?.setAttribute("aria-pressed", String(theme === "dark"));
  }

  function toggle() {
    const other = (choice ?? themeOfSystem()) === "dark" ? "light" : "dark";
    // Back at the system's theme the page follows the system again.
    choice = other === themeOfSystem() ? null : other;
    keep(choice);
    apply();
  }

  apply();
  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", toggle);
  });
}
