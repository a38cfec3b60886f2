"""Request endpoints, symbol lists and candles from an exchange, and obey its bans."""

from collections.abc import Callable, Mapping

from core.settings import Settings
from exchanges.exchange import (
    Asking,
    CandleSource,
    CandleSpan,
    Endpoint,
    Exchange,
    Request,
    Result,
    Turnover,
)
from extractors.network.ban import Ban
from extractors.network.deadline import Deadline
from extractors.network.rest import RestConnection, ask
from extractors.receive.symbol_list import LIST_LIMIT, SymbolList, SymbolReader

CANDLES_LIMIT = 30.0
"""Timeout in seconds of a request for candles."""


class ExchangeClient:
    """Client of the exchange at `addresses`. Every request, handshakes included, obeys the ban.

    `batch_seconds` is how long items are collected for a message. A connection is replaced after
    `silence_limit` seconds without a ticker, and `age_limit` seconds after it was opened.
    """

    def __init__(
        self,
        exchange: Exchange,
        addresses: Mapping[str, str],
        *,
        batch_seconds: float,
        silence_limit: float,
        age_limit: float,
    ) -> None:
        self.exchange = exchange
        self.connect_interval = exchange.connect_interval
        self.batch_seconds = batch_seconds
        self.silence_limit = silence_limit
        self.age_limit = age_limit
        self.ban = Ban(reset_header=exchange.reset_header)
        self._addresses = addresses
        self._candles_connection = RestConnection(self.ban)
        self._symbols = SymbolReader(exchange.instrument, exchange.symbol_key)

    def endpoint(self, deadline: Deadline) -> Endpoint:
        """Request the endpoint of the next connection. Raise ExchangeError or OSError."""
        return self._answer(self.exchange.endpoint(self._addresses), deadline)

    def symbol_list(self) -> SymbolList:
        """Request the symbol list, with timeout LIST_LIMIT. Raise ExchangeError or OSError."""
        entries = self._answer(self.exchange.symbol_list(self._addresses), Deadline(LIST_LIMIT))
        return self._symbols.read_list(entries)

    def candles(self, source: CandleSource, span: CandleSpan) -> str:
        """Request candles over a connection that is kept. Raise ExchangeError or OSError.

        Only one thread may call it, and must call close_candles() before a longer pause.
        """
        asking, deadline = source.request(self._addresses, span), Deadline(CANDLES_LIMIT)
        return answered(
            asking,
            lambda request: self._candles_connection.ask(request.method, request.url, deadline),
        )

    def close_candles(self) -> None:
        """Close the connection for candles: the exchange would close it while it is idle."""
        self._candles_connection.close()

    def turnovers(self, source: CandleSource) -> dict[str, Turnover]:
        """Request the turnover of each symbol. Raise ExchangeError or OSError."""
        return self._answer(source.turnovers(self._addresses), Deadline(LIST_LIMIT))

    def _answer(self, asking: Asking[Result], deadline: Deadline) -> Result:
        return answered(
            asking, lambda request: ask(request.method, request.url, self.ban, deadline)
        )


def answered(asking: Asking[Result], answer: Callable[[Request], str]) -> Result:
    """Return the result of a generator whose requests `answer` answers."""
    try:
        request = next(asking)
        while True:
            request = asking.send(answer(request))
    except StopIteration as done:
        result: Result = done.value
        return result


def client_of(exchange: Exchange, settings: Settings) -> ExchangeClient:
    """Return a client of the exchange with the values of the settings."""
    own = settings.exchanges[exchange.name]
    return ExchangeClient(
        exchange,
        own.addresses,
        batch_seconds=own.batch_seconds,
        silence_limit=own.silence_limit,
        age_limit=settings.connection_age_limit,
    )
