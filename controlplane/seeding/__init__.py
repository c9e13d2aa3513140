"""Bulk data for trying the product at size: `manage.py seed`."""
