"""The pages of prices."""

from django.urls import path

from agents import prices_views as views

app_name = "prices"
urlpatterns = [
    path("", views.PriceList.as_view(), name="list"),
    path("new/", views.PriceCreate.as_view(), name="create"),
    path("<uuid:pk>/edit/", views.PriceEdit.as_view(), name="edit"),
    path("<uuid:pk>/delete/", views.PriceDelete.as_view(), name="delete"),
]
