// The clip and the time in it.

import { getJson, upload } from "./api.js";
import { change, listen, state } from "./state.js";
import { complain, tell } from "./status.js";

const chooser = document.getElementById("clip");
const time = document.getElementById("time");
const clock = document.getElementById("clock");
const file = document.getElementById("file");
const suffix = document.getElementById("suffix");
const STILLS = new Set(["jpg", "png"]);
const stage = document.getElementById("stage");

const written = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;

function showTime() {
  time.value = state.time;
  const text = Number(time.max) ? `${written(state.time)} of ${written(Number(time.max))}` : "";
  clock.textContent = text;
  time.setAttribute("aria-valuetext", text);
}

export async function describe() {
  if (!state.clip) return;
  chooser.value = state.clip;
  try {
    const clip = await getJson("clip", { clip: state.clip });
    const frame = clip.rate ? 1 / clip.rate : 0.04;
    time.max = Math.max(0, clip.duration - frame).toFixed(3);
    time.step = frame.toFixed(4);
    time.disabled = document.getElementById("move").disabled = clip.still;
    if (clip.still !== STILLS.has(suffix.value)) suffix.value = clip.still ? "jpg" : "mp4";
    stage.style.setProperty("--shape", `${clip.width} / ${clip.height}`);
    stage.style.setProperty("--ratio", clip.width / clip.height);
    tell(`${clip.width} × ${clip.height}${clip.rate ? `, ${Number(clip.rate.toFixed(2))} frames/s` : ""}`);
  } catch (error) {
    complain(error);
  }
  showTime();
}

export let names = [];

export async function list() {
  const found = await getJson("clips");
  names = found.clips;
  document.title = `${found.folder} – vidream studio`;
  chooser.replaceChildren(new Option("Choose a clip…", ""), ...names.map((name) => new Option(name, name)));
  chooser.value = names.includes(state.clip) ? state.clip : "";
}

chooser.addEventListener("change", () => change({ clip: chooser.value, time: 0 }));
time.addEventListener("input", () => change({ time: Number(time.value) }));
document.getElementById("upload").addEventListener("click", () => file.click());
file.addEventListener("change", async () => {
  const [chosen] = file.files;
  file.value = "";
  if (!chosen) return;
  tell(`uploading ${chosen.name}…`);
  try {
    const { name } = await upload(chosen);
    await list();
    change({ clip: name, time: 0 });
  } catch (error) {
    complain(error);
  }
});
listen(["clip"], describe);
listen(["time"], showTime);
