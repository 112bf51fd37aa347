"""Books, their characters, and talking with them."""

from fastapi import APIRouter, Depends

from api.books import conversations, library
from api.dialects import dialect

router = APIRouter(tags=["books"], dependencies=[Depends(dialect("books"))])
router.include_router(library.router)
router.include_router(conversations.router)
