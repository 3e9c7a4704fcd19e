// @ts-check
// Methods side by side on the answered input: asked for by a button, drawn card by card. The ticked methods are those
// of the sweep as well. Texts of models go in by textContent.
const percent = (x) => (x > 0 && x < 0.005 ? "below 0.5%" : Math.round(100 * x) + "%");

find(".methods").append(
  ...props.methods.map(({ method, name }) => {
    const label = make("label");
    const box = make("input");
    box.type = "checkbox";
    box.value = method;
    box.checked = true;
    box.disabled = method === "random";
    label.append(box, make("span", name + (box.disabled ? " (always)" : "")));
    return label;
  }),
);
pageState.tickedMethods = () => {
  /** @type {HTMLInputElement[]} */
  const boxes = Array.from(element.querySelectorAll(".methods input:checked"));
  return boxes.map((box) => box.value);
};

focusWhileScrolling(find(".wide"), "Tokens in common, table");
find(".methods").addEventListener("change", () => notifyPage("rp:methods"));
// How many answers the ticked methods take at one keep ratio, for the sweep as well.
const runsOfMethod = new Map(props.methods.map(({ method, runs }) => [method, runs]));
pageState.countRuns = () => pageState.tickedMethods().reduce((sum, method) => sum + runsOfMethod.get(method), 0);

const plan = () => ({
  ratios: [pageState.answeredRun?.keep ?? 0],
  runs: pageState.countRuns() + Number(Boolean(pageState.ownTokens)),
});
const controls = createTaskControls(element, pageState, trigger, plan, (payload) => draw(JSON.parse(payload)));
pageState.failed_compare = controls.onFailure;

function methodCard(result) {
  const card = make("article");
  card.style.setProperty("--mine", "var(--rp-method-" + result.method + ")");
  card.dataset.method = result.method;
  const pictures = make("div", "", "pictures" + (result.pictures.length > 1 ? " several" : ""));
  for (const url of result.pictures) {
    const image = make("img");
    image.src = url;
    image.alt = "Tokens kept by " + result.name;
    pictures.append(image);
  }
  const several = result.runs > 1;
  const range = several ? " (" + percent(result.low) + " to " + percent(result.high) + ")" : "";
  const savings = "prefill " + result.prefill.toFixed(1) + "×, end to end " + result.end_to_end.toFixed(1) + "×";
  let agreement = result.same ? "Same answer" : "Different answer";
  if (several) agreement = result.same + " of " + result.runs + " answers the same; the first is shown";
  card.append(
    make("h3", result.name + (several ? ", " + result.runs + " draws" : "")),
    pictures,
    make("p", result.text || "(no words)", "text"),
    make("p", agreement, "same"),
    make("p", "Probability of the unpruned answer: " + percent(result.probability) + range),
    make("p", "First word: KL " + result.kl.toFixed(3) + " nats"),
    make("p", result.kept + " tokens; " + savings + " less (estimate)"),
  );
  return card;
}

function tableRow(cells) {
  const row = make("tr");
  row.append(...cells);
  return row;
}

function overlapCell(share) {
  const cell = make("td", share === null ? "–" : share.toFixed(2));
  cell.style.setProperty("--share", share || 0);
  return cell;
}

function draw({ full, sure, at, cards, overlap }) {
  const answer = "All tokens: “" + (full || "(no words)") + "”, probability " + percent(sure);
  find(".full").textContent = answer + ". At " + at + " kept:";
  find(".cards").replaceChildren(...cards.map(methodCard));
  find(".overlap").hidden = cards.length < 2;
  const head = tableRow([make("th", "Method"), ...cards.map(({ name }) => make("th", name))]);
  const rows = cards.map(({ name }, i) => tableRow([make("th", name), ...overlap[i].map(overlapCell)]));
  find("table").replaceChildren(head, ...rows);
}

notifyPage("rp:methods");
watch("value", () => controls.onMessage(props.value));
controls.onMessage(props.value);
