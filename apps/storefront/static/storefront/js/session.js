// What this browser remembers: who is signed in, and the tokens of a guest's orders.

const memory = new Map(); // for browsers that refuse storage: until the page is left

function read(key) {
  try {
    return localStorage.getItem(key) ?? memory.get(key) ?? null;
  } catch {
    return memory.get(key) ?? null;
  }
}

function write(key, value) {
  memory.set(key, value);
  try {
    localStorage.setItem(key, value);
  } catch {
    // Kept in memory above.
  }
}

function forget(key) {
  memory.delete(key);
  try {
    localStorage.removeItem(key);
  } catch {
    // It was never stored.
  }
}

const TOKEN = "proshop.token";
const USER = "proshop.user";
const ORDER = "proshop.order.";

export const token = () => read(TOKEN);
export const user = () => (token() ? JSON.parse(read(USER) || "null") : null);

export function signedIn(answer) {
  write(TOKEN, answer.token);
  write(USER, JSON.stringify(answer.user));
}

export function signedOut() {
  forget(TOKEN);
  forget(USER);
}

export const orderToken = (number) => read(ORDER + number);
export const rememberOrder = (number, value) => write(ORDER + number, value);
export const forgetOrder = (number) => forget(ORDER + number);

/** Numbers of the orders that this browser holds a token for, newest first. */
export function rememberedOrders() {
  let keys = [...memory.keys()];
  try {
    keys = [...new Set([...keys, ...Object.keys(localStorage)])];
  } catch {
    // Memory is all there is.
  }
  const numbers = keys.filter((key) => key.startsWith(ORDER)).map((key) => key.slice(ORDER.length));
  return numbers.sort().reverse();
}

/** The currency that prices are asked in; empty: the shop's own. */
export const currency = () => read("proshop.currency") || "";
export const chooseCurrency = (code) => write("proshop.currency", code);

/** A message for the page that is opened next. */
export const leaveMessage = (text) => write("proshop.message", text);
export function takeMessage() {
  const text = read("proshop.message");
  forget("proshop.message");
  return text;
}
