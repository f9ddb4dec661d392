"use strict";
// The gateway wrote and escaped the text; the policy lets no other code make HTML of a text.
const html = self.trustedTypes
  ? self.trustedTypes.createPolicy("carrel", { createHTML: (text) => text })
  : { createHTML: (text) => text };
const desk = document.getElementById("desk");
const warning = document.getElementById("warning");
const events = new EventSource(desk.dataset.events);
events.onmessage = (event) => {
  const told = JSON.parse(event.data);
  warning.textContent = told.warning;
  warning.hidden = !told.warning;
  if (told.stage !== "Ended") return;
  events.close();
  document.getElementById("lab").remove();
  const ended = document.getElementById("ended");
  ended.innerHTML = html.createHTML("<h1>This workspace is closed</h1>" + told.html);
  ended.hidden = false;
};
