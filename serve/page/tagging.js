// A tag for each word: spans where the tags are those of a scheme, else words, each with its tag.

import { slicer } from "./characters.js";
import { element, openable, showMoreButton } from "./elements.js";
import { hues, markSpans } from "./labels.js";
import { counted } from "./numbers.js";

const FIRST = 1_000; // Words or spans that are shown at once.

/** What there is to say of a tagging of a text, and what there is to see of it; `labels` are those of the model. */
export function tagging({ tokens, tags, spans }, text, labels) {
  const ofScheme = markSpans(labels);
  const pieces = ofScheme
    ? spans
    : tokens.map(([word, start, end], k) => ({ label: tags[k], text: word, start, end }));
  const hue = hues(labels);
  const noun = ofScheme ? "span" : "word";
  const shown = [counts(pieces, hue, noun), highlighted(text, pieces, hue, noun), table(pieces, noun)];
  return { summary: counted(pieces.length, noun), shown };
}

function counts(pieces, hue, noun) {
  if (!pieces.length) return element("p", { class: "headline none" }, `No ${noun}s`);
  const numbers = new Map();
  for (const { label } of pieces) numbers.set(label, (numbers.get(label) ?? 0) + 1);
  const items = [...numbers]
    .sort((a, b) => b[1] - a[1])
    .map(([label, n]) => element("li", { class: hue(label) }, element("bdi", {}, label), " ", element("b", {}, String(n))));
  return element("ul", { class: "counts", "aria-label": `${noun}s by label` }, ...items);
}

/** The text with marked pieces, each with its label. */
function highlighted(text, pieces, hue, noun) {
  const slice = slicer(text);
  const box = element("div", { class: `highlighted ${noun}s`, dir: "auto" });
  let end = 0;
  function add(some) {
    for (const { label, start, end: stop } of some) {
      if (start > end) box.append(slice(end, start));
      const name = element("span", { class: "label" }, element("bdi", {}, label));
      box.append(label === "O" ? slice(start, stop) : element("mark", { class: hue(label) }, slice(start, stop), name));
      end = stop;
    }
  }
  add(pieces.slice(0, FIRST));
  if (pieces.length <= FIRST) {
    box.append(slice(end));
    return box;
  }
  const more = showMoreButton(`Show all ${counted(pieces.length, noun)}`, () => {
    add(pieces.slice(FIRST));
    box.append(slice(end));
    box.tabIndex = -1;
    return box;
  });
  return element("div", {}, box, more);
}

/** The pieces as a table. */
function table(pieces, noun) {
  if (!pieces.length) return null;
  return openable(`${counted(pieces.length, noun)} as a table`, () => element("div", { class: "wide" }, rows()));

  function rows() {
    const head = ["Label", "Text", "Start", "End"].map((name) =>
      element("th", { scope: "col", class: ["Start", "End"].includes(name) ? "number" : "" }, name),
    );
    const body = pieces.map(({ label, text, start, end }) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, label),
        element("td", { dir: "auto" }, text),
        element("td", { class: "number" }, String(start)),
        element("td", { class: "number" }, String(end)),
      ),
    );
    return element(
      "table",
      { class: "pieces" },
      element("caption", {}, "Places are in characters (Unicode code points)"),
      element("thead", {}, element("tr", {}, ...head)),
      element("tbody", {}, ...body),
    );
  }
}
