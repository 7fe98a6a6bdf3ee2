// What the signed-in buyer has paid, and what came back of it.
import { get } from "../api.js";
import { byId, fill, h, notice, pages, signInHint } from "../dom.js";
import { explain } from "../messages.js";
import { moment, money } from "../money.js";
import { refundList, refundsSince } from "../refunds.js";
import { user } from "../session.js";
import { methodName, paymentBadge } from "../states.js";

const place = byId("payments");
const page = Number(new URLSearchParams(location.search).get("page")) || 1;

function row(payment, refunds) {
  const own = refunds.filter((refund) => refund.payment_id === payment.id);
  const paid = ["succeeded", "partially_refunded", "refunded"].includes(payment.status);
  return h(
    "li",
    { class: "panel payment" },
    h(
      "div",
      { class: "payment-head" },
      h("h2", {}, money(payment.amount, payment.currency)),
      paymentBadge(payment),
      h("p", { class: "quiet-text" }, [moment(payment.paid_at || payment.created_at), methodName(payment.payment_method)].filter(Boolean).join(" · ")),
    ),
    payment.failure && !paid && h("p", {}, payment.failure.message),
    own.length > 0 && refundList(own),
    h(
      "p",
      { class: "links" },
      h("a", { href: `/orders/${payment.order_number}` }, `Order ${payment.order_number}`),
      paid && h("a", { href: `/payments/${payment.id}`, "aria-label": `Refunds of the payment for ${payment.order_number}` }, "Refunds"),
      payment.receipt_url && h("a", { href: payment.receipt_url, rel: "noreferrer", "aria-label": `Receipt for ${payment.order_number}` }, "Receipt"),
    ),
  );
}

async function show() {
  const found = await get(`/api/payment/payments/?page=${page}`);
  if (!found.results.length) {
    fill(place, h("div", { class: "empty" }, h("h2", {}, "No payments yet"), h("p", {}, "What you pay, and what you get back, appears here."), h("a", { class: "button", href: "/" }, "Look around")));
    return;
  }
  const refunds = await refundsSince(found.results.at(-1).created_at);
  fill(place, h("ul", { class: "payments" }, found.results.map((payment) => row(payment, refunds))), pages(found, page));
}

const hint = () => fill(place, signInHint("Sign in to see what you have paid. A payment that you made as a guest stands on its order’s page."));

if (user()) show().catch((error) => (error.status === 401 ? hint() : fill(place, notice("problem", explain(error)))));
else hint();
