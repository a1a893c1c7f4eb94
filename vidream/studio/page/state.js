// What the page is at: the clip, the time, the preset, and the settings that differ from it.
// Parts of the page listen for changes of the fields that they show.

const fields = { clip: "", time: 0, preset: "", values: {} };
const listeners = [];

export const state = { ...fields };

export function listen(names, call) {
  listeners.push({ names, call });
}

// `origin` is "page" for what the user did here, "other" for what another page did.
export function change(changes, origin = "page") {
  const changed = Object.keys(changes).filter(
    (name) => JSON.stringify(state[name]) !== JSON.stringify(changes[name]),
  );
  if (!changed.length) return;
  for (const name of changed) state[name] = changes[name];
  for (const { names, call } of listeners) {
    if (names.some((name) => changed.includes(name))) call(origin, changed);
  }
}

export const look = () => ({ clip: state.clip, time: state.time, preset: state.preset, values: state.values });

// The name of a render of the clip.
export function target() {
  const suffix = document.getElementById("suffix").value;
  return `${state.clip.replace(/\.[^./]*$/, "") || "clip"}.dream.${suffix}`;
}

export function later(call, milliseconds) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...given), milliseconds);
  };
}
