// Knobs, made of the schema of the settings: the common ones first, the rest folded by group.

import { names } from "./clips.js";
import { element } from "./dom.js";
import { presetOf } from "./presets.js";
import { change, later, listen, state } from "./state.js";

const place = document.getElementById("knobs");
const resetAll = document.getElementById("reset-all");
const knobs = new Map();

// Groups that say how a file is read and written are of no use for the picture here.
const LAST = ["Input", "Output", "Device"];
const HIDDEN = new Set(["format"]);

const usual = (name) => presetOf(state.preset)?.values[name];
const current = (name) => (name in state.values ? state.values[name] : usual(name));

function set(setting, value) {
  const values = { ...state.values };
  if (JSON.stringify(value) === JSON.stringify(usual(setting.name))) delete values[setting.name];
  else values[setting.name] = value;
  change({ values });
}

// A slider whose usual value is near its end is stretched, so that there is room around it.
function scaleOf(setting, usualValue) {
  const { minimum: low, maximum: high } = setting;
  const share = (Math.max(Number(usualValue) || 0, low) - low) / (high - low);
  const power = share > 0 && share < 0.2 ? Math.log(share) / Math.log(0.4) : 1;
  return {
    toValue: (position) => low + (high - low) * position ** power,
    toPosition: (value) => ((value - low) / (high - low)) ** (1 / power),
  };
}

const rounded = (setting, value) =>
  setting.kind === "whole" ? Math.round(value) : Number(value.toPrecision(2));

function numberKnob(setting, id) {
  const number = element("input", { type: "number", id, step: setting.kind === "whole" ? "1" : "any" });
  if (setting.minimum !== null) number.min = setting.minimum;
  if (setting.maximum !== null) number.max = setting.maximum;
  const row = element("div", { className: "row" });
  let slider = null;
  if (setting.minimum !== null && setting.maximum !== null && setting.maximum <= 10000 && !setting.optional) {
    slider = element("input", { type: "range", min: 0, max: 1, step: "any" });
    slider.setAttribute("aria-label", `${setting.flag}, slider`);
    const turned = later((value) => set(setting, value), 120);
    slider.addEventListener("input", () => {
      const value = rounded(setting, scaleOf(setting, usual(setting.name)).toValue(Number(slider.value)));
      number.value = value;
      slider.setAttribute("aria-valuetext", value);
      turned(value);
    });
    // "any" lets arrow keys move hardly at all.
    slider.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      const scale = scaleOf(setting, usual(setting.name));
      const before = Number(current(setting.name));
      let value = rounded(setting, scale.toValue(Math.min(1, Math.max(0, scale.toPosition(before) + by * 0.04))));
      if (value === before && setting.kind === "whole") value += by;
      set(setting, Math.min(setting.maximum, Math.max(setting.minimum, value)));
    });
    row.append(slider);
  }
  row.append(number);
  number.addEventListener("change", () => {
    if (number.value === "") set(setting, setting.optional ? null : usual(setting.name));
    else if (number.checkValidity()) set(setting, Number(number.value));
    else number.reportValidity();
  });
  return {
    row,
    show(value) {
      number.value = value ?? "";
      if (!slider) return;
      slider.value = scaleOf(setting, usual(setting.name)).toPosition(Number(value));
      slider.setAttribute("aria-valuetext", value);
    },
  };
}

function switchKnob(setting, id) {
  const box = element("input", { type: "checkbox", id });
  box.addEventListener("change", () => set(setting, box.checked));
  return { row: element("div", { className: "row" }, box), show: (value) => { box.checked = value; } };
}

function choiceKnob(setting, id) {
  const options = setting.choices.map((choice) => new Option(choice, choice));
  if (setting.optional) options.unshift(new Option("", ""));
  const chooser = element("select", { id }, ...options);
  chooser.addEventListener("change", () => set(setting, chooser.value || null));
  return { row: element("div", { className: "row" }, chooser), show: (value) => { chooser.value = value ?? ""; } };
}

function textKnob(setting, id) {
  const text = setting.multiple
    ? element("textarea", { id, rows: 2, spellcheck: false, placeholder: "one a line" })
    : element("input", { id, spellcheck: false, autocomplete: "off" });
  const offered = setting.file ? names : setting.suggestions;
  if (setting.file) text.placeholder = "a file of the folder";
  if (offered.length && !setting.multiple) text.setAttribute("list", `${id}-list`);
  text.addEventListener("change", () => {
    const lines = text.value.split("\n").map((line) => line.trim()).filter(Boolean);
    set(setting, setting.multiple ? lines : lines[0] ?? (setting.optional ? null : usual(setting.name)));
  });
  const row = element("div", { className: "row" }, text);
  if (offered.length && !setting.multiple) {
    row.append(element("datalist", { id: `${id}-list` }, ...offered.map((name) => new Option(name, name))));
  }
  return { row, show: (value) => { text.value = Array.isArray(value) ? value.join("\n") : value ?? ""; } };
}

const KINDS = { switch: switchKnob, choice: choiceKnob, whole: numberKnob, number: numberKnob, text: textKnob };

function knob(setting) {
  const id = `knob-${setting.name}`;
  const kind = setting.multiple ? textKnob : KINDS[setting.kind];
  const { row, show } = kind(setting, id);
  const reset = element("button", { type: "button", className: "reset", textContent: "reset" });
  reset.setAttribute("aria-label", `Reset ${setting.flag}`);
  reset.addEventListener("click", () => {
    set(setting, usual(setting.name));
    document.getElementById(id).focus();
  });
  const head = element("div", { className: "head" },
    element("label", { htmlFor: id, textContent: setting.flag }), reset);
  const help = element("p", { className: "help", id: `${id}-help`, textContent: setting.help });
  const made = element("div", { className: "knob" }, head, help, row);
  row.querySelectorAll("input, select, textarea").forEach((part) => part.setAttribute("aria-describedby", help.id));
  knobs.set(setting.name, () => {
    const changed = setting.name in state.values;
    made.classList.toggle("changed", changed);
    reset.hidden = !changed;
    show(current(setting.name));
  });
  return made;
}

export function showKnobs(settings) {
  const shown = settings.filter((setting) => !HIDDEN.has(setting.name));
  const rest = new Map();
  place.replaceChildren();
  // Sliders first: they are what one plays with.
  const plays = (setting) => setting.kind === "number" || setting.kind === "whole";
  shown.sort((a, b) => plays(b) - plays(a));
  for (const setting of shown) {
    if (setting.common && !LAST.includes(setting.group)) place.append(knob(setting));
    else rest.set(setting.group, [...(rest.get(setting.group) ?? []), setting]);
  }
  const groups = [...rest.keys()].sort((a, b) => LAST.indexOf(a) - LAST.indexOf(b));
  for (const group of groups) {
    place.append(element("details", {}, element("summary", { textContent: group }), ...rest.get(group).map(knob)));
  }
  showValues();
}

function showValues() {
  for (const show of knobs.values()) show();
  resetAll.disabled = !Object.keys(state.values).length;
}

resetAll.addEventListener("click", () => change({ values: {} }));
listen(["preset", "values"], showValues);
