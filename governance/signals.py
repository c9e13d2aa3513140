"""The one signal of the house."""

from django.dispatch import Signal

# Sent with `approval` inside the transaction that ends it: approved, rejected or expired. What a
# receiver raises undoes the decision. Heard by runs.receivers and governance.questions.
approval_decided = Signal()
