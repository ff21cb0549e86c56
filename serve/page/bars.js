// Numbers as bars: a table, so that whoever does not see the bars reads the same.

import { element, showMoreButton, unseen } from "./elements.js";

const FIRST = 10;

/**
 * A table with a bar for each row.
 *
 * Args:
 *   caption, columns: what a screen reader says; two columns.
 *   rows: `{label, share, number, chosen}`; `share` is the bar's part of the whole width, from 0 to 1, `number` a text;
 *     `chosen` rows stand out and have a mark.
 *   threshold: a share with a line across all bars, or null.
 */
export function bars({ caption, columns, rows, threshold = null }) {
  const body = element("tbody", {}, ...rows.slice(0, rows.length > FIRST + 2 ? FIRST : rows.length).map(row));
  const head = element("thead", { class: "unseen" }, element("tr", {}, ...columns.map((name) => element("th", { scope: "col" }, name))));
  const table = element("table", { class: "bars" }, element("caption", { class: "unseen" }, caption), head, body);
  if (rows.length <= FIRST + 2) return table;
  const more = showMoreButton(`Show all ${rows.length}`, () => {
    const rest = rows.slice(FIRST).map(row);
    body.append(...rest);
    rest[0].tabIndex = -1;
    return rest[0];
  });
  return element("div", {}, table, more);

  function row({ label, share, number, chosen }) {
    const fill = element("div", { class: "fill" });
    // By the CSSOM: the page's policy allows no style attribute.
    fill.style.width = `${100 * Math.min(Math.max(share, 0), 1)}%`;
    const bar = element("div", { class: "bar", "aria-hidden": "true" }, fill);
    if (threshold !== null) {
      const line = element("div", { class: "threshold" });
      line.style.left = `${100 * threshold}%`;
      bar.append(line);
    }
    const mark = element("span", { class: "mark", "aria-hidden": "true" }, chosen ? "✓" : "");
    const name = element("div", { class: "name" }, mark, chosen ? unseen("chosen: ") : null, element("bdi", {}, label));
    const cell = element("td", {}, element("div", { class: "measure" }, bar, element("span", { class: "number" }, number)));
    return element("tr", chosen ? { class: "chosen" } : {}, element("th", { scope: "row" }, name), cell);
  }
}
