"""uvicorn's HTTP protocol, within limits: no client hurts another, whatever it sends, leaves out or does not read."""

from app.http.protocol.factory import ProtocolFactory

__all__ = ["ProtocolFactory"]
