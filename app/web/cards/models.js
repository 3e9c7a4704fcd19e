// @ts-check
// Which model is open, and the menu to change it. Names of models and what went wrong go in by textContent only.
// pageState.model is the newest that this page has heard of; what the page shows may be an earlier one's (answers.js).
const offer = JSON.parse(props.offer);
const dialog = find("dialog");
const nameBox = find(".which");
const precision = find(".precision");
const VERDICT_MARKS = { fits: "✓", tight: "~", no: "✗", unknown: "?" };
const AFTER_STREAM_MS = 300;
const POLL_MS = 2000;
const ARRIVALS = 3; // requests for the new model's answers, where replies are lost
/** @type {any} */
let value = {}; // the menu's state (app/model/menu.py)
let fits = null; // what the estimates say of every model
let openedHere = false; // whether this visitor asked for the opening that runs
let answerOnArrival = false;
let arrivalsLeft = 0;
let pollTimer = 0;
let outcome = { said: "", failed: false }; // of this visitor's own last opening; the server tells it to nobody else

function modelRow({ name, title, parameters, takes, forms, unverified }) {
  const row = make("div", "", "row");
  const label = make("label");
  const radio = make("input");
  const heading = make("span", title);
  Object.assign(radio, { type: "radio", name: "rp-model", value: name });
  if (unverified) heading.append(Object.assign(make("span", " *"), { title: "Dimensions not verified here." }));
  label.title = name + (unverified ? ": dimensions not verified here" : "");
  label.append(radio, heading);
  row.append(label, make("span", parameters, "size"), make("small", takes, "takes"));
  for (const form of forms) {
    const cell = make("span", "", "need");
    cell.title = "";
    cell.dataset.form = form;
    row.append(cell);
  }
  row.addEventListener("click", () => {
    if (radio.disabled) return;
    radio.checked = true;
    chooseModel(name);
  });
  row.dataset.name = name;
  return row;
}

function buildList() {
  const forms = ["bf16", "int8", "int4"];
  const head = make("div", "", "row heads");
  head.append(...["Model", "Size", "Input"].map((word) => make("span", word)));
  head.append(...forms.map((form) => make("span", form, "need")));
  const rows = offer.models.map((model) => modelRow({ ...model, forms }));
  if (offer.built_in) {
    const built_in = { title: "The built-in model", parameters: "", takes: "image and video", forms: [] };
    rows.unshift(modelRow({ ...built_in, name: offer.built_in, unverified: false }));
  }
  find(".list").replaceChildren(head, ...rows);
  const option = ([name, { said }]) => Object.assign(make("option", said), { value: name });
  precision.replaceChildren(...Object.entries(offer.precisions).map(option));
}

function chooseModel(name) {
  nameBox.value = name;
  renderVerdict();
}

// What the estimates say of the chosen model at the chosen precision.
function renderVerdict() {
  const name = nameBox.value.trim();
  const known = fits && fits.models[name];
  const { column } = offer.precisions[precision.value];
  find(".verdict").textContent = known ? known[column].sentence : "";
  for (const radio of element.querySelectorAll(".row input")) {
    const input = /** @type {HTMLInputElement} */ (radio);
    input.checked = input.value === name;
  }
}

function renderFits() {
  for (const line of element.querySelectorAll(".row[data-name]")) {
    const row = /** @type {HTMLElement} */ (line);
    const found = fits.models[row.dataset.name];
    for (const need of found ? row.querySelectorAll(".need") : []) {
      const cell = /** @type {HTMLElement} */ (need);
      const { need: gib, verdict, sentence } = found[cell.dataset.form];
      const away = fits.quantised && cell.dataset.form.startsWith("int"); // it may fit, but cannot be had
      cell.replaceChildren(gib + " ", make("b", away ? "–" : VERDICT_MARKS[verdict], away ? "away" : verdict));
      cell.title = away ? fits.quantised : sentence;
    }
  }
  find(".room").textContent = fits.room;
  find(".without").textContent = fits.quantised && "– not here: " + fits.quantised + ".";
  find(".without").hidden = !fits.quantised;
  for (const option of precision.options) option.disabled = Boolean(fits.quantised) && option.value.startsWith("int");
  renderVerdict();
}

function draw() {
  const { name, about, busy, wanted, fixed, line, share } = value;
  let status = about || "";
  if (outcome.failed && !dialog.open) status = "· " + outcome.said;
  if (busy) status = "· loading " + wanted + " " + Math.round(100 * (share || 0)) + "%";
  let button = fixed ? "Why this one" : "Change";
  if (busy) button = "Show";
  find(".name").textContent = name || "none is open";
  find(".about").textContent = status;
  find(".about").title = status;
  find(".change").textContent = button;
  find(".fixed").hidden = !fixed;
  find(".fixed").textContent = fixed || "";
  find(".none").hidden = Boolean(name) || busy;
  find(".built-in").hidden = !offer.built_in || Boolean(fixed);
  find(".going").hidden = !busy;
  find("progress").value = share || 0;
  find(".line").textContent = wanted ? wanted + ": " + line : "";
  setText(find(".said"), outcome.said);
  find(".said").dataset.failed = outcome.failed;
  find(".choice").hidden = Boolean(fixed);
  for (const control of [nameBox, precision, find(".load"), ...element.querySelectorAll(".row input")]) {
    control.disabled = Boolean(busy || fixed);
  }
}

// Who changed the model, and who comes to a page that was made for an earlier one, gets its answers at once: as
// soon as the answers' own part has said whose they are, which may be after this one has heard of the model.
function answerWithNewModel() {
  const { answeredRun } = pageState;
  if (!answerOnArrival || value.busy || !value.name || !answeredRun) return;
  answerOnArrival = false;
  if (answeredRun.model < 0 || answeredRun.model === value.number) return; // below 0: an opened trace's
  arrivalsLeft = ARRIVALS;
  // Not at once: this runs in the last message of another request, whose stream is closing. A request that Gradio's
  // client sends at that moment may be put on the closing stream, and its answer never arrives.
  setTimeout(askForNewAnswers, AFTER_STREAM_MS);
}

function askForNewAnswers() {
  const { answeredRun } = pageState;
  if (arrivalsLeft <= 0 || !answeredRun || answeredRun.model === value.number) return;
  arrivalsLeft--;
  trigger("arrive");
}

function onValueChange() {
  const message = JSON.parse(JSON.stringify(props.value || {}));
  if (message.number === undefined) return;
  const ended = value.busy && !message.busy;
  if (value.baked === true) answerOnArrival = true;
  if (message.failed && message.busy) openedHere = false; // somebody else's opening runs: this one was refused
  value = message;
  if (message.said !== undefined) outcome = { said: message.said, failed: Boolean(message.failed) };
  if (message.fits) {
    fits = JSON.parse(message.fits);
    renderFits();
  }
  pageState.model = { number: message.number, name: message.name };
  draw();
  notifyPage("rp:model");
  clearTimeout(pollTimer);
  if (message.busy && !openedHere && dialog.open) pollTimer = setTimeout(() => trigger("survey"), POLL_MS);
  // The outcome tells the end of one's own opening: a survey that was asked for before may answer behind it.
  if (openedHere && message.said && !message.busy) {
    answerOnArrival = true;
    openedHere = false;
  }
  answerWithNewModel();
  if (ended && dialog.open && !message.fits) trigger("survey");
}

function loadModel(name) {
  openedHere = true;
  trigger("fetch", { name, precision: precision.value });
}

find(".change").addEventListener("click", () => {
  dialog.showModal();
  draw();
  trigger("survey");
});
find(".close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
dialog.addEventListener("close", draw);
find(".load").addEventListener("click", () => loadModel(nameBox.value));
find(".built-in").addEventListener("click", () => loadModel(offer.built_in));
find(".halt").addEventListener("click", () => trigger("halt"));
nameBox.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !nameBox.disabled) loadModel(nameBox.value);
});
nameBox.addEventListener("input", renderVerdict);
precision.addEventListener("input", renderVerdict);
focusWhileScrolling(find(".list"));
window.addEventListener("rp:state", answerWithNewModel);
window.addEventListener("rp:lost", askForNewAnswers);
window.addEventListener("focus", () => trigger("survey")); // another visitor may have changed the model meanwhile
buildList();
watch("value", onValueChange);
onValueChange();
