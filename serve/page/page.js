// The page: asks for the models, then for predictions, and shows what comes.

import { classification } from "./classification.js";
import { copyOnClick } from "./copying.js";
import { curlCommand } from "./curl.js";
import { element, openable } from "./elements.js";
import { linkTo, questionOf } from "./link.js";
import { modelCard } from "./model_card.js";
import { milliseconds } from "./numbers.js";
import { clearProblems, tellProblem } from "./problems.js";
import { Question } from "./question.js";
import * as service from "./service.js";
import { tagging } from "./tagging.js";
import { translation } from "./translation.js";

const byId = (id) => document.getElementById(id);
const say = (text) => (byId("status").textContent = text);
const question = new Question();
const LONGEST_JSON = 50_000; // Characters.

const SHOWN = {
  classification: (prediction) => classification(prediction),
  tagging: (prediction, info, texts) => tagging(prediction, texts[0], info.labels),
  seq2seq: (prediction) => translation(prediction),
};

let needsKey = service.key() !== null;
let running = new AbortController();
let afterKey = start; // What goes on once there is a key.

async function start() {
  clearProblems();
  if (!(await attempt(loadModels, start))) return;
  readLink();
  refresh();
}

async function loadModels() {
  question.offer(await service.models());
  if (question.models.length === 0) throw new service.Refused("No model is served.", { status: 404 });
  refresh();
}

async function ask() {
  clearProblems();
  if (!question.model) return start();
  // The last question counts: an answer to an earlier one would only flash by.
  running.abort();
  running = new AbortController();
  const mine = running;
  busy(true);
  const answered = await attempt(() => answer(mine.signal), ask);
  if (mine !== running) return;
  busy(false);
  if (!answered) return showNoAnswer();
  // Since the models were listed an alias may have moved, or a model become ready.
  const { version, state } = question.model;
  if (answered.version !== version || state !== "ready") await attempt(loadModels, start);
}

async function answer(signal) {
  const { model: info, texts } = question;
  const began = performance.now();
  const found = await service.predict(service.predictRequest(info.name, texts, question.version), signal);
  const round = performance.now() - began;
  const { summary, shown } = SHOWN[found.task](found.predictions[0], info, texts);
  const times = `${milliseconds(found.milliseconds)} in the server, ${milliseconds(round)} round trip`;
  const who = found.version === null ? found.model : `${found.model}, version ${found.version}`;
  const raw = openable("The answer as JSON", (name) =>
    element("pre", { tabindex: "0", role: "group", "aria-label": name }, shortened(JSON.stringify(found, null, 1))),
  );
  byId("answer-by").replaceChildren(element("span", {}, who), element("span", {}, times));
  byId("answer-body").replaceChildren(...[...shown, raw].filter(Boolean));
  say(`${who} answers: ${summary}.`);
  return found;
}

/** The begin of a text of which a browser would take seconds to lay out the whole. */
const shortened = (text) =>
  text.length <= LONGEST_JSON ? text : `${text.slice(0, LONGEST_JSON)}\n… The command below gives all of it.`;

/** Leave no answer to an earlier question beside the reason why there is none to this one. */
function showNoAnswer() {
  byId("answer-by").replaceChildren();
  byId("answer-body").replaceChildren(element("p", { class: "note" }, "No answer."));
}

/** Do something that asks the server, and tell why if it does not work; `again` is what to do once there is a key. */
async function attempt(work, again) {
  try {
    return (await work()) ?? true;
  } catch (error) {
    if (error.name === "AbortError") return null;
    if (!(error instanceof service.Refused)) throw error;
    if (error.status === 401) {
      needsKey = true;
      afterKey = again;
      byId("access").hidden = false;
      refresh();
    }
    tellProblem(error, say);
    return null;
  }
}

function busy(is) {
  byId("answer").setAttribute("aria-busy", String(is));
  byId("send").textContent = is ? "Predicting…" : "Predict";
}

/** Bring everything that follows from the form up to date. */
function refresh() {
  question.fit();
  const { model: info } = question;
  byId("forget-key").hidden = service.key() === null;
  byId("card-title").textContent = info ? info.name : "About the model";
  if (info) byId("card-body").replaceChildren(...modelCard(info));
  showCommand();
}

function showCommand() {
  const { model: info, texts, version } = question;
  byId("curl-note").hidden = !needsKey;
  byId("curl").textContent = info ? curlCommand(service.predictRequest(info.name, texts, version), needsKey) : "";
}

function readLink() {
  const linked = questionOf(location.hash);
  if (!linked) return;
  if (!question.choose(linked.model, linked.version)) {
    tellProblem(new service.Refused(`The link asks for the model ${linked.model}, which is not served here.`, { status: 404 }), say);
  }
  question.write(linked.texts);
}

function useKey(value) {
  service.keepKey(value);
  byId("access").hidden = value !== null;
  byId("key").value = "";
  refresh();
}

byId("question").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
byId("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
  event.preventDefault();
  ask();
});
byId("question").addEventListener("input", showCommand);
byId("model").addEventListener("change", () => {
  clearProblems();
  refresh();
});
byId("example").addEventListener("click", () => {
  if (question.model) question.useExample();
  showCommand();
});
byId("access").addEventListener("submit", (event) => {
  event.preventDefault();
  const value = byId("key").value.trim();
  if (!value) return byId("key").focus();
  useKey(value);
  byId("text").focus();
  afterKey();
});
byId("forget-key").addEventListener("click", () => {
  useKey(null);
  byId("access").hidden = false;
  byId("key").focus();
});
addEventListener("hashchange", () => {
  readLink();
  refresh();
});
copyOnClick(byId("copy-curl"), () => byId("curl").textContent, say);
copyOnClick(byId("link"), () => linkTo({ model: question.model?.name ?? "", version: question.version, texts: question.texts }), say);

start();
