"""What the gateway itself refuses, in words."""

from carrel.rules.front_door import Refused

NOT_LOGGED_IN = Refused(
    rule="login_is_missing",
    status=401,
    sentence="You are not logged in here, or the login ended.",
    todo="Open the workspace from your list.",
)
BEHIND = Refused(
    rule="records_are_behind",
    status=503,
    sentence="What passes here cannot be recorded now, so nothing passes.",
    todo="Nothing is lost. Try again in a minute; if it lasts, tell the administrator.",
)
TOO_MUCH = Refused(
    rule="too_much_at_once",
    status=429,
    sentence="Too much of this workspace is open at once.",
    todo="Close tabs of it.",
)
TOO_LARGE = Refused(
    rule="body_is_too_large",
    status=413,
    sentence="This file is larger than what may be brought in at once.",
    todo="Split it, or ask the data manager to bring it in as a dataset.",
)
TEXT_TOO_LARGE = Refused(
    rule="file_is_too_large",
    status=413,
    sentence="Files above 16 MiB are not shown through the file browser.",
    todo="Open it in a notebook.",
)
AWAY = Refused(
    rule="workspace_does_not_answer",
    status=502,
    sentence="The workspace does not answer.",
    todo="If it was just started or stopped, wait a moment. Your list shows its state.",
)
