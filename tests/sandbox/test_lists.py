"""Lists: filters, cursors, and their speed."""

from __future__ import annotations

import time

from apps.sandbox.store import Store
from tests.sandbox.conftest import ENDIVE, launch, refusal


def test_cursors_and_limits(box):
    products = box.stripe.v1.products
    ids = [products.create({"name": f"P{i}"}).id for i in range(7)][::-1]

    first = products.list({"limit": 3})
    assert ([p.id for p in first.data], first.has_more) == (ids[:3], True)
    second = products.list({"limit": 4, "starting_after": ids[2]})
    assert ([p.id for p in second.data], second.has_more) == (ids[3:], False)
    above = products.list({"limit": 2, "ending_before": ids[4]})
    assert ([p.id for p in above.data], above.has_more) == (ids[2:4], True)
    assert [p.id for p in products.list({"limit": 2}).auto_paging_iter()] == ids
    backwards = products.list({"limit": 2, "ending_before": ids[6]}).auto_paging_iter()
    assert [p.id for p in backwards] == ids[5::-1]
    assert refusal(products.list, {"limit": 0}) == ("parameter_invalid_integer", "limit")
    assert refusal(products.list, {"limit": 101}) == ("parameter_invalid_integer", "limit")
    assert refusal(products.list, {"starting_after": "prod_none"}) == ("resource_missing", "starting_after")


def test_session_filters(box, new_session):
    paid, expired, fresh = new_session(), new_session(), new_session(customer_email="ada@example.com")
    box.control(f"sessions/{paid.id}/pay")
    box.stripe.v1.checkout.sessions.expire(expired.id)
    intent = box.stripe.v1.checkout.sessions.retrieve(paid.id).payment_intent

    def found(**params):
        return [s.id for s in box.stripe.v1.checkout.sessions.list(params).data]

    assert found() == [fresh.id, expired.id, paid.id]
    assert found(status="open") == [fresh.id]
    assert found(status="complete", payment_intent=intent) == [paid.id]
    assert found(payment_intent=intent, status="open") == []
    assert found(customer_details={"email": "ada@example.com"}) == [fresh.id]
    assert found(created={"gte": paid.created}) == [fresh.id, expired.id, paid.id]
    assert found(created={"lt": paid.created}) == []
    lines = box.stripe.v1.checkout.sessions.line_items.list(paid.id)
    assert [(line.object, line.amount_total) for line in lines.data] == [("item", 3000)]


def test_event_filters(box, new_session, receiver):
    receiver.answer = lambda event: 500 if event["type"].startswith("charge.") else 200
    session = new_session()
    box.control(f"sessions/{session.id}/pay", wait=True)
    events = box.stripe.v1.events

    def types(**params):
        return [e.type for e in events.list(params).data][::-1]

    receiver.wait(
        lambda: (
            types(delivery_success=True)
            == ["payment_intent.created", "checkout.session.completed", "payment_intent.succeeded"]
        )
    )
    assert "charge.succeeded" in types(delivery_success=False)
    assert types(type="payment_intent.*") == ["payment_intent.created", "payment_intent.succeeded"]
    assert types(types=["charge.succeeded", "checkout.session.completed"]) == [
        "charge.succeeded",
        "checkout.session.completed",
    ]
    newest = events.list({"limit": 1, "type": "payment_intent.created"}).data[0]
    assert "payment_intent.created" not in types(ending_before=newest.id)
    charge = events.list({"type": "charge.succeeded"}).data[0]
    assert (charge.pending_webhooks, charge.api_version, charge.request.id) == (1, ENDIVE, None)
    assert refusal(events.list, {"types": ["charge.*"]}) == (None, "types")


def test_ten_thousand_sessions_stay_fast(box, new_session, tmp_path):
    """Lists and filters read an index: a page costs about the same whatever is stored."""
    pattern = new_session().to_dict(recursive=True)
    store = Store(tmp_path / "many.sqlite3")
    with store.write() as tx:
        for number in range(10_000):
            tx.put({**pattern, "id": f"cs_test_{number:05}", "payment_intent": f"pi_{number}"})
        tx.put({**pattern, "id": "cs_test_paid", "status": "complete"})
    store.close()
    large = launch(tmp_path / "many.sqlite3")
    sessions = large.stripe.v1.checkout.sessions
    sessions.list({"limit": 1})

    started = time.perf_counter()
    assert [s.id for s in sessions.list({"payment_intent": "pi_77"}).data] == ["cs_test_00077"]
    assert [s.id for s in sessions.list({"status": "complete"}).data] == ["cs_test_paid"]
    assert sessions.list({"limit": 2, "starting_after": "cs_test_05000"}).data[0].id == "cs_test_04999"
    assert sessions.list({"created": {"gt": pattern["created"]}}).data == []
    seconds = time.perf_counter() - started

    large.stop()
    assert seconds < 1
