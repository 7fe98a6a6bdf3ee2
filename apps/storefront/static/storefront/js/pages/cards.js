// Saved cards: see them, add one, choose the one that is offered first, remove one.
import { get, post, remove } from "../api.js";
import { busy, byId, confirmed, fill, h, notice, signInHint, toast } from "../dom.js";
import { onSend } from "../form.js";
import { explain } from "../messages.js";
import { user } from "../session.js";
import { methodName } from "../states.js";
import { cardField, cardPlace, settled, stripe } from "../stripe.js";

const place = byId("wallet");
const problems = byId("problems");
const LIST = "/api/payment/methods/";
let setup = null; // one SetupIntent serves until a card is saved with it, also after a decline

const told = (error) => fill(problems, notice("problem", explain(error)));

function expiry(method) {
  if (!method.exp_year) return "";
  const over = new Date(method.exp_year, method.exp_month) <= new Date(); // months count from 0: the first of the next
  return `${over ? "Expired" : "Expires"} ${String(method.exp_month).padStart(2, "0")}/${method.exp_year}`;
}

function row(method) {
  const name = methodName(method);
  const prefer = h("button", { type: "button", class: "button small quiet", "aria-label": `Make ${name} the default` }, "Make default");
  prefer.addEventListener("click", () => change(prefer, () => post(`${LIST}${method.id}/default/`), `${name} is the default now.`));
  const drop = h("button", { type: "button", class: "button small quiet", "aria-label": `Remove ${name}` }, "Remove");
  drop.addEventListener("click", async () => {
    const sure = await confirmed({ title: `Remove ${name}?`, text: "You will not be able to pay with it here until you add it again.", yes: "Remove" });
    if (sure) await change(drop, () => remove(`${LIST}${method.id}/`), `${name} is removed.`);
  });
  return h(
    "li",
    { class: "saved" },
    h("div", {}, h("h2", {}, name), h("p", { class: "quiet-text" }, expiry(method))),
    method.is_default && h("span", { class: "badge" }, "Default"),
    h("div", { class: "saved-tools" }, !method.is_default && prefer, drop),
  );
}

async function change(button, work, done) {
  fill(problems);
  await busy(button, "One moment…", async () => {
    try {
      await work();
      await showList();
      toast(done);
      byId("wallet-title").focus();
    } catch (error) {
      told(error);
    }
  });
}

async function showList() {
  const methods = await get(LIST);
  const add = h("button", { type: "button", class: "button", id: "add" }, "Add a card");
  add.addEventListener("click", showForm);
  fill(
    place,
    methods.length
      ? [h("ul", { class: "wallet" }, methods.map(row)), h("div", { class: "row", id: "adding" }, add)]
      : h("div", { class: "empty", id: "adding" }, h("h2", {}, "No saved cards"), h("p", {}, "A card that you save makes the next payment a matter of one press."), add),
  );
}

function showForm() {
  fill(problems);
  const cancel = h("button", { type: "button", class: "button quiet" }, "Cancel");
  cancel.addEventListener("click", async () => {
    await showList().catch(told);
    byId("add")?.focus();
  });
  const form = h(
    "form",
    { class: "panel form", id: "card-form", "aria-labelledby": "card-form-title" },
    h("h2", { id: "card-form-title" }, "Add a card"),
    h("div", { class: "form-problem" }),
    cardPlace("card"),
    h("p", { class: "quiet-text" }, "The card goes to Stripe and is kept there. This shop sees its brand, its last four digits and its expiry."),
    h("div", { class: "row" }, h("button", { type: "submit", class: "button", disabled: true }, "Save card"), cancel),
  );
  byId("adding").replaceWith(form);
  cardField("card").then(
    (element) => {
      onSend(form, "Saving…", () => save(element));
      element.focus();
    },
    (error) => fill(form.querySelector(".form-problem"), notice("problem", explain(error))),
  );
}

async function save(card) {
  setup ||= await post(`${LIST}setup/`);
  // Where the bank wants a check, Stripe.js shows it, or leads there and back to this page.
  settled(await (await stripe()).confirmCardSetup(setup.client_secret, { payment_method: { card } }));
  await keep(setup.setup_intent_id);
}

async function keep(setupIntent) {
  const method = await post(LIST, { setup_intent: setupIntent });
  setup = null;
  await showList();
  toast(`${methodName(method)} is saved.`);
  byId("wallet-title").focus();
}

/** Back from the bank's check: what came of it stands behind the question mark, and leaves the address at once. */
async function comeBack() {
  const asked = new URLSearchParams(location.search);
  const [id, secret] = [asked.get("setup_intent"), asked.get("setup_intent_client_secret")];
  if (!id || !secret) return;
  history.replaceState(null, "", location.pathname);
  const { setupIntent } = settled(await (await stripe()).retrieveSetupIntent(secret));
  if (setupIntent.status === "succeeded") await keep(id);
  else throw new Error(setupIntent.last_setup_error?.message || "The card was not saved. Try again, or use another one.");
}

const hint = () => fill(place, signInHint("Sign in to see the cards that you have saved, and to add one."));

if (user()) {
  showList().then(
    () => comeBack().catch(told),
    (error) => (error.status === 401 ? hint() : fill(place, notice("problem", explain(error)))),
  );
} else hint();
