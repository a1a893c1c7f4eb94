// Presets, each with what it makes of this very frame.

import { getPicture, page } from "./api.js";
import { rest } from "./stage.js";
import { change, later, listen, state } from "./state.js";

const list = document.getElementById("preset-list");
const SLOW = 60; // steps of all octaves
let presets = [];
let loading = new AbortController();

export const presetOf = (name) => presets.find((preset) => preset.name === name);

function button(preset) {
  const made = document.createElement("button");
  made.className = "preset";
  made.type = "button";
  made.dataset.name = preset.name;
  made.setAttribute("role", "radio");
  made.title = preset.needs ? `${preset.shows}; choosing it downloads them` : preset.shows;
  const thumb = document.createElement("img");
  thumb.className = "thumb";
  thumb.alt = "";
  const name = document.createElement("span");
  name.className = "name";
  name.textContent = preset.name;
  made.append(thumb, name);
  made.addEventListener("click", () => choose(preset.name));
  return made;
}

function choose(name) {
  change({ preset: name, values: {} });
}

function mark() {
  for (const made of list.children) {
    const chosen = made.dataset.name === state.preset;
    made.setAttribute("aria-checked", String(chosen));
    made.tabIndex = chosen ? 0 : -1;
  }
}

list.addEventListener("keydown", (event) => {
  const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const all = [...list.children];
  const next = all[(all.findIndex((made) => made.dataset.name === state.preset) + by + all.length) % all.length];
  choose(next.dataset.name);
  next.focus();
});

// One after the other, so that a knob that is moved meanwhile does not wait for them all.
async function loadThumbnails() {
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  if (!state.clip) return;
  const quickFirst = [...presets].sort((a, b) => a.cost - b.cost);
  for (const preset of quickFirst) {
    if (signal.aborted) return;
    // What takes long, or has to be downloaded first, is shown when it is chosen.
    if ((preset.needs || preset.cost > SLOW) && preset.name !== state.preset) continue;
    const frame = `${state.clip} ${state.time}`;
    const thumb = list.querySelector(`[data-name="${CSS.escape(preset.name)}"] .thumb`);
    if (thumb.dataset.of === frame) continue;
    await rest();
    if (signal.aborted) return;
    try {
      const query = { clip: state.clip, time: state.time, preset: preset.name, page };
      const url = URL.createObjectURL(await getPicture("thumbnail", query, signal));
      thumb.onload = () => URL.revokeObjectURL(url);
      thumb.src = url;
      thumb.dataset.of = frame;
    } catch (error) {
      if (error.name === "AbortError") return;
      thumb.title = error.message;
    }
  }
}

export function showPresets(found) {
  presets = found;
  list.replaceChildren(...presets.map(button));
  mark();
  loadThumbnails();
}

listen(["preset"], mark);
listen(["clip", "time", "preset"], later(loadThumbnails, 300));
