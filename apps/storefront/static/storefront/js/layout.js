// What every page has: the cart's count, who is signed in, and messages from the page before.
import { cart, config, get, post } from "./api.js";
import { byId, fill, h, toast } from "./dom.js";
import { chooseCurrency, currency, signedOut, takeMessage, user } from "./session.js";

function showCount(found) {
  const count = byId("cart-count");
  count.hidden = !found.items_count;
  fill(count, String(found.items_count), h("span", { class: "sr" }, found.items_count === 1 ? " item" : " items"));
}

function showAccount() {
  const person = user();
  const here = location.pathname + location.search;
  fill(
    byId("account"),
    person
      ? [
          h("span", { class: "who", title: person.email }, person.name || person.email),
          h("button", { class: "link", type: "button", onclick: signOut }, "Sign out"),
        ]
      : h("a", { href: `/sign-in/?next=${encodeURIComponent(here)}` }, "Sign in"),
  );
}

async function signOut() {
  try {
    await post("/api/auth/logout/");
  } catch {
    // Away or dead already: this browser forgets the token all the same.
  }
  signedOut();
  location.assign("/");
}

async function showFooter() {
  const settings = await config();
  byId("currency").value = currency() || settings.currency;
  byId("currency").addEventListener("change", (event) => {
    chooseCurrency(event.target.value);
    location.reload();
  });
  if (settings.payment_env === "test") byId("footer-note").textContent = "Test mode: no real money moves.";
}

document.addEventListener("shop:cart", (event) => showCount(event.detail));
document.addEventListener("shop:signed-out", () => {
  showAccount();
  toast("Your sign-in has ended.", { href: "/sign-in/", text: "Sign in again" });
});
// A page that comes back from the browser's memory shows an old cart, and a button that is still busy.
window.addEventListener("pageshow", (event) => event.persisted && location.reload());

for (const link of document.querySelectorAll(".nav a")) {
  if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
}
byId("search").value = location.pathname === "/" ? new URLSearchParams(location.search).get("search") || "" : "";
showAccount();
// The cart page reads the cart itself; one reading is enough.
if (location.pathname !== "/cart/") cart(get("/api/cart/")).catch(() => {});
showFooter().catch(() => {});
const message = takeMessage();
if (message) toast(message);
