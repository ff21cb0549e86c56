// Places in a text. The server counts Unicode code points; a string of JavaScript counts UTF-16 units (ECMA-262, 6.1.4),
// two for each character beyond the first plane, such as most emoji.

/** A function that gives `text.slice` by places in code points. */
export function slicer(text) {
  if (!/[\ud800-\udfff]/.test(text)) return (start, end) => text.slice(start, end);
  const units = [0];
  for (const character of text) units.push(units.at(-1) + character.length);
  return (start, end) => text.slice(units[start], units[end]);
}
