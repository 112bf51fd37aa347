"""What a role allows."""

from collections.abc import Callable
from uuid import UUID

from sqlmodel import Session, col, select

from models.accounts.audit import record_change
from models.accounts.registration import create_account
from models.accounts.tables import Role, User
from models.errors import Conflict, Forbidden


class InsufficientRole(Forbidden):
    """Your role does not allow this."""

    code = "insufficient_role"


class LastSuperadmin(Conflict):
    """This is the last superadmin; make another one first."""

    code = "last_superadmin_demote_forbidden"


def require_role(user: User, role: Role) -> User:
    """Return `user` if they have at least this role. Raises InsufficientRole."""
    if Role(user.role).rank < role.rank:
        raise InsufficientRole(required=role)
    return user


def keep_a_superadmin(session: Session, user_id: UUID, *, role: Role, active: bool) -> None:
    """Refuse a change after which nobody could administer. Raises LastSuperadmin."""
    query = (
        select(User.id)
        .where(User.role == Role.SUPERADMIN, col(User.active).is_(True))
        .order_by(col(User.id))
        .with_for_update()  # two demotions at once would each count on the other
    )
    others = [one for one in session.exec(query) if one != user_id]
    if not others and not (role is Role.SUPERADMIN and active):
        raise LastSuperadmin()


def promote_to_superadmin(
    session: Session, *, email: str, username: str, ask: Callable[[], str]
) -> User:
    """Make this person a superadmin; `ask` gives the password of a new account.

    Raises DuplicateUser when address and name belong to two people, and as `create_account`.
    """
    query = select(User).where(User.email == email.lower(), User.username == username)
    user = session.exec(query).one_or_none()
    before = Role(user.role) if user else None
    if user is None:
        user = create_account(
            session, email=email, username=username, password=ask(), verified=True
        )
    user.role, user.active = Role.SUPERADMIN, True
    changes = {"role": [before, Role.SUPERADMIN]}
    record_change(session, None, "promote", target="user", target_id=user.id, changes=changes)
    return user
