// The shelves: search, categories, order and pages all live in the address, so that it can be shared.
import { get } from "../api.js";
import { addToCart } from "../buy.js";
import { byId, fill, h, notice, picture, title } from "../dom.js";
import { explain } from "../messages.js";
import { money } from "../money.js";
import { currency } from "../session.js";
import { stockNote } from "../stock.js";

const asked = new URLSearchParams(location.search);
const search = asked.get("search") || "";
const category = asked.get("category") || "";
const page = Number(asked.get("page")) || 1;

function address(changes) {
  const wanted = new URLSearchParams();
  const all = { search, category, ordering: asked.get("ordering") || "", page: "", ...changes };
  for (const [name, value] of Object.entries(all)) if (value) wanted.set(name, value);
  return wanted.size ? `/?${wanted}` : "/";
}

function card(product) {
  const prices = product.variants.map((variant) => variant.price);
  const several = new Set(prices).size > 1;
  const lowest = product.variants.reduce((a, b) => (Number(b.price) < Number(a.price) ? b : a));
  const soldOut = product.variants.every((variant) => variant.available !== null && variant.available < 1);
  const problems = h("div");
  const single = product.variants.length === 1;
  const action = single
    ? h("button", { type: "button", class: "button small", "aria-label": `Add ${product.name} to the cart` }, "Add")
    : h("a", { class: "button small quiet", href: `/products/${product.slug}/`, "aria-label": `Choose an option of ${product.name}` }, "Choose");
  if (single) {
    const [variant] = product.variants;
    action.addEventListener("click", () => addToCart({ button: action, variant, name: product.name, problems }));
  }
  return h(
    "li",
    { class: "card" },
    h("div", { class: "card-picture" }, picture(product.image_url, product.name), soldOut && h("span", { class: "tag" }, "Sold out")),
    h(
      "div",
      { class: "card-text" },
      h("p", { class: "kicker" }, product.category_name || product.category),
      h("h2", {}, h("a", { href: `/products/${product.slug}/` }, product.name)),
      stockNote(single ? product.variants[0].available : null),
    ),
    h(
      "div",
      { class: "card-foot" },
      h("p", { class: "price" }, several && h("small", {}, "from "), money(lowest.price, lowest.currency)),
      !soldOut && action,
    ),
    problems,
  );
}

function pages(found) {
  if (!found.previous && !found.next) return null;
  return h(
    "nav",
    { class: "pages", "aria-label": "Pages" },
    found.previous ? h("a", { class: "button quiet", rel: "prev", href: address({ page: page > 2 ? page - 1 : "" }) }, "Previous") : h("span"),
    h("span", {}, `Page ${page}`),
    found.next ? h("a", { class: "button quiet", rel: "next", href: address({ page: page + 1 }) }, "Next") : h("span"),
  );
}

function nothing() {
  return h(
    "div",
    { class: "empty" },
    h("h2", {}, search ? `Nothing found for “${search}”` : "Nothing here yet"),
    h("p", {}, search || category ? "Try another word, or look at everything there is." : "Products that are added to the shop appear here."),
    (search || category) && h("a", { class: "button", href: "/" }, "Show everything"),
  );
}

async function showCategories() {
  const shelves = await get("/api/categories/");
  const links = [{ slug: "", name: "Everything" }, ...shelves].map((shelf) =>
    h("li", {}, h("a", { href: address({ category: shelf.slug }), "aria-current": shelf.slug === category ? "true" : null }, shelf.name)),
  );
  fill(byId("categories"), h("ul", {}, links));
  return shelves.find((shelf) => shelf.slug === category)?.name || "";
}

async function showProducts() {
  const query = new URLSearchParams({ currency: currency(), search, category, ordering: asked.get("ordering") || "", page, page_size: 24 });
  const found = await get(`/api/products/?${query}`);
  byId("found").textContent = found.count === 1 ? "1 product" : `${found.count} products`;
  fill(byId("products"), found.count ? h("ul", { class: "cards" }, found.results.map(card)) : nothing(), pages(found));
}

byId("ordering").value = asked.get("ordering") || "";
byId("ordering").addEventListener("change", (event) => location.assign(address({ ordering: event.target.value })));
if (search || category || page > 1) byId("welcome").classList.add("plain");
if (search) title(`Results for “${search}”`);
const retry = h("a", { href: location.href }, "Try again");
showProducts().catch((error) => fill(byId("products"), notice("problem", `${explain(error)} `, retry)));
showCategories()
  .then((name) => name && title(search ? `“${search}” in ${name}` : name))
  .catch(() => {});
