// The cart: change it, see what it costs, go and pay.
import { cart as follow, get, patch, remove } from "../api.js";
import { goToPayment } from "../buy.js";
import { byId, fill, h, notice, picture } from "../dom.js";
import { option } from "../form.js";
import { explain } from "../messages.js";
import { money } from "../money.js";
import { user } from "../session.js";
import { stepper } from "../stepper.js";

const place = byId("cart");
const problems = byId("problems");
let shown = null;
let saves = false; // the box, kept while the cart is drawn anew

function line(item) {
  const { currency } = shown;
  const short = item.available !== null && item.available < item.quantity;
  const other = item.current_price !== null && item.current_price !== item.price_at_add;
  const quantity = stepper({
    id: `quantity-${item.id}`,
    label: `Quantity of ${item.name}`,
    value: item.quantity,
    available: item.available,
    changed: (wanted) => change(() => patch(`/api/cart/items/${item.id}/`, { quantity: wanted }), `quantity-${item.id}`),
  });
  const drop = h("button", { type: "button", class: "link", "aria-label": `Remove ${item.name}` }, "Remove");
  drop.addEventListener("click", () => change(() => remove(`/api/cart/items/${item.id}/`), "cart-title"));
  return h(
    "li",
    { class: "line" },
    picture(item.image_url, item.name, "small"),
    h(
      "div",
      { class: "line-text" },
      h("h2", {}, item.name),
      h("p", { class: "quiet-text" }, `${money(item.price_at_add, currency)} each`),
      other && h("p", { class: "few" }, `The shop now asks ${money(item.current_price, currency)}.`),
      item.current_price === null && h("p", { class: "few" }, "Not for sale any more: remove it to check out."),
      short && h("p", { class: "few" }, item.available > 0 ? `Only ${item.available} can be had now.` : "Sold out in the meantime."),
    ),
    h("div", { class: "line-tools" }, quantity, drop),
    h("p", { class: "price line-total" }, money(item.line_total, currency)),
  );
}

function summary() {
  const pay = h("button", { type: "button", class: "button wide" }, "Check out");
  const keep = user() && option({ type: "checkbox", name: "save", value: "yes", checked: saves, text: "Save my card for next time" });
  keep?.addEventListener("change", (event) => (saves = event.target.checked));
  pay.addEventListener("click", () => goToPayment({ button: pay, save: saves, refused }));
  const total = money(shown.total, shown.currency);
  return h(
    "section",
    { class: "panel summary", "aria-labelledby": "summary-title" },
    h("h2", { id: "summary-title" }, "Summary"),
    h(
      "dl",
      { class: "totals" },
      h("div", {}, h("dt", {}, `Subtotal (${shown.items_count} ${shown.items_count === 1 ? "item" : "items"})`), h("dd", {}, money(shown.subtotal, shown.currency))),
      h("div", { class: "due" }, h("dt", {}, "Total"), h("dd", { id: "total" }, total)),
    ),
    keep,
    pay,
    h("p", { class: "quiet-text" }, "You pay on a secure payment page. The items are kept for you while you are there."),
    user() && h("a", { class: "button quiet wide", href: "/checkout/" }, "Pay on this site"),
  );
}

function show(found) {
  shown = found;
  byId("announcement").textContent = found.items_count ? `Total ${money(found.total, found.currency)}` : "Your cart is empty.";
  if (!found.items.length) {
    fill(
      place,
      h("div", { class: "empty" }, h("h2", {}, "Your cart is empty"), h("p", {}, "Things that you add in the shop wait here for you."), h("a", { class: "button", href: "/" }, "Look around")),
    );
    return;
  }
  fill(place, h("div", { class: "columns" }, h("ul", { class: "lines" }, found.items.map(line)), summary()));
}

/** One change at a time; the keyboard's focus comes back to where it was. */
async function change(work, focusId) {
  fill(problems);
  place.inert = true;
  const pressed = document.activeElement?.getAttribute("aria-label");
  try {
    show(await follow(work()));
  } catch (error) {
    refused(error, false);
    show(await follow(get("/api/cart/")).catch(() => shown));
  } finally {
    place.inert = false;
  }
  const again = pressed && [...place.querySelectorAll("button")].find((button) => button.getAttribute("aria-label") === pressed && !button.disabled);
  (again || byId(focusId))?.focus();
}

async function refused(error, reread = true) {
  const sorry = [explain(error, { lines: shown?.items, currency: shown?.currency })];
  if (error.code === "sign_in_required") sorry.push(" ", h("a", { href: "/sign-in/?next=%2Fcart%2F" }, "Sign in"));
  if (error.orderNumber) sorry.push(" ", h("a", { href: `/orders/${error.orderNumber}` }, `See order ${error.orderNumber}`));
  if (reread) await follow(get("/api/cart/")).then(show, () => {});
  fill(problems, notice("problem", sorry));
  problems.scrollIntoView({ block: "center" });
}

follow(get("/api/cart/")).then(show, (error) => fill(place, notice("problem", explain(error))));
