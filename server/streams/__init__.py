"""Send snapshots and changes to WebSocket and SSE clients."""
