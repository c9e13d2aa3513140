"""Sending e-mail by the operator's mail server."""

import smtplib
from fnmatch import fnmatch
from typing import Any

from django.core.exceptions import ValidationError
from django.core.mail import BadHeaderError, EmailMultiAlternatives, get_connection
from django.core.validators import validate_email

from tools.calls import Fate, ToolError
from tools.functions.registry import ToolContext, function

_ADDRESSES = {"type": "array", "items": {"type": "string", "maxLength": 254}, "maxItems": 50}


@function(
    "email_send",
    input_schema={
        "type": "object",
        "properties": {
            "to": {**_ADDRESSES, "minItems": 1},
            "cc": _ADDRESSES,
            "reply_to": _ADDRESSES,
            "subject": {"type": "string", "minLength": 1, "maxLength": 250},
            "text": {"type": "string", "maxLength": 200_000},
            "html": {"type": "string", "maxLength": 500_000},
        },
        "required": ["to", "subject", "text"],
        "additionalProperties": False,
    },
    output_schema={
        "type": "object",
        "properties": {"recipients": {"type": "array", "items": {"type": "string"}}},
        "required": ["recipients"],
    },
    options_schema={
        "type": "object",
        "properties": {
            "recipients": {
                "type": "array",
                "items": {"type": "string", "maxLength": 254},
                "maxItems": 200,
                "description": "Who may be written to, such as *@example.com. All if empty.",
            }
        },
        "additionalProperties": False,
    },
)
def email_send(arguments: dict[str, Any], context: ToolContext) -> Any:
    """Send an e-mail as plain text, with HTML beside it if given, from the address and by the
    server of this installation (EMAIL_URL)."""
    everybody = [*arguments["to"], *arguments.get("cc", ())]
    for address in [*everybody, *arguments.get("reply_to", ())]:
        _check(address)
    allowed = context.options.get("recipients") or ["*"]
    for address in everybody:
        if not any(fnmatch(address.lower(), pattern.lower()) for pattern in allowed):
            raise ToolError(
                f"This tool may not write to {address}: it is bound to {', '.join(allowed)}.",
                code="recipient_refused",
            )
    message = EmailMultiAlternatives(
        subject=arguments["subject"],
        body=arguments["text"],
        to=arguments["to"],
        cc=arguments.get("cc"),
        reply_to=arguments.get("reply_to"),
        connection=get_connection(timeout=context.timeout_seconds),
    )
    if html := arguments.get("html"):
        message.attach_alternative(html, "text/html")
    try:
        message.send()
    except BadHeaderError:
        raise ToolError("The subject is one line.", code="input_invalid") from None
    except (smtplib.SMTPException, OSError) as exc:
        raise _failed(exc) from exc
    return {"recipients": everybody}


def _check(address: str) -> None:
    try:
        validate_email(address)
    except ValidationError:
        raise ToolError(f"{address} is no e-mail address.", code="input_invalid") from None


def _failed(exc: Exception) -> ToolError:
    """What is known after a failure: a server that refuses has sent nothing; one that falls silent
    may have."""
    told = isinstance(exc, smtplib.SMTPResponseException | smtplib.SMTPRecipientsRefused)
    not_begun = isinstance(exc, ConnectionRefusedError | smtplib.SMTPConnectError)
    fate: Fate = "answered" if told else "not_sent" if not_begun else "unknown"
    retryable = not_begun or (
        isinstance(exc, smtplib.SMTPResponseException) and 400 <= exc.smtp_code < 500
    )
    return ToolError(
        f"The mail server did not take the message: {type(exc).__name__}.",
        code="mail_failed",
        retryable=retryable,
        fate=fate,
    )
