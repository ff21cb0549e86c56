// Labels of a tagger, and their colours.

const HUES = 8; // colours.css has so many; a label is always written out too.
const IN_SCHEME = /^[BIOULSME]-./;

/** Whether tags are those of a scheme such as BIO, and mark spans. */
export const markSpans = (labels) => labels.every((label) => label === "O" || IN_SCHEME.test(label));

/** What a tagger can find: the labels of its spans, or of its words where the tags mark no spans. */
export function kinds(labels) {
  const names = markSpans(labels) ? labels.map((label) => label.slice(label.indexOf("-") + 1)) : labels;
  return [...new Set(names)].filter((name) => name !== "O");
}

/** The class of a label's colour: the same for the same model, whatever the text. */
export function hues(labels) {
  const places = new Map(kinds(labels).map((name, k) => [name, k % HUES]));
  return (name) => (places.has(name) ? `hue-${places.get(name)}` : "hue-none");
}
