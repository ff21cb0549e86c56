// The command that asks the same from a shell.

// Linux takes at most 128 KiB in one argument (MAX_ARG_STRLEN); a here-document has no such limit.
const LONGEST_ARGUMENT = 100_000;

// Control characters, soft hyphens, and those that change the direction of what follows: a terminal would act on them.
const NOT_SHOWN = /[\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** A word of a POSIX shell (XCU 2.2.2): between single quotes nothing has a meaning but the next one. */
export const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

const escaped = (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** The command that sends a request; the key, if one is needed, comes from the environment and is never shown. */
export function curlCommand({ url, body }, needsKey) {
  const json = JSON.stringify(body).replace(NOT_SHOWN, escaped);
  const parts = [`curl ${quoted(url)}`, `-H 'Content-Type: application/json'`];
  if (needsKey) parts.push(`-H "Authorization: Bearer $TELMO_API_KEY"`);
  if (new TextEncoder().encode(json).length <= LONGEST_ARGUMENT) return [...parts, `-d ${quoted(json)}`].join(" \\\n  ");
  // An interactive shell reads `!` in a here-document as its history.
  return `${[...parts, "-d @-"].join(" \\\n  ")} <<'JSON'\n${json.replaceAll("!", escaped)}\nJSON`;
}
