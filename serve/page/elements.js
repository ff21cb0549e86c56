// Elements. All text becomes a text node: nothing that a person or a model wrote is ever read as HTML.

/** An element with attributes and children, which are elements or texts; `null` children are left out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A text that only a screen reader tells. */
export const unseen = (text) => element("span", { class: "unseen" }, text);

/** A part that is made when it is opened, by a function of its name. */
export function openable(name, make) {
  const details = element("details", {}, element("summary", {}, name));
  details.addEventListener("toggle", () => details.append(make(name)), { once: true });
  return details;
}

/** A button that shows what was left out, and then goes away. */
export function showMoreButton(text, more) {
  const button = element("button", { type: "button", class: "quiet" }, text);
  button.addEventListener("click", () => {
    const first = more();
    button.remove();
    first?.focus();
  });
  return button;
}
