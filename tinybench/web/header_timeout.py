"""A uvicorn protocol that closes connections which send no request."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 20.0  # in which a connection must have sent the header of a request


class HeaderTimeoutProtocol(H11Protocol):
    """uvicorn's HTTP protocol with a timeout for the header, which uvicorn itself does not have."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout."""
        super().connection_made(transport)
        self._update_timeout()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeout."""
        self._cancel_timeout()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Cancel the timeout if the header of a request is complete."""
        super().data_received(data)
        self._update_timeout()

    def on_response_complete(self) -> None:
        """Start the timeout of the next request."""
        super().on_response_complete()
        self._update_timeout()

    def _update_timeout(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._cancel_timeout()
        elif self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(SECONDS, self._close)

    def _close(self) -> None:
        """Close the connection; drop what the client does not read within the same time."""
        self._deadline = self.loop.call_later(SECONDS, self.transport.abort)
        self.transport.close()

    def _cancel_timeout(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
