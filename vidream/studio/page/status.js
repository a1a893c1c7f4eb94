// One line about what went wrong, or what was done.

const line = document.getElementById("status");

export function tell(text) {
  line.textContent = text;
  line.classList.remove("bad");
}

export function complain(error) {
  if (error.name === "AbortError" || error.status === 409) return;
  line.textContent = error.message;
  line.classList.add("bad");
}
