// A label for a text, or any number of them.

import { bars } from "./bars.js";
import { element } from "./elements.js";
import { counted, percent } from "./numbers.js";

/** What there is to say of a classification, and what there is to see of it. */
export function classification({ label, probabilities, labels }) {
  const chosen = new Set(labels ?? [label]);
  // Sorted again: an object of JavaScript has keys such as "5" first (ECMA-262, 10.1.11).
  const ranked = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
  const rows = ranked.map(([name, p]) => ({ label: name, share: p, number: percent(p), chosen: chosen.has(name) }));
  const table = bars({
    caption: "Probability of each label",
    columns: ["Label", "Probability"],
    rows,
    threshold: labels ? 0.5 : null,
  });
  if (labels) return { summary: summaryOfMany(labels), shown: [headline(labels, probabilities), note(labels), table] };
  return { summary: `${label}, ${percent(probabilities[label])}`, shown: [headline([label], probabilities), table] };
}

const summaryOfMany = (labels) => (labels.length ? `${counted(labels.length, "label")}: ${labels.join(", ")}` : "no label");

function headline(labels, probabilities) {
  const chips = labels.map((label) =>
    element("li", {}, element("bdi", {}, label), " ", element("small", {}, percent(probabilities[label]))),
  );
  return chips.length
    ? element("ul", { class: "headline", "aria-label": "Labels" }, ...chips)
    : element("p", { class: "headline none" }, "No label");
}

const note = (labels) =>
  element("p", { class: "note" }, labels.length ? "Each label that is more probable than not." : "No label is more probable than not.");
