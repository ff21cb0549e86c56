// What there is to know of a model before it is asked.

import { bars } from "./bars.js";
import { element, showMoreButton } from "./elements.js";
import { hues, kinds } from "./labels.js";
import { percent } from "./numbers.js";

const FIRST_LABELS = 24;

/** Version, task, labels, metrics and layer weights of a model. */
export function modelCard(info) {
  return [
    facts(info),
    ...section("Metrics", metrics(info.metrics)),
    ...section("ELMo layer weights", layerWeights(info.layer_weights)),
    ...section("Labels", labels(info)),
  ];
}

/** The state in words, where the model does not answer yet or any more. */
export const stateOf = (info) => (info.state === "ready" ? "" : ` (${info.state})`);

const section = (title, body) => (body ? [element("h3", {}, title), body] : []);

function facts(info) {
  const lines = [
    ["Version", info.version ?? "none (a folder)"],
    ["State", info.state],
    ["Task", info.pairs ? `${info.task} of pairs` : info.task],
  ];
  if (info.dim) lines.push(["Vectors", `${info.layers} layers of ${info.dim}`]);
  return element("dl", { class: "facts" }, ...lines.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function metrics(values) {
  const names = Object.keys(values);
  if (!names.length) return null;
  const rows = names.map((name) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, name.replaceAll("_", " ")),
      element("td", { class: "number" }, typeof values[name] === "number" ? String(+values[name].toFixed(3)) : "–"),
    ),
  );
  return element("table", { class: "metrics" }, element("caption", { class: "unseen" }, "Metrics"), element("tbody", {}, ...rows));
}

function layerWeights(weights) {
  if (!weights?.length) return null;
  const rows = weights.map((weight, k) => ({
    label: k === 0 ? "0 · characters" : `${k} · biLSTM`,
    share: weight,
    number: percent(weight),
    chosen: false,
  }));
  return bars({ caption: "How much the model takes of each layer of its biLM", columns: ["Layer", "Weight"], rows });
}

/** The labels; those of a tagger in the colours of its answers. */
function labels(info) {
  const tagger = info.task === "tagging";
  const names = tagger ? kinds(info.labels) : info.labels;
  if (!names.length) return null;
  const hue = tagger ? hues(info.labels) : () => "hue-none";
  const item = (name) => element("li", { class: hue(name) }, element("bdi", {}, name));
  const list = element("ul", { class: "chips" }, ...names.slice(0, FIRST_LABELS).map(item));
  if (names.length <= FIRST_LABELS) return list;
  const more = showMoreButton(`Show all ${names.length}`, () => {
    list.append(...names.slice(FIRST_LABELS).map(item));
    list.tabIndex = -1;
    return list;
  });
  return element("div", {}, list, more);
}
