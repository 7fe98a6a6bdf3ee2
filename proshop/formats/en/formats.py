"""Dates in the admin's lists, in the form and the time zone that its own pages use."""

DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = "Y-m-d H:i"
