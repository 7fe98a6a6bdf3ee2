// Back from the payment page. Nothing is claimed here before the shop knows it: the page asks until it does.
import { cart, get } from "../api.js";
import { goToPayment } from "../buy.js";
import { byId, fill, h, notice, title } from "../dom.js";
import { explain } from "../messages.js";
import { money } from "../money.js";
import { orderToken, user } from "../session.js";

const place = byId("outcome");
const session = new URLSearchParams(location.search).get("session_id") || "";
const SLOWEST = 4000;
let shown = "";

/** The outcome that a status means. */
function outcome(status) {
  if (["paid", "partially_refunded", "refunded"].includes(status.payment_status)) return "paid";
  if (status.payment_status === "processing") return "processing";
  if (status.stripe_status === "paid" && status.order_status === "cancelled") return "late";
  if (status.payment_status === "failed") return status.stripe_status === "unpaid" ? "refused" : "expired";
  if (status.stripe_status === "expired") return "expired";
  return status.stripe_status === "open" ? "open" : "confirming";
}

const TITLES = {
  paid: "Thank you, it is paid",
  processing: "Your bank is still working on it",
  confirming: "Checking your payment",
  open: "Not paid yet",
  refused: "The bank did not pay",
  expired: "The time to pay ran out",
  late: "Your payment came too late",
};
const TEXTS = {
  paid: "We have your payment, and the confirmation is on its way to you by e-mail.",
  processing:
    "A bank debit takes a while, often some days. Your items are kept for you, and we e-mail you as soon as the bank has answered. You can close this page.",
  confirming: "The payment page is done, and we are waiting for the word that the money is there. This takes a few seconds.",
  open: "We have not received a payment for this order. You can go back to the payment page and finish.",
  refused: "The bank turned the debit down. You have not been charged, and you can pay in another way.",
  expired: "The payment page was open for too long. You have not been charged, and you can try again.",
  late: "The order had ended before the payment arrived. The shop has been told, and sends the money back or gets in touch.",
};

function actions(name, status) {
  const number = status.order_number;
  const mine = Boolean(user() || orderToken(number));
  const order = h("a", { class: mine && name === "paid" ? "button" : "button quiet", href: `/orders/${number}` }, "See your order");
  const shop = h("a", { class: "button quiet", href: "/" }, "Back to the shop");
  if (!["open", "refused", "expired"].includes(name)) return [mine && name !== "confirming" && order, shop];
  const again = h("button", { type: "button", class: "button" }, name === "open" ? "Continue to payment" : "Try again");
  const problems = h("div");
  const refused = (error) => fill(problems, notice("problem", explain(error)));
  again.addEventListener("click", () => goToPayment({ button: again, order: number, refused }));
  return [mine && again, mine && order, shop, problems];
}

function show(name, status) {
  const now = `${name} ${status.order_number}`;
  if (now === shown) return;
  shown = now;
  title(TITLES[name]);
  document.querySelector(".outcome").dataset.outcome = name;
  fill(
    place,
    h("p", { class: "lead" }, TEXTS[name]),
    h("p", { class: "facts" }, "Order ", h("strong", {}, status.order_number), " · ", money(status.amount, status.currency)),
  );
  fill(byId("actions"), h("div", { class: "row" }, actions(name, status)));
  // What was bought has left the cart.
  if (name === "paid" || name === "processing") cart(get("/api/cart/")).catch(() => {});
}

function unknown(error) {
  title("We do not know this payment");
  document.querySelector(".outcome").dataset.outcome = "expired";
  const text = session ? "The address may have been cut short." : "The address has no payment in it.";
  fill(place, h("p", { class: "lead" }, error.status === 400 || error.status === 404 ? text : explain(error)));
  fill(byId("actions"), h("div", { class: "row" }, h("a", { class: "button", href: "/" }, "Back to the shop")));
}

async function poll(pause = 1000) {
  if (!document.hidden) {
    try {
      const status = await get(`/api/payment/status/?session_id=${encodeURIComponent(session)}`);
      const name = outcome(status);
      show(name, status);
      if (["paid", "late", "refused", "expired"].includes(name)) return;
    } catch (error) {
      if (error.status === 400 || error.status === 404) return unknown(error);
      // The shop is away for a moment: what is shown stays, and the next round asks again.
    }
  }
  setTimeout(poll, pause, Math.min(pause + 500, SLOWEST));
}

if (session) poll();
else unknown({ status: 404 });
