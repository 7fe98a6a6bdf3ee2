"""The books to take away: tables for a period as CSV or XLSX, and a report at the month's end."""
