"""/v1/products"""

from __future__ import annotations

from apps.sandbox import ids
from apps.sandbox.call import Call, merged_metadata
from apps.sandbox.errors import invalid, unsupported
from apps.sandbox.events import emit
from apps.sandbox.pagination import page
from apps.sandbox.store import Object


def build(call: Call, given: Object, **changes: object) -> Object:
    """A product from `name`, `description`, `images`, `metadata` and so on; not stored."""
    images = given.get("images") or []
    if len(images) > 8:
        raise invalid("A product can have up to 8 images.", "images")
    return {
        "id": given.get("id") or ids.new("product"),
        "object": "product",
        "active": given.get("active", True),
        "created": call.now,
        "default_price": None,
        "description": given.get("description"),
        "images": images,
        "livemode": False,
        "marketing_features": given.get("marketing_features") or [],
        "metadata": merged_metadata({}, given.get("metadata") or {}),
        "name": given["name"],
        "package_dimensions": given.get("package_dimensions") or None,
        "shippable": given.get("shippable"),
        "statement_descriptor": given.get("statement_descriptor"),
        "tax_code": given.get("tax_code"),
        "type": given.get("type", "service"),
        "unit_label": given.get("unit_label"),
        "updated": call.now,
        "url": given.get("url"),
        **changes,
    }


def create(call: Call) -> Object:
    if "default_price_data" in call.params:
        raise unsupported("default_price_data")
    product = build(call, call.params)
    if call.tx.find(product["id"]) is not None:
        raise invalid(f"Product already exists: {product['id']}", "id", "resource_already_exists")
    call.tx.put(product)
    emit(call, "product.created", product)
    return product


def retrieve(call: Call, product_id: str) -> Object:
    return call.get("product", product_id)


def update(call: Call, product_id: str) -> Object:
    product, params = call.get("product", product_id), call.params
    names = ("active", "description", "images", "name", "shippable", "statement_descriptor", "unit_label", "url")
    changes = {name: params[name] or None if params[name] == "" else params[name] for name in names if name in params}
    if "metadata" in params:
        changes["metadata"] = merged_metadata(product["metadata"], params["metadata"])
    if "default_price" in params:
        changes["default_price"] = call.get("price", params["default_price"], param="default_price")["id"]
    previous = {name: product[name] for name in changes if product[name] != changes[name]}
    call.tx.put(product | changes | {"updated": call.now})
    product |= changes | {"updated": call.now}
    emit(call, "product.updated", product, previous)
    return product


def list_all(call: Call) -> Object:
    filters = {"active": ["true" if call.params["active"] else "false"]} if "active" in call.params else {}
    return page(call, "product", "/v1/products", filters)
