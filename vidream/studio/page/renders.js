// The queue of renders: how far each is, its newest frame, its strength, and what it made.

import { send } from "./api.js";
import { element } from "./dom.js";
import { look, state, target } from "./state.js";
import { complain, tell } from "./status.js";

const list = document.getElementById("render-list");
const none = document.getElementById("no-renders");
const shown = new Map();

function seconds(left) {
  const whole = Math.ceil(left);
  return whole < 90 ? `${whole} s` : whole < 5400 ? `${Math.round(whole / 60)} min` : `${(whole / 3600).toFixed(1)} h`;
}

function sentence(render) {
  const of = render.expected ? ` of ${render.expected}` : "";
  const frames = `${render.done}${of} frames`;
  if (render.status === "waiting") return render.done ? `waits at ${frames}` : "waits for its turn";
  if (render.status === "done") return `done: ${render.done} frames`;
  if (render.status === "running") {
    const speed = render.rate ? `, ${render.rate.toFixed(1)} frames/s` : "";
    const left = render.left ? `, ${seconds(render.left)} left` : "";
    return render.message || `${frames}${speed}${left}`;
  }
  return render.message || `stopped at ${frames}`;
}

const SVG = "http://www.w3.org/2000/svg";

function plot(points) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const strengths = points.map(([, strength]) => strength);
  const [first, last] = [points[0][0], points.at(-1)[0]];
  const most = Math.max(1.5, ...strengths);
  const y = (strength) => 38 - (36 * strength) / most;
  const mean = strengths.reduce((sum, strength) => sum + strength, 0) / strengths.length;
  svg.setAttribute("aria-label", `Strength over time, ${mean.toFixed(2)} on average; 1 is a dream from scratch`);
  const title = document.createElementNS(SVG, "title");
  title.textContent = svg.getAttribute("aria-label");
  const one = document.createElementNS(SVG, "line");
  for (const [name, value] of Object.entries({ x1: 0, x2: 100, y1: y(1), y2: y(1) })) one.setAttribute(name, value);
  const curve = document.createElementNS(SVG, "polyline");
  curve.setAttribute("points", points.map(([time, strength]) =>
    `${(100 * (time - first)) / (last - first || 1)},${y(strength)}`).join(" "));
  svg.append(title, one, curve);
  const text = element("p", { className: "strength", textContent: `strength ${mean.toFixed(2)}` });
  return element("div", { className: "plotted" }, svg, text);
}

async function act(id, verb, method = "POST") {
  try {
    await send(method, `renders/${id}${verb}`);
  } catch (error) {
    complain(error);
  }
}

function card(render) {
  const parts = {
    picture: element("img", { className: "picture", alt: `Newest frame of ${render.target}` }),
    title: element("h3", { textContent: render.target }),
    text: element("p"),
    bar: element("progress"),
    plot: element("div"),
    buttons: element("div", { className: "buttons" }),
  };
  parts.bar.setAttribute("aria-label", `Progress of ${render.target}`);
  parts.item = element("li", { className: "render" }, parts.picture, parts.title, parts.buttons, parts.text, parts.bar, parts.plot);
  return parts;
}

function buttons(render, parts) {
  const button = (text, call) => {
    const made = element("button", { type: "button", textContent: text, onclick: call });
    made.setAttribute("aria-label", `${text} ${render.target}`);
    return made;
  };
  const { id } = render;
  if (render.status === "done") {
    const file = `api/renders/${id}/file`;
    const watch = button("Watch", () => {
      const open = parts.item.querySelector(".watched");
      if (open) { open.remove(); return; }
      const still = /\.(gif|webp|png|jpe?g)$/i.test(render.target);
      const shownFile = still
        ? element("img", { className: "watched", src: file, alt: render.target })
        : element("video", { className: "watched", src: file, controls: true, autoplay: true });
      if (!still) shownFile.setAttribute("aria-label", render.target);
      parts.item.append(shownFile);
    });
    const download = element("a", { href: `${file}?download=1`, textContent: "Download" });
    download.setAttribute("aria-label", `Download ${render.target}`);
    return [watch, download, button("Remove", () => act(id, "", "DELETE"))];
  }
  if (render.status === "running" || render.status === "waiting") return [button("Stop", () => act(id, "/stop"))];
  return [button("Resume", () => act(id, "/resume")), button("Remove", () => act(id, "", "DELETE"))];
}

function update(render) {
  const { id } = render;
  if (!shown.has(id)) {
    shown.set(id, card(render));
    list.prepend(shown.get(id).item);
  }
  const parts = shown.get(id);
  parts.item.className = `render ${render.status}`;
  parts.item.dataset.status = render.status;
  parts.item.dataset.done = render.done;
  parts.text.textContent = `${render.preset}: ${sentence(render)}`;
  parts.bar.hidden = render.status === "done";
  parts.bar.max = render.expected || 1;
  parts.bar.value = render.done;
  parts.plot.replaceChildren(...(render.strengths.length > 1 ? [plot(render.strengths)] : []));
  if (render.done && parts.picture.dataset.done !== String(render.done)) {
    parts.picture.dataset.done = render.done;
    parts.picture.onerror = () => parts.picture.removeAttribute("src"); // of an earlier studio
    parts.picture.src = `api/renders/${id}/frame?n=${render.done}`;
  }
  // Buttons that stay what they are keep the focus.
  if (parts.buttons.dataset.status !== render.status) {
    parts.buttons.dataset.status = render.status;
    parts.buttons.replaceChildren(...buttons(render, parts));
  }
}

export function showRenders(renders) {
  none.hidden = renders.length > 0;
  for (const [id, parts] of shown) {
    if (!renders.some((render) => render.id === id)) {
      parts.item.remove();
      shown.delete(id);
    }
  }
  renders.forEach(update);
}

document.getElementById("render").addEventListener("click", async () => {
  if (!state.clip) { complain(new Error("choose a clip first")); return; }
  try {
    const made = await send("POST", "renders", { ...look(), target: target() });
    tell(`${made.target} is in the queue`);
  } catch (error) {
    complain(error);
  }
});
