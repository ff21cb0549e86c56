// The server, as the page asks it.

const KEY = "telmo-key";
let keyInMemory = null; // Where the browser refuses storage.

export function key() {
  try {
    return sessionStorage.getItem(KEY) ?? keyInMemory;
  } catch {
    return keyInMemory;
  }
}

/** Keep the API key for this tab, or forget it. */
export function keepKey(value) {
  keyInMemory = value;
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {}
}

/** A request without an answer; the message is the server's where there is one. */
export class Refused extends Error {
  constructor(message, { status = 0, retryAfter = null, requestId = null } = {}) {
    super(message);
    Object.assign(this, { status, retryAfter, requestId });
  }
}

/** The address of a route, also where a proxy serves the page under a path. */
export const address = (route) => new URL(route, document.baseURI.split("#")[0]).href;

/** The models that are served; of a name the first one answers. */
export const models = async () => (await ask("v1/models")).models;

/** The request that predicts: its address and its body. */
export function predictRequest(model, texts, version) {
  const body = { texts: [texts.length === 1 ? texts[0] : texts] };
  if (version !== null) body.version = version;
  return { url: address(`v1/models/${encodeURIComponent(model)}:predict`), body };
}

export const predict = ({ url, body }, signal) =>
  ask(url, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal });

async function ask(route, options = {}) {
  const headers = new Headers(options.headers);
  // No key has other characters, and no header may; the server shall say that it is a wrong one.
  if (key()) headers.set("Authorization", `Bearer ${key().replace(/[^\x20-\x7e]/g, "?")}`);
  let response;
  try {
    response = await fetch(address(route), { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server cannot be reached.");
  }
  const text = await response.text();
  let answer = null;
  try {
    answer = JSON.parse(text);
  } catch {}
  if (response.ok && answer !== null) return answer;
  throw refusal(response, answer);
}

function refusal(response, answer) {
  const words = typeof answer?.detail === "string" ? answer.detail : null;
  // What stands between, such as a proxy, may answer in words of its own.
  const message = words ?? `The answer is ${response.status} ${response.statusText}`.trim() + ", without a reason.";
  const seconds = parseInt(response.headers.get("Retry-After"), 10);
  return new Refused(message, {
    status: response.status,
    retryAfter: Number.isNaN(seconds) ? null : seconds,
    requestId: answer?.request_id ?? null,
  });
}
