"""PostgresBatch: finds a batch in a PostgreSQL database. Creates the tables if they are missing."""

import shlex
from collections.abc import Awaitable, Callable
from typing import Final, Self, TypeVar

from attrs import field, frozen

from .._models.journal_errors import JournalReadOnly, WrongJournal
from .._postgres.postgres_address import check_address, show_address, split_options, with_option
from .._postgres.postgres_driver import require_asyncpg
from .._postgres.store_clock import StoreClock
from .postgres_errors import NO_RIGHT, ErrorTranslator, error_code, is_lost
from .postgres_session import PostgresSession
from .postgres_tables import DEFAULT_SCHEMA, migration_script, newest_version

T = TypeVar("T")

# The maximum length of a schema's name. PostgreSQL truncates a longer name without an error.
_MAX_NAME_BYTES: Final = 63
_HAS_VERSION: Final = """
SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = 'journal_version'
"""
_FIND_BATCH: Final = "SELECT batch FROM batches WHERE name = $1"
_ADD_BATCH: Final = """
INSERT INTO batches (name) VALUES ($1) ON CONFLICT (name) DO NOTHING RETURNING batch
"""


@frozen
class PostgresBatch:
    """
    A batch in a PostgreSQL database.

    Attributes:
        name: The name of the batch.
        schema: The schema that contains the tables.
        store_clock: Estimates the time on the server's clock.
    """

    _address: str = field(repr=False)
    name: str
    schema: str
    store_clock: StoreClock = field(factory=StoreClock)

    @classmethod
    def parse(cls, path: str) -> Self:
        """
        Return the batch that an address names, such as `postgresql://host/database?batch=cats`.

        Raises:
            ModuleNotFoundError: asyncpg is not installed.
            ValueError: The address is malformed, or names no batch. The message omits the address.
        """
        check_address(path)
        address, options = split_options(path, ("batch", "schema"))
        if "batch" not in options:
            raise ValueError(
                "the address of a journal names its batch: add ?batch=NAME to it, or &batch=NAME "
                "if it has settings already"
            )
        schema = options.get("schema", DEFAULT_SCHEMA)
        if len(schema.encode()) > _MAX_NAME_BYTES:
            raise ValueError(f"the name of a schema has at most {_MAX_NAME_BYTES} bytes in UTF-8")
        require_asyncpg("a journal in a database")
        return cls(address, options["batch"], schema)

    @property
    def shown(self) -> str:
        """The name of the batch for messages: the hosts, the database and the batch."""
        shown = with_option(show_address(self._address), "batch", self.name)
        return shown if self.schema == DEFAULT_SCHEMA else with_option(shown, "schema", self.schema)

    @property
    def translate(self) -> ErrorTranslator:
        """Turns an error of the server or of the driver into the error that callers see."""
        return ErrorTranslator(self._address, self.shown)

    def make_session(self) -> PostgresSession:
        """Return a new connection to the database. It is not open yet."""
        return PostgresSession(self._address, self.schema, self.store_clock)

    async def prepare(self) -> int:
        """
        Return the number of the batch. If needed, create or migrate the tables, and add the batch.

        Raises:
            JournalError: The server cannot be reached or used.
        """
        return await self._run(self._prepare)

    async def exists(self) -> bool:
        """
        Return whether the database has the batch. Create nothing.

        Raises:
            JournalError: The server cannot be reached or used.
        """
        return await self._run(self._exists)

    async def _run(self, work: Callable[[PostgresSession], Awaitable[T]]) -> T:
        session = self.make_session()
        try:
            await session.connect()
            return await work(session)
        except Exception as error:  # noqa: BLE001 -- the driver raises errors of many bases.
            translate = self.translate
            failure = translate(error) if is_lost(error) else translate.for_caller(error)
        finally:
            await session.aclose()
        # Raise outside the `except` block. Otherwise `__context__` would hold the original error,
        # whose message could contain the password.
        raise failure

    async def _prepare(self, session: PostgresSession) -> int:
        version = 0
        if await session.fetch(_HAS_VERSION, self.schema):
            version = await self._read_version(session)
        if version < newest_version():
            await self._migrate(session, version)
            version = await self._read_version(session)
        if version != newest_version():
            raise WrongJournal(
                f"the schema {self.schema} has journals of version {version}, and this package "
                f"knows versions up to {newest_version()}; upgrade modelslab_async to open it"
            )
        if not await session.fetch(_FIND_BATCH, self.name):
            await session.fetch(_ADD_BATCH, self.name)
        ((batch,),) = await session.fetch(_FIND_BATCH, self.name)
        return int(batch)

    async def _migrate(self, session: PostgresSession, version: int) -> None:
        try:
            await session.run_script(migration_script(self.schema, version))
        except Exception as error:
            if version == 0 or error_code(error) != NO_RIGHT:
                raise
        else:
            return
        # Raise outside the `except` block. Otherwise `__context__` would hold the original error,
        # whose message could contain the password.
        command = shlex.join(["modelslab-async", "batch", "schema", "--schema", self.schema])
        raise JournalReadOnly(
            f"the schema {self.schema} has journals of version {version}, and this role may not "
            f"bring them to version {newest_version()}; let their owner run what `{command}` prints"
        )

    async def _read_version(self, session: PostgresSession) -> int:
        rows = await session.fetch("SELECT version FROM journal_version")
        if len(rows) != 1:
            raise WrongJournal(f"the schema {self.schema} is not that of a journal")
        return int(rows[0][0])

    async def _exists(self, session: PostgresSession) -> bool:
        if not await session.fetch(_HAS_VERSION, self.schema):
            return False
        return bool(await session.fetch(_FIND_BATCH, self.name))
