#!/usr/bin/env python3
"""Mail what has happened: mail.py SERVER SENDER RECIPIENT... as `command` of [[notify]] in dnslb.toml.

SERVER is a host, or HOST:PORT, that is spoken to by SMTP: the unit lets nothing that dnslb starts become another user
or group, as sendmail would. Name one that does not depend on the pools that the mail is about.
"""

import json
import os
import smtplib
import sys
from email.message import EmailMessage
from email.utils import formatdate, make_msgid


def main(server: str, sender: str, *recipients: str) -> int:
    """Send the message on standard input; return 0, or 75 (EX_TEMPFAIL): dnslb then tries again."""
    told = json.load(sys.stdin)
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Date"] = sender, ", ".join(recipients), formatdate()
    mail["Message-ID"] = make_msgid("dnslb", told["host"])
    first, *others = told["text"].splitlines()
    mail["Subject"] = f"{first} (and {len(others)} more)" if others else first
    mail.set_content(told["text"])
    try:
        with smtplib.SMTP(server, timeout=8) as connection:
            connection.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        sys.stderr.write(f"{error}\n")
        return os.EX_TEMPFAIL
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
