"""The project's settings on the servers of the test session; cheap where nothing hangs on it."""

import os

from tests.support import session

os.environ.update(session.environment())

from controlplane import settings  # the environment had to be set first

globals().update({name: value for name, value in vars(settings).items() if name.isupper()})

settings.DATABASES["default"]["OPTIONS"].pop("pool", None)
settings.STORAGES["staticfiles"]["BACKEND"] = (
    "django.contrib.staticfiles.storage.StaticFilesStorage"
)
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
WHITENOISE_AUTOREFRESH = True
