// The command line and the TOML that make the same, and presets of one's own.

import { send } from "./api.js";
import { later, listen, look, target } from "./state.js";
import { complain, tell } from "./status.js";

const panel = document.getElementById("recipe");
const command = document.getElementById("command");
const toml = document.getElementById("toml");

async function write() {
  if (!panel.open) return;
  try {
    const made = await send("POST", "recipe", { ...look(), target: target() });
    command.value = made.command;
    toml.value = made.toml;
  } catch (error) {
    complain(error);
  }
}

async function copy(area, what) {
  try {
    await navigator.clipboard.writeText(area.value);
  } catch {
    area.select();
    document.execCommand("copy");
  }
  tell(`${what} is copied`);
}

export function offerSaving(reload) {
  const form = document.getElementById("save");
  const field = document.getElementById("preset-name");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const { name } = await send("POST", "presets", { ...look(), name: field.value });
      field.value = "";
      await reload();
      tell(`${name} is a preset of yours: vidream … --preset ${name}`);
    } catch (error) {
      complain(error);
    }
  });
}

panel.addEventListener("toggle", write);
document.getElementById("copy-command").addEventListener("click", () => copy(command, "the command"));
document.getElementById("copy-toml").addEventListener("click", () => copy(toml, "the TOML"));
document.getElementById("suffix").addEventListener("change", write);
listen(["clip", "preset", "values"], later(write, 200));
