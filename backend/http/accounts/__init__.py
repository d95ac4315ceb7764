"""Who is asking, and the pages for logging in, joining and one's own account.

    authentication.py      by name and password
    login_throttle.py      who fails too often waits
    priority_semaphore.py  a few at a time, the newest first
    identification.py      by name and password, token or cookie
    login.py               /login, /join, /logout: the way in and out
    account.py             /account: password, tokens, invitations
    account_pages.py       the pages of both: templates, and their language
    login_audit.py         logins, right and wrong, for the audit log
    openid.py              /login/openid: logging in with an OpenID provider
"""
