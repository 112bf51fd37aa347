"""People, the doors they come in by, and what is kept about both.

JWTs are `models.accounts.external`: only the API needs that library.
"""

from models.accounts.audit import AuditEntry, record_change
from models.accounts.login import (
    Credentials,
    InvalidCredentials,
    MissingCredentials,
    log_in,
    log_in_with,
)
from models.accounts.registration import (
    DuplicateUser,
    InvalidEmail,
    InvalidPassword,
    InvalidUsername,
    RegistrationClosed,
    WeakPassword,
    create_account,
    register,
)
from models.accounts.roles import (
    InsufficientRole,
    LastSuperadmin,
    keep_a_superadmin,
    promote_to_superadmin,
    require_role,
)
from models.accounts.tables import (
    AccessToken,
    InactiveAccount,
    OutboxMail,
    Role,
    User,
    Verification,
)
from models.accounts.tokens import (
    InvalidServiceToken,
    InvalidToken,
    TokenNotFound,
    get_token,
    hash_token,
    issue_token,
    list_tokens,
    revoke_token,
    token_row,
    user_of_token,
)
from models.accounts.trust import (
    GUEST_USER_ID,
    LOCAL_USER_ID,
    SYSTEM_USER_ID,
    UnknownUser,
    is_active,
    provision_user,
    trusted_id,
)
from models.accounts.verification import (
    InvalidVerification,
    open_verification,
    verification_link,
    verify_email,
)

__all__ = [
    "GUEST_USER_ID",
    "LOCAL_USER_ID",
    "SYSTEM_USER_ID",
    "AccessToken",
    "AuditEntry",
    "Credentials",
    "DuplicateUser",
    "InactiveAccount",
    "InsufficientRole",
    "InvalidCredentials",
    "InvalidEmail",
    "InvalidPassword",
    "InvalidServiceToken",
    "InvalidToken",
    "InvalidUsername",
    "InvalidVerification",
    "LastSuperadmin",
    "MissingCredentials",
    "OutboxMail",
    "RegistrationClosed",
    "Role",
    "TokenNotFound",
    "UnknownUser",
    "User",
    "Verification",
    "WeakPassword",
    "create_account",
    "get_token",
    "hash_token",
    "is_active",
    "issue_token",
    "keep_a_superadmin",
    "list_tokens",
    "log_in",
    "log_in_with",
    "open_verification",
    "promote_to_superadmin",
    "provision_user",
    "record_change",
    "register",
    "require_role",
    "revoke_token",
    "token_row",
    "trusted_id",
    "user_of_token",
    "verification_link",
    "verify_email",
]
