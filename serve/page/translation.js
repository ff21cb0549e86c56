// A text for a text, and the other ones that the beam search found.

import { element } from "./elements.js";

/** What there is to say of a translation, and what there is to see of it. */
export function translation({ text, hypotheses }) {
  const best = element("p", { class: "translation", dir: "auto" }, text);
  const head = ["Rank", "Hypothesis", "Score"].map((name) =>
    element("th", { scope: "col", class: name === "Hypothesis" ? "" : "number" }, name),
  );
  const body = hypotheses.map((one, k) =>
    element(
      "tr",
      {},
      element("th", { scope: "row", class: "number" }, String(k + 1)),
      element("td", { dir: "auto" }, one.text),
      element("td", { class: "number" }, one.score.toFixed(3).replace("-", "−")),
    ),
  );
  const table = element(
    "table",
    { class: "pieces" },
    element("caption", {}, "The score is a log probability in nats, normalised by length"),
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...body),
  );
  return { summary: text, shown: [best, element("div", { class: "wide" }, table)] };
}
