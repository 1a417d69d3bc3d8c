"""A legacy MCP server whose tools ask their client; see Asking."""

import json
from typing import Any

from tests.fakes.mcp_http import Exchange

FORM = {"message": "Who?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}


class Asking:
    """A legacy server whose tool `ask` asks once, `forever` again and again, `flood` all at once; `slow` never ends."""

    def __init__(self) -> None:
        self.waiting: dict[Any, Exchange] = {}
        self.count = self.calls = self.cancelled = 0

    async def act(self, exchange: Exchange) -> bool:
        message = exchange.message
        self.calls += message.get("method") == "tools/call"
        self.cancelled += message.get("method") == "notifications/cancelled"
        if message.get("method") == "tools/list":
            tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("ask", "forever", "secret")]
            exchange.result({"tools": tools})
        elif message.get("method") == "tools/call" and exchange.tool in ("ask", "forever"):
            exchange.begin_events()
            self._ask(exchange)
        elif message.get("method") == "tools/call" and exchange.tool == "flood":
            exchange.begin_events()
            for _ in range(100):
                self._ask(exchange)
        elif message.get("method") == "tools/call" and exchange.tool == "slow":
            exchange.begin_events()
            said = {"progressToken": message["params"]["_meta"]["progressToken"], "progress": 1}
            exchange.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": said})
        elif "method" not in message and message.get("id") in self.waiting:
            exchange.reply(202)
            call = self.waiting.pop(message["id"])
            if call.tool == "forever":
                self._ask(call)
                return True
            said = {"content": [{"type": "text", "text": json.dumps(message.get("result", message.get("error")))}]}
            call.event({"jsonrpc": "2.0", "id": call.message["id"], "result": said})
            call.end_events()
        else:
            return False
        return True

    def _ask(self, call: Exchange) -> None:
        self.count += 1
        self.waiting[f"q{self.count}"] = call
        question = {"jsonrpc": "2.0", "id": f"q{self.count}", "method": "elicitation/create", "params": FORM}
        call.event(question)
