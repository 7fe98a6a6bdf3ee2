"""Mounted under /api/orders/."""

from django.urls import path

from apps.invoices.views import DocumentListView, InvoiceView

urlpatterns = [
    path("<str:number>/invoice/", InvoiceView.as_view(), name="order-invoice"),
    path("<str:number>/documents/", DocumentListView.as_view(), name="order-documents"),
]
