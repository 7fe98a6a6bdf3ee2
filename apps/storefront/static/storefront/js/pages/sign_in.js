// Signing in and registering: the same answer, and the anonymous cart comes along.
import { post } from "../api.js";
import { byId, LEAVING } from "../dom.js";
import { next, onSend } from "../form.js";
import { leaveMessage, signedIn } from "../session.js";

const form = byId("sign-in");

function told(merged) {
  const count = (merged?.capped?.length || 0) + (merged?.dropped?.length || 0);
  if (!count) return "";
  const parts = [];
  if (merged.capped?.length) parts.push(`${merged.capped.length} with a smaller quantity, as no more can be had`);
  if (merged.dropped?.length) parts.push(`${merged.dropped.length} left out, as it cannot be had or is in another currency`);
  return `Your two carts are one now: ${parts.join("; ")}.`;
}

onSend(form, "One moment…", async (values) => {
  const answer = await post(form.dataset.call, values, { anonymous: true });
  signedIn(answer);
  const merged = told(answer.cart?.merged);
  if (merged) leaveMessage(merged);
  location.assign(merged ? "/cart/" : next());
  return LEAVING;
});
