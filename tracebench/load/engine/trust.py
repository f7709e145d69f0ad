"""TLS as a plan asks for it: whom to trust, and with which certificate to show who we are."""

import ssl
from pathlib import Path
from typing import NoReturn

from tracebench.model.errors import TargetError, UsageError
from tracebench.model.plan import Plan


def client_tls(plan: Plan, *, protocol: str) -> ssl.SSLContext:
    """TLS as a client should speak it: verified, unless told otherwise.

    Args:
        plan: `cacert` None: the certificates of the certifi package are trusted.
        protocol: what ALPN offers, `h2` or `http/1.1`.

    Raises:
        TargetError: the trusted certificates cannot be read.
        UsageError: the client's certificate cannot be used.
    """
    import certifi  # certifi reads its bundle when imported; plain targets need none

    try:
        context = ssl.create_default_context(cafile=plan.cacert or certifi.where())
    except (OSError, ValueError) as error:
        raise TargetError(f"cannot use --cacert {plan.cacert!r} ({_text(error)})") from None
    if plan.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _load_certificate(context, plan)
    context.set_alpn_protocols([protocol])
    return context


def certificate_files(plan: Plan) -> tuple[bytes, bytes] | None:
    """The contents of `--key` and `--cert`, which `client_tls` has tried; None without them."""
    if plan.cert is None:
        return None
    return Path(plan.key or plan.cert).read_bytes(), Path(plan.cert).read_bytes()


def _load_certificate(context: ssl.SSLContext, plan: Plan) -> None:
    if plan.cert is None:
        return
    _check_readable("--cert", plan.cert)
    _check_readable("--key", plan.key or plan.cert)
    source = f"--key {plan.key!r}" if plan.key else f"the key in --cert {plan.cert!r}"

    def refuse() -> NoReturn:
        file = plan.key or plan.cert
        raise UsageError(f"{source} is encrypted: decrypt it with openssl pkey -in {file} -out F")

    try:
        context.load_cert_chain(plan.cert, plan.key, refuse)
    except ssl.SSLError as error:
        raise UsageError(_fault(error, plan.cert, source)) from None


def _fault(error: ssl.SSLError, cert: str, source: str) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"{source} does not belong to --cert {cert!r}: give the key of that certificate"
    return (
        f"cannot use --cert {cert!r} with {source} ({_text(error)}): give PEM files, one with the "
        "certificate and one with its key"
    )


def _check_readable(option: str, path: str) -> None:
    try:
        Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {option} {path!r} ({_text(error)})") from None


def _text(error: Exception) -> str:
    text = str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)
    return text[:1].lower() + text[1:]
