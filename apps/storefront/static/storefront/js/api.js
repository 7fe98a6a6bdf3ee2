// The public API, as any other frontend would call it.
import { orderToken, signedOut, token } from "./session.js";

/** A refusal: status, stable code, the sentence, and the data of the contract. */
export class ApiError extends Error {
  constructor(status, body, retryAfter) {
    super(body.error || "Something went wrong.");
    this.status = status;
    this.code = body.code || "unknown";
    this.fields = body.fields || {};
    this.items = body.items || [];
    this.orderNumber = body.order_number || null;
    this.remaining = body.remaining || null;
    this.currency = body.currency || null;
    this.retryAfter = Number(retryAfter) || null;
  }
}

const cookie = (name) =>
  document.cookie
    .split("; ")
    .find((part) => part.startsWith(`${name}=`))
    ?.slice(name.length + 1);

async function call(method, path, { body, order, anonymous = false, file = false } = {}) {
  // Reading the cart sets the cookie that a session's writes must repeat in a header.
  if (method !== "GET" && !token() && !cookie("csrftoken")) await call("GET", "/api/cart/");
  const headers = { Accept: "application/json" };
  const sent = anonymous ? null : token();
  if (sent) headers.Authorization = `Token ${sent}`;
  if (method !== "GET" && cookie("csrftoken")) headers["X-CSRFToken"] = cookie("csrftoken");
  if (order && orderToken(order)) headers["X-Order-Token"] = orderToken(order);
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new ApiError(0, { error: "The shop cannot be reached. Check your connection.", code: "unreachable" });
  }
  if (answer.status === 204) return null;
  if (file && answer.ok) return answer.blob();
  const data = await answer.json().catch(() => ({}));
  if (answer.ok) return data;
  if (answer.status === 401 && data.code === "invalid_token" && sent) {
    // The sign-in has ended: go on as a guest where that is possible.
    signedOut();
    document.dispatchEvent(new CustomEvent("shop:signed-out"));
    if (method === "GET") return call(method, path, { body, order, file });
  }
  throw new ApiError(answer.status, data, answer.headers.get("Retry-After"));
}

export const get = (path, options) => call("GET", path, options);
export const post = (path, body, options) => call("POST", path, { body, ...options });
export const patch = (path, body) => call("PATCH", path, { body });
export const remove = (path) => call("DELETE", path);

let configured = null;

/** The shop's public settings, asked for once by each page. */
export function config() {
  configured ||= get("/api/payment/config/").catch((error) => {
    configured = null;
    throw error;
  });
  return configured;
}

/** Every write of the cart answers the cart; the header's count follows it. */
export async function cart(answer) {
  const found = await answer;
  document.dispatchEvent(new CustomEvent("shop:cart", { detail: found }));
  return found;
}
