// The studio's page. What it is at is kept by the studio: other pages show the same, and so does
// this one when it is opened again.

import { getJson, page, send } from "./api.js";
import { list } from "./clips.js";
import { showKnobs } from "./knobs.js";
import "./live.js";
import { showPresets } from "./presets.js";
import { offerSaving } from "./recipe.js";
import { showRenders } from "./renders.js";
import "./stage.js";
import { change, later, listen, look, state } from "./state.js";
import { complain } from "./status.js";

async function loadSchema() {
  const { presets, settings, default: usual } = await getJson("schema");
  if (!presets.some((preset) => preset.name === state.preset)) change({ preset: usual, values: {} }, "other");
  showPresets(presets);
  showKnobs(settings);
}

const keep = later(() => send("PUT", "draft", { ...look(), page }).catch(complain), 300);
listen(["clip", "time", "preset", "values"], (origin) => { if (origin === "page") keep(); });

function follow() {
  const events = new EventSource("api/events");
  events.onmessage = ({ data }) => {
    const { renders, draft } = JSON.parse(data);
    showRenders(renders);
    if (draft.clip && draft.page !== page) {
      const { clip, time, preset, values } = draft;
      change({ clip, time, preset, values }, "other");
    }
  };
}

try {
  await list();
  await loadSchema();
  offerSaving(loadSchema);
  follow();
} catch (error) {
  complain(error);
}
