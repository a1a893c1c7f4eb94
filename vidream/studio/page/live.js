// The camera, dreamed: pictures go over a websocket, and come back onto a canvas.

import { describe } from "./clips.js";
import { setLive } from "./stage.js";
import { listen, state, later } from "./state.js";
import { complain, tell } from "./status.js";

const canvas = document.getElementById("live-picture");
const [cameraButton, rate, full, record, meter, stage] = [
  "camera", "rate", "full", "record", "meter", "stage",
].map((id) => document.getElementById(id));
const paper = canvas.getContext("2d");

const SIDE = 640; // longer side of what is sent
const IN_FLIGHT = 2; // pictures that may be under way: more would only be late
const FORGOTTEN = 60000; // milliseconds out of sight, after which renders need not wait any more

let talk = null;

class Talk {
  constructor(camera) {
    this.camera = camera;
    this.sent = new Map();
    this.number = 0;
    this.came = [];
    this.frames = 0;
    this.dropped = 0;
    this.socket = new WebSocket(new URL("api/live", document.baseURI.replace(/^http/, "ws")));
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => { this.configure(); this.tick(); };
    this.socket.onmessage = ({ data }) => (typeof data === "string" ? this.hear(JSON.parse(data)) : this.show(data));
    this.socket.onclose = (event) => { if (talk === this) stop(event.reason); };
  }

  configure() {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    this.sent.clear(); // what is under way may never come back
    const { preset, values } = state;
    this.socket.send(JSON.stringify({ preset, values, rate: Number(rate.value) || 10 }));
  }

  hear(about) {
    if (about.error) { complain(new Error(about.error)); this.sent.clear(); return; }
    this.about = about;
    this.dropped += about.dropped;
  }

  async show(data) {
    const number = new DataView(data).getUint32(0, true);
    const picture = await createImageBitmap(new Blob([data.slice(4)], { type: "image/jpeg" }));
    if (canvas.width !== picture.width || canvas.height !== picture.height) {
      canvas.width = picture.width;
      canvas.height = picture.height;
      stage.style.setProperty("--shape", `${picture.width} / ${picture.height}`);
      stage.style.setProperty("--ratio", picture.width / picture.height);
    }
    paper.drawImage(picture, 0, 0);
    picture.close();
    const now = performance.now();
    const latency = now - (this.sent.get(number) ?? now);
    for (const key of this.sent.keys()) if (key <= number) this.sent.delete(key);
    this.came = [...this.came.filter((time) => now - time < 2000), now];
    this.frames += 1;
    const span = this.came.at(-1) - this.came[0];
    const speed = span ? (1000 * (this.came.length - 1)) / span : 0;
    const { width, height, depth } = this.about;
    Object.assign(meter.dataset, { frames: this.frames, rate: speed.toFixed(1), latency: latency.toFixed(0) });
    meter.textContent = `${speed.toFixed(1)} frames/s, ${latency.toFixed(0)} ms late, dreamed at ${width} × ${height}` +
      `, depth ${depth.toFixed(1)}${this.dropped ? `, ${this.dropped} dropped` : ""}`;
  }

  // Sends the camera's picture as often as asked for, unless earlier ones have not come back.
  tick() {
    if (this.ended) return;
    const now = performance.now();
    this.due = Math.max((this.due ?? now) + 1000 / (Number(rate.value) || 10), now);
    this.timer = setTimeout(() => this.tick(), this.due - now);
    const [width, height] = [this.camera.videoWidth, this.camera.videoHeight];
    if (this.sent.size >= IN_FLIGHT || !width || document.hidden || this.socket.readyState !== WebSocket.OPEN) return;
    const scale = Math.min(1, SIDE / Math.max(width, height));
    const sheet = new OffscreenCanvas(Math.round(width * scale), Math.round(height * scale));
    sheet.getContext("2d").drawImage(this.camera, 0, 0, sheet.width, sheet.height);
    const number = this.number++;
    this.sent.set(number, performance.now());
    sheet.convertToBlob({ type: "image/jpeg", quality: 0.85 }).then(async (blob) => {
      if (this.ended) return;
      const head = new Uint8Array(4);
      new DataView(head.buffer).setUint32(0, number, true);
      this.socket.send(new Blob([head, blob]));
    });
  }

  end() {
    this.ended = true;
    clearTimeout(this.timer);
    this.socket.close();
    for (const track of this.camera.srcObject.getTracks()) track.stop();
  }
}

async function start() {
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false });
    const camera = document.createElement("video");
    camera.muted = true;
    camera.srcObject = stream;
    await camera.play();
    talk = new Talk(camera);
  } catch (error) {
    complain(new Error(`no camera: ${error.message}`));
    return;
  }
  canvas.hidden = false;
  stage.classList.add("whole");
  cameraButton.textContent = "Stop the camera";
  full.disabled = record.disabled = false;
  tell("live; renders wait meanwhile");
}

function stop(reason = "") {
  recorder?.stop();
  talk?.end();
  talk = null;
  canvas.hidden = true;
  stage.classList.remove("whole");
  cameraButton.textContent = "Start the camera";
  full.disabled = record.disabled = true;
  meter.textContent = "";
  if (reason) complain(new Error(reason));
}

let recorder = null;

function startRecording() {
  const type = ["video/mp4;codecs=avc1.42E01E", "video/webm;codecs=vp9", "video/webm"]
    .find((kind) => MediaRecorder.isTypeSupported(kind));
  const parts = [];
  recorder = new MediaRecorder(canvas.captureStream(), { mimeType: type, videoBitsPerSecond: 8e6 });
  recorder.ondataavailable = ({ data }) => parts.push(data);
  recorder.onstop = () => {
    recorder = null;
    record.setAttribute("aria-pressed", "false");
    record.textContent = "Record";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(parts, { type }));
    link.download = `live-dream.${type.startsWith("video/mp4") ? "mp4" : "webm"}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  recorder.start(1000);
  record.setAttribute("aria-pressed", "true");
  record.textContent = "End the recording";
}

let forgotten;
document.addEventListener("visibilitychange", () => {
  clearTimeout(forgotten);
  if (document.hidden && talk) forgotten = setTimeout(() => stop("live was out of sight, and has ended"), FORGOTTEN);
});

cameraButton.addEventListener("click", () => (talk ? stop() : start()));
full.addEventListener("click", () => stage.requestFullscreen().catch(complain));
record.addEventListener("click", () => (recorder ? recorder.stop() : startRecording()));
rate.addEventListener("change", () => talk?.configure());
listen(["preset", "values"], later(() => talk?.configure(), 200));

function choose(live) {
  if (!live && talk) stop();
  setLive(live);
  if (!live) describe();
  document.getElementById("mode-live").setAttribute("aria-pressed", String(live));
  document.getElementById("mode-clip").setAttribute("aria-pressed", String(!live));
  for (const part of document.querySelectorAll(".of-live")) part.hidden = !live;
  for (const part of document.querySelectorAll(".of-clip:not(#split)")) part.hidden = live;
}

document.getElementById("mode-live").addEventListener("click", () => choose(true));
document.getElementById("mode-clip").addEventListener("click", () => choose(false));
