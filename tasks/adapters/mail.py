"""Mail over SMTP, or into the log where no server is configured."""

import logging
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate

from config.settings import SmtpSettings, settings
from models.accounts.mail import Letter
from models.errors import Unavailable
from tasks.refusals import MailRefused

logger = logging.getLogger(__name__)


class SmtpMail:
    """The mail server of the settings."""

    def __init__(self, smtp: SmtpSettings | None = None) -> None:
        """Use `smtp` (default: `SMTP_HOST` and the rest)."""
        self._smtp = smtp or settings.smtp

    def send(self, letter: Letter) -> str:
        """Send a letter; return `smtp`, or `log` when no server is configured.

        Raises Unavailable (the server is away, or says "later"), MailRefused (it says "never").
        """
        if not self._smtp.host:
            logger.warning(
                "No mail server is configured (SMTP_HOST); the mail to %s:\n%s",
                letter.to,
                letter.body,
            )
            return "log"
        try:
            with self._connected() as server:
                server.send_message(self._message(letter))
        except smtplib.SMTPRecipientsRefused as error:
            code, reason = next(iter(error.recipients.values()))
            raise _refusal(code, reason) from error
        except smtplib.SMTPResponseException as error:
            raise _refusal(error.smtp_code, error.smtp_error) from error
        except (smtplib.SMTPException, OSError) as error:
            raise Unavailable(f"The mail server cannot be reached: {error}") from error
        return "smtp"

    def _connected(self) -> smtplib.SMTP:
        options = self._smtp
        context = ssl.create_default_context()
        server: smtplib.SMTP
        if options.security == "tls":
            server = smtplib.SMTP_SSL(
                options.host, options.port, timeout=options.timeout_s, context=context
            )
        else:
            server = smtplib.SMTP(options.host, options.port, timeout=options.timeout_s)
        try:
            if options.security == "starttls":
                server.starttls(context=context)
            if options.user:
                server.login(options.user, options.password.get_secret_value())
        except (smtplib.SMTPException, OSError):
            server.close()
            raise
        return server

    def _message(self, letter: Letter) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._smtp.sender
        message["To"] = letter.to
        message["Subject"] = letter.subject
        message["Date"] = formatdate(localtime=False)
        message["Message-ID"] = f"<{letter.id}@longrun>"  # a second sending is a duplicate to them
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.body)
        return message


def _refusal(code: int, reason: bytes | str) -> Unavailable | MailRefused:
    told = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
    if 500 <= code < 600:
        return MailRefused(f"The mail server said {code}: {told}", status=code)
    return Unavailable(f"The mail server said {code}: {told}")
