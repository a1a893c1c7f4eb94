// The picture in the middle: the frame before and after, or two seconds that move.

import { getPicture, postPicture, send } from "./api.js";
import { change, later, listen, look, state } from "./state.js";
import { complain, tell } from "./status.js";

const [stage, before, after, split, moving, busy, empty, move, side] = [
  "stage", "before", "after", "split", "moving", "busy", "empty", "move", "side",
].map((id) => document.getElementById(id));

const REST = 700; // milliseconds without a new dream

let asked = 0; // when the last dream was asked for, or came
let underWay = 0;

// Waits until nobody turns a knob: what is less urgent must not be in the way of the picture.
export async function rest() {
  while (underWay || performance.now() - asked < REST) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

let fetching = new AbortController();
let dreaming = new AbortController();
export let isLive = false;

function show(image, blob) {
  const url = URL.createObjectURL(blob);
  image.onload = () => URL.revokeObjectURL(url);
  image.src = url;
  image.hidden = false;
}

async function showFrame() {
  fetching.abort();
  fetching = new AbortController();
  if (!state.clip || isLive) return;
  try {
    show(before, await getPicture("frame", { clip: state.clip, time: state.time, side: 960 }, fetching.signal));
    empty.hidden = true;
  } catch (error) {
    complain(error);
  }
}

async function showDream() {
  dreaming.abort();
  dreaming = new AbortController();
  const { signal } = dreaming;
  if (!state.clip || isLive) return;
  busy.hidden = false;
  const began = performance.now();
  underWay += 1;
  try {
    const { blob, side: used } = await postPicture("dream", { ...look(), side: Number(side.value) }, signal);
    show(after, blob);
    split.hidden = false;
    after.dataset.look = JSON.stringify(look());
    const seconds = (performance.now() - began) / 1000;
    tell(`dreamed at ${used} px in ${seconds.toFixed(1)} s; a render's shapes are finer the larger it is`);
  } catch (error) {
    complain(error);
  }
  underWay -= 1;
  asked = performance.now();
  if (!signal.aborted) busy.hidden = true;
}

function endMoving() {
  moving.hidden = true;
  moving.pause();
  moving.removeAttribute("src");
  move.setAttribute("aria-pressed", "false");
  stage.classList.remove("whole");
}

async function startMoving() {
  if (!state.clip) return;
  busy.hidden = false;
  move.disabled = true;
  tell("rendering two seconds…");
  try {
    const { url } = await send("POST", "moving", look());
    moving.src = url;
    moving.hidden = false;
    stage.classList.add("whole");
    move.setAttribute("aria-pressed", "true");
    await moving.play().catch(() => {});
    tell("two seconds of it, again and again");
  } catch (error) {
    complain(error);
  }
  move.disabled = false;
  busy.hidden = true;
}

const frameSoon = later(showFrame, 60);
const dreamSoon = later(showDream, 80);

export function setLive(live) {
  isLive = live;
  if (live) {
    endMoving();
    for (const part of [before, after, split, busy]) part.hidden = true;
    empty.hidden = true;
  } else {
    empty.hidden = Boolean(state.clip);
    showFrame();
    showDream();
  }
}

split.addEventListener("input", () => stage.style.setProperty("--split", `${split.value}%`));
move.addEventListener("click", () => (moving.hidden ? startMoving() : endMoving()));
side.addEventListener("change", showDream);
listen(["clip", "time"], () => { endMoving(); frameSoon(); });
listen(["clip", "time", "preset", "values"], () => {
  asked = performance.now();
  endMoving();
  dreamSoon();
});
