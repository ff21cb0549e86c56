// Why there is no answer, told where it can be mended, in the server's words.

import { element } from "./elements.js";

const PLACES = { 401: "key", 403: "model", 404: "model", 503: "model", 413: "text", 422: "text" };
const FIELDS = { key: ["key"], model: ["model"], text: ["text", "second"], form: [] };
let timer;

/** Take back what was told. */
export function clearProblems() {
  clearTimeout(timer);
  for (const [place, fields] of Object.entries(FIELDS)) {
    document.getElementById(`${place}-problem`).replaceChildren();
    for (const field of fields) document.getElementById(field).removeAttribute("aria-invalid");
  }
}

/** Tell why a request was refused, beside the field that it is about, and go there. */
export function tellProblem(refused, say) {
  const place = PLACES[refused.status] ?? "form";
  const problem = document.getElementById(`${place}-problem`);
  const line = (text) => element("span", {}, text);
  const wait = line(`Try again in ${refused.retryAfter} s.`);
  problem.replaceChildren(line(refused.message));
  if (refused.retryAfter) problem.append(" ", wait);
  if (refused.requestId) problem.append(" ", line(`Request ${refused.requestId}`));
  for (const field of FIELDS[place]) document.getElementById(field).setAttribute("aria-invalid", "true");
  if (FIELDS[place].length) document.getElementById(FIELDS[place][0]).focus();
  if (refused.retryAfter) {
    timer = setTimeout(() => {
      wait.textContent = "You can try again now.";
      say("You can try again now.");
    }, refused.retryAfter * 1000);
  }
}
