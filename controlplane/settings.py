"""Settings of Spark-Ops, read from the environment; refuses to start in production without keys."""

from pathlib import Path

import environ
from csp.constants import NONCE, SELF
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("SPARKOPS_DATA_DIR", str(BASE_DIR / ".data"))).resolve()

PUBLIC_URL = env.str("SPARKOPS_PUBLIC_URL", "").rstrip("/")
HOST = env.str("HOST", "127.0.0.1")
PORT = env.int("PORT", 8000)
SECURE = PUBLIC_URL.startswith("https://")
DEBUG = env.bool("SPARKOPS_DEBUG", False)

SECRET_KEY = env.str("SPARKOPS_SECRET_KEY", "")
ENCRYPTION_KEYS = env.list("SPARKOPS_ENCRYPTION_KEYS", default=[])
DATABASE_URL = env.str("DATABASE_URL", "")
REDIS_URL = env.str("REDIS_URL", "")
if not (SECRET_KEY and ENCRYPTION_KEYS and DATABASE_URL and REDIS_URL):
    raise ImproperlyConfigured(
        "SPARKOPS_SECRET_KEY, SPARKOPS_ENCRYPTION_KEYS, DATABASE_URL and REDIS_URL must be set; "
        "`make up` and `make test` set them for the embedded servers."
    )

ALLOWED_HOSTS = env.list("SPARKOPS_ALLOWED_HOSTS", default=["*"] if not SECURE else [])
if PUBLIC_URL:
    ALLOWED_HOSTS.append(PUBLIC_URL.split("://", 1)[1].split("/")[0].rsplit(":", 1)[0])
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []

INSTALLED_APPS = [
    "controlplane.kit",
    "projects",
    "tools",
    "agents",
    "workflows",
    "governance",
    "runs",
    "analytics",
    "controlplane",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",
    "rest_framework",
    "django_filters",
    "django_htmx",
    "channels",
    "import_export",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "allauth",
    "allauth.account",
    "csp",
]

MIDDLEWARE = [
    "controlplane.kit.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "controlplane.kit.middleware.DomainErrorMiddleware",
    "controlplane.kit.middleware.HtmxAnswerMiddleware",
    "projects.middleware.CurrentProjectMiddleware",
]

ROOT_URLCONF = "controlplane.urls"
ASGI_APPLICATION = "controlplane.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "controlplane.context.frame",
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

DATABASES = {"default": env.db_url_config(DATABASE_URL)}
DATABASES["default"]["ENGINE"] = "controlplane.kit.postgresql"
# A pooled connection is looked at before it is lent: after PostgreSQL was started again, each dead
# one would otherwise cost a request.
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# As the embedded server is set, for servers of one's own, too: on today's disks a page by an index
# costs little more than the next one, and compiling a plan costs more than these queries take.
PLANNING = "-c random_page_cost=1.1 -c jit=off"
given = DATABASES["default"].get("OPTIONS", {})
DATABASES["default"]["OPTIONS"] = {
    **given,
    "options": f"{given.get('options', '')} {PLANNING}".strip(),
    "pool": {"min_size": 1, "max_size": env.int("SPARKOPS_DB_POOL", 16), "timeout": 10},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "sparkops",
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "controlplane.kit.doorbell.DoorbellLayer",
        # redis-py 8 closes idle sockets after 5 s unless told otherwise.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None}], "prefix": "sparkops"},
    }
}

AUTH_USER_MODEL = "projects.User"
AUTHENTICATION_BACKENDS = [
    "projects.backends.ProjectRoleBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = [
    "projects.hashers.LeanArgon2Hasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/accounts/login/"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "projects.adapter.AccountAdapter"
ACCOUNT_FORMS = {"signup": "projects.forms.RegisterForm"}
# Sign-ins are counted by our own adapter, together with those of the API.
ACCOUNT_RATE_LIMITS = {"login": None, "login_failed": None, "signup": "60/m/ip"}
REGISTRATION = env.str("SPARKOPS_REGISTRATION", "open")

SESSION_COOKIE_NAME = "__Host-sessionid" if SECURE else "sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken" if SECURE else "csrftoken"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE else None
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": ["'none'"],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": ["'none'"],
    }
}

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
MEDIA_ROOT = DATA_DIR / "media"

globals().update(
    {
        f"EMAIL_{key}" if not key.startswith("EMAIL") else key: value
        for key, value in env.email_url("EMAIL_URL", default="consolemail://").items()
    }
)
DATA_UPLOAD_MAX_MEMORY_SIZE = 12 * 1024 * 1024

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "projects.authentication.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["controlplane.kit.access.RolePermission"],
    "DEFAULT_RENDERER_CLASSES": [
        "controlplane.kit.json.OrjsonRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": ["controlplane.kit.json.StrictJSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["controlplane.kit.access.FilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "controlplane.kit.pagination.ListPagination",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["controlplane.kit.access.PrincipalThrottle"],
    "EXCEPTION_HANDLER": "controlplane.kit.errors.problem_response",
    "URL_FORMAT_OVERRIDE": None,
    "DEFAULT_THROTTLE_RATES": {"principal": env.str("SPARKOPS_RATE", "600/s"), "sign_in": "60/m"},
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Spark-Ops",
    "DESCRIPTION": "Control plane for AI agents and workflows.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": False},
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "controlplane.openapi.finish",
    ],
    # Choices that several serializers name alike.
    "ENUM_NAME_OVERRIDES": {
        "RunStatusEnum": "runs.states.RunStatus",
        "RunTriggerEnum": "runs.states.Trigger",
        "StartTriggerEnum": [("manual", "manual"), ("api", "api")],
        "StepStatusEnum": "runs.states.StepStatus",
        "ToolStatusEnum": "tools.models.Tool.Status",
        "ToolKindEnum": "tools.models.Kind",
        "AgentStatusEnum": "agents.models.Agent.Status",
        "AgentKindEnum": "agents.models.Kind",
        "InstanceStateEnum": "agents.models.Instance.State",
        "WorkflowStatusEnum": "workflows.models.Workflow.Status",
        "WorkflowVersionStateEnum": "workflows.models.WorkflowVersion.State",
        "ProjectStatusEnum": "projects.models.Project.Status",
        "ApprovalStatusEnum": "governance.models.Approval.Status",
        "ResolutionEnum": [(word, word) for word in ("done", "redo", "compensate")],
        "RoleEnum": "projects.roles.Role",
        "TalkerEnum": [("user", "user"), ("agent", "agent")],
        "ChangeKindEnum": [(word, word) for word in ("added", "removed", "changed")],
    },
}

# Sanctioned inversions (docs/architecture.md): called by name so that the floor imports no app.
AUDIT_RECORDER = "governance.recorder.record"
GATE = "governance.gate.check"
QUESTIONS = {"ask": "governance.questions.ask", "withdraw": "governance.questions.withdraw"}
# What can be done in bulk, by the name of the list.
BULK = {
    "runs": "runs.bulk.RunBulk",
    "tools": "tools.bulk.ToolBulk",
    "agents": "agents.bulk.AgentBulk",
    "workflows": "workflows.bulk.WorkflowBulk",
}
EXPORTER = "analytics.exports.begin"

SPARKOPS_EGRESS_ALLOW = env.list("SPARKOPS_EGRESS_ALLOW", default=[])
SPARKOPS_CONTROL_SOCKET = env.str("SPARKOPS_CONTROL_SOCKET", "")
SPARKOPS_THREADS = env.int("SPARKOPS_THREADS", 8)
# Instances of one deployment at most; whether the ticker starts and stops them on this host.
SPARKOPS_MAX_REPLICAS = env.int("SPARKOPS_MAX_REPLICAS", 10)
SPARKOPS_FLEET = env.bool("SPARKOPS_FLEET", True)
# How often a deployed agent's model server, or its own address, is asked whether it is there.
# 0: never.
SPARKOPS_PROBE_SECONDS = env.int("SPARKOPS_PROBE_SECONDS", 300)
# Modules whose functions are offered as tools of kind python, besides the built-in ones.
SPARKOPS_FUNCTIONS = env.list("SPARKOPS_FUNCTIONS", default=[])

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "controlplane.kit.logs.LineFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("SPARKOPS_LOG_LEVEL", "INFO")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "httpx2": {"level": "WARNING"},
        "httpcore2": {"level": "WARNING"},
    },
}
