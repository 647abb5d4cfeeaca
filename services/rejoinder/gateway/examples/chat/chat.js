// A page in front of the gateway. Words go into the page as text, never as markup.
"use strict";

const feedback = document.querySelector("meta[name=feedback]").content;
const turns = document.getElementById("turns");
const state = document.getElementById("state");
const conversation = crypto.randomUUID();
const messages = [];

function show(role, text) {
  const turn = document.createElement("li");
  turn.className = role;
  turn.textContent = text;
  turns.append(turn);
  return turn;
}

// A thumb is a rating on its own scale. The token says which answer this page was shown, and lets it rate no other.
async function rate(button, answer) {
  const event = {
    event_id: crypto.randomUUID(),
    interaction_id: answer.interaction,
    rating: { number: Number(button.value), scale_min: 0, scale_max: 1 },
  };
  const sent = await fetch(feedback, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ tokens: [answer.token], events: [event] }),
    keepalive: true,
  });
  const results = sent.ok ? (await sent.json()).results : [];
  const taken = results.length === 1 && results[0].outcome === "RECORDED";
  state.textContent = taken ? "Thank you." : "That could not be sent.";
  for (const other of button.parentElement.querySelectorAll("button")) {
    other.setAttribute("aria-pressed", String(taken && other === button));
  }
}

function rateable(turn, answer) {
  const thumbs = document.getElementById("thumbs").content.cloneNode(true);
  for (const button of thumbs.querySelectorAll("button")) {
    button.addEventListener("click", () => rate(button, answer));
  }
  turn.append(thumbs);
}

document.getElementById("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = document.getElementById("text");
  const text = field.value.trim();
  if (!text) return;
  field.value = "";
  state.textContent = "…";
  messages.push({ role: "user", content: text });
  show("user", text);
  const asked = await fetch("/ask", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ conversation, messages }),
  });
  if (!asked.ok) {
    messages.pop();
    state.textContent = "Nobody answers at the moment.";
    return;
  }
  const answer = await asked.json();
  state.textContent = "";
  messages.push({ role: "assistant", content: answer.text });
  const turn = show("assistant", answer.text);
  if (answer.token) rateable(turn, answer);
});
