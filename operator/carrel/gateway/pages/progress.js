"use strict";
// The gateway wrote and escaped the text; the policy lets no other code make HTML of a text.
const html = self.trustedTypes
  ? self.trustedTypes.createPolicy("carrel", { createHTML: (text) => text })
  : { createHTML: (text) => text };
const desk = document.getElementById("desk");
const events = new EventSource(desk.dataset.events);
events.onmessage = (event) => {
  const told = JSON.parse(event.data);
  document.getElementById("state").innerHTML = html.createHTML(told.html);
  if (told.stage === "Open") {
    events.close();
    location.replace(desk.dataset.open);
  }
};
