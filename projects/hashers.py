"""How passwords are hashed."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class LeanArgon2Hasher(Argon2PasswordHasher):
    """Argon2id with 19 MiB, two passes and one lane, as OWASP recommends. Django's default of
    100 MiB and eight lanes a hash would let a minute of sign-ins take the machine's memory."""

    memory_cost = 19_456
    time_cost = 2
    parallelism = 1
