// @ts-check
// Which model is open, and the menu to change it. Names of models and what went wrong go in by textContent only.
// `shared.model` is the newest that this page has heard of; what the page shows may be an earlier one's (answers.js).
const offer = JSON.parse(props.offer),
  dialog = find("dialog"),
  which = find(".which"),
  precision = find(".precision");
const MARKS = { fits: "✓", tight: "~", no: "✗", unknown: "?" };
const ASK_AGAIN_MS = 2000;
let value = {},
  fits = null,
  mine = false,
  late = false,
  timer = 0;
let outcome = { said: "", failed: false }; // of this visitor's own last opening; the server tells it to nobody else

function row(one) {
  const made = make("div", "", "row"),
    label = make("label"),
    pick = make("input"),
    title = make("span", one.title);
  Object.assign(pick, { type: "radio", name: "rp-model", value: one.name });
  if (one.unverified) title.append(Object.assign(make("span", " *"), { title: "Dimensions not verified here." }));
  label.title = one.name + (one.unverified ? ": dimensions not verified here" : "");
  label.append(pick, title);
  made.append(label, make("span", one.parameters, "size"), make("small", one.takes, "takes"));
  for (const form of one.forms) made.append(Object.assign(make("span", "", "need"), { title: "" }));
  made.querySelectorAll(".need").forEach((cell, i) => {
    cell.dataset.form = one.forms[i];
  });
  made.addEventListener("click", () => {
    if (!pick.disabled) {
      pick.checked = true;
      choose(one.name);
    }
  });
  made.dataset.name = one.name;
  return made;
}

function build() {
  const forms = ["bf16", "int8", "int4"],
    heads = make("div", "", "row heads");
  ["Model", "Size", "Takes"].forEach((word) => heads.append(make("span", word)));
  forms.forEach((form) => heads.append(make("span", form, "need")));
  const all = offer.models.map((one) => row({ ...one, forms }));
  if (offer.built_in)
    all.unshift(
      row({ name: offer.built_in, title: "The built-in model", parameters: "", takes: "image and video", forms: [] }),
    );
  find(".list").replaceChildren(heads, ...all);
  precision.replaceChildren(
    ...Object.entries(offer.precisions).map(([name, { said }]) => Object.assign(make("option", said), { value: name })),
  );
}

function choose(name) {
  which.value = name;
  judge();
}

// What the estimates say of the chosen model in the chosen numbers.
function judge() {
  const known = fits && fits.models[which.value.trim()],
    column = offer.precisions[precision.value].column;
  find(".verdict").textContent = known ? known[column].sentence : "";
  for (const pick of element.querySelectorAll(".row input")) pick.checked = pick.value === which.value.trim();
}

function fitting() {
  for (const line of element.querySelectorAll(".row[data-name]")) {
    const found = fits.models[line.dataset.name];
    for (const cell of found ? line.querySelectorAll(".need") : []) {
      const { need, verdict, sentence } = found[cell.dataset.form];
      const away = fits.quantised && cell.dataset.form.startsWith("int"); // it may fit, but cannot be had
      cell.replaceChildren(need + " ", make("b", away ? "–" : MARKS[verdict], away ? "away" : verdict));
      cell.title = away ? fits.quantised : sentence;
    }
  }
  find(".room").textContent = fits.room;
  find(".without").textContent = fits.quantised && "– not here: " + fits.quantised + ".";
  find(".without").hidden = !fits.quantised;
  for (const option of precision.options) option.disabled = Boolean(fits.quantised) && option.value.startsWith("int");
  judge();
}

function draw() {
  const { name, about, busy, wanted, fixed, line, share } = value,
    percent = Math.round(100 * (share || 0)) + "%";
  find(".name").textContent = name || "none is open";
  find(".about").textContent = busy
    ? "· getting " + wanted + " " + percent
    : outcome.failed && !dialog.open
      ? "· " + outcome.said
      : about || "";
  find(".about").title = find(".about").textContent;
  find(".change").textContent = busy ? "Show" : fixed ? "Why this one" : "Change";
  find(".fixed").hidden = !fixed;
  find(".fixed").textContent = fixed || "";
  find(".none").hidden = Boolean(name) || busy;
  find(".built-in").hidden = !offer.built_in || Boolean(fixed);
  find(".going").hidden = !busy;
  find("progress").value = share || 0;
  find(".line").textContent = wanted ? wanted + ": " + line : "";
  if (find(".said").textContent !== outcome.said) find(".said").textContent = outcome.said;
  find(".said").dataset.failed = outcome.failed;
  find(".choice").hidden = Boolean(fixed);
  for (const part of [which, precision, find(".load"), ...element.querySelectorAll(".row input")])
    part.disabled = Boolean(busy || fixed);
}

// Who changed the model, and who comes to a page that was made for an earlier one, gets its answers at once: as
// soon as the answers' own part has said whose they are, which may be after this one has heard of the model.
function arrive() {
  if (!late || value.busy || !value.name || !shared.at) return;
  late = false;
  if (shared.at.model >= 0 && shared.at.model !== value.number) trigger("arrive"); // below 0: an opened trace's
}

function load() {
  const news = JSON.parse(JSON.stringify(props.value || {}));
  if (news.number === undefined) return;
  const ended = value.busy && !news.busy;
  if (value.baked === true) late = true;
  if (news.failed && news.busy) mine = false; // somebody else's opening runs: this one was refused
  value = news;
  if (news.said !== undefined) outcome = { said: news.said, failed: Boolean(news.failed) };
  if (news.fits) {
    fits = JSON.parse(news.fits);
    fitting();
  }
  shared.model = { number: news.number, name: news.name };
  draw();
  window.dispatchEvent(new CustomEvent("rp:model"));
  clearTimeout(timer);
  if (news.busy && !mine && dialog.open) timer = setTimeout(() => trigger("survey"), ASK_AGAIN_MS);
  if (mine && ended) late = true;
  arrive();
  if (!news.busy) mine = false;
  if (ended && dialog.open && !news.fits) trigger("survey");
}

function get(name) {
  mine = true;
  trigger("fetch", { name, precision: precision.value });
}

find(".change").addEventListener("click", () => {
  dialog.showModal();
  draw();
  trigger("survey");
});
find(".close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (e) => {
  if (e.target === dialog) dialog.close();
});
dialog.addEventListener("close", draw);
find(".load").addEventListener("click", () => get(which.value));
find(".built-in").addEventListener("click", () => get(offer.built_in));
find(".halt").addEventListener("click", () => trigger("halt"));
which.addEventListener("keydown", (e) => {
  if (e.key === "Enter" && !which.disabled) get(which.value);
});
which.addEventListener("input", judge);
precision.addEventListener("input", judge);
reachable(find(".list"));
window.addEventListener("rp:state", arrive);
window.addEventListener("focus", () => trigger("survey")); // another visitor may have changed the model meanwhile
build();
watch("value", load);
load();
