// Copying to the clipboard.

/** Copy a text. Without HTTPS a browser offers no clipboard, but copies what is selected. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {}
  const before = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  before?.focus();
  return done;
}

/** Let a button copy what `text()` gives, and say so. */
export function copyOnClick(button, text, say) {
  const name = button.textContent;
  let timer;
  button.addEventListener("click", async () => {
    const done = await copied(text());
    button.textContent = done ? "Copied" : "Not allowed";
    say(done ? "Copied." : "The browser does not allow copying.");
    clearTimeout(timer);
    timer = setTimeout(() => (button.textContent = name), 2000);
  });
}
