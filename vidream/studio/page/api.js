// Requests to the studio. Errors carry the one line that it answers.

export const page = crypto.randomUUID();

async function request(method, path, { query, json, body, signal } = {}) {
  const url = new URL(`api/${path}`, document.baseURI);
  for (const [name, value] of Object.entries(query ?? {})) url.searchParams.set(name, value);
  const headers = { "X-Vidream": "1" };
  if (json !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(json);
  }
  let answer;
  try {
    answer = await fetch(url, { method, headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the studio does not answer: is it still running?");
  }
  if (!answer.ok) {
    const text = await answer.text();
    let message = text;
    try { message = JSON.parse(text).error ?? text; } catch { /* plain text */ }
    throw Object.assign(new Error(message.trim()), { status: answer.status });
  }
  return answer;
}

export const getJson = async (path, query) => (await request("GET", path, { query })).json();
export const getPicture = async (path, query, signal) => (await request("GET", path, { query, signal })).blob();
export const send = async (method, path, json) => (await request(method, path, { json })).json();
export const upload = async (file) => (await request("PUT", "clips", { query: { name: file.name }, body: file })).json();

export async function postPicture(path, json, signal) {
  const answer = await request("POST", path, { json: { ...json, page }, signal });
  return { blob: await answer.blob(), side: answer.headers.get("X-Side") };
}
