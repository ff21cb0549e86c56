// The form: a model, and a text or a pair of them.

import { element } from "./elements.js";
import { stateOf } from "./model_card.js";

const byId = (id) => document.getElementById(id);
const fields = [byId("text"), byId("second")];

/** What the form asks. */
export class Question {
  constructor() {
    this.models = [];
    this.example = ["", ""];
  }

  /** The description of the model that is chosen, or null. */
  get model() {
    return this.models[byId("model").selectedIndex] ?? null;
  }

  /** The version of the request: none for the first of a name, so that an alias that moves is followed. */
  get version() {
    const { model } = this;
    const first = this.models.find(({ name }) => name === model?.name);
    return !model || model === first ? null : model.version;
  }

  get texts() {
    return fields.slice(0, this.model?.pairs ? 2 : 1).map((field) => field.value);
  }

  /** Offer models, and keep the chosen one if it is still there. */
  offer(models) {
    const before = this.model;
    const asked = before && this.version;
    this.models = models;
    const twice = (name) => models.filter((one) => one.name === name).length > 1;
    const options = models.map((info) => {
      const version = info.version !== null && twice(info.name) ? `, version ${info.version}` : "";
      return element("option", {}, `${info.name}${version}${stateOf(info)}`);
    });
    byId("model").replaceChildren(...options);
    const ready = models.findIndex(({ state }) => state === "ready");
    byId("model").selectedIndex = Math.max(ready, 0);
    if (before) this.choose(before.name, asked);
  }

  /** Choose a model by its name, and perhaps a version of it; false if it is not there. */
  choose(name, version) {
    const place = this.models.findIndex((one) => one.name === name && (version === null || one.version === version));
    if (place >= 0) byId("model").selectedIndex = place;
    return place >= 0;
  }

  /** Show the fields that the model reads; with its example, if nothing was written. */
  fit() {
    const pairs = Boolean(this.model?.pairs);
    byId("second-field").hidden = !pairs;
    byId("text-label").textContent = pairs ? "First text" : "Text";
    const written = fields.some((field, k) => field.value !== "" && field.value !== this.example[k]);
    if (!written && this.model) this.useExample();
  }

  useExample() {
    const { example, pairs } = this.model;
    this.example = pairs && Array.isArray(example) ? example : [String(example), ""];
    this.write(this.example);
  }

  write(texts) {
    fields.forEach((field, k) => (field.value = texts[k] ?? ""));
  }
}
