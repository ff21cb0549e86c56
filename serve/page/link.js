// A link to a question. It is in the fragment of the address, which no browser sends to a server (RFC 3986, 3.5).

/** The address of this page with a question: `#model=docs-library&text=...`. */
export function linkTo({ model, version, texts }) {
  const parts = new URLSearchParams({ model });
  if (version !== null) parts.set("version", version);
  texts.forEach((text) => parts.append("text", text));
  return `${location.href.split("#")[0]}#${parts}`;
}

/** The question of an address, or null: `{model, version, texts}`. */
export function questionOf(hash) {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  if (!parts.has("model")) return null;
  return { model: parts.get("model"), version: parts.get("version"), texts: parts.getAll("text") };
}
