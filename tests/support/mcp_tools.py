"""A real MCP server with some tools, which also runs on its standard input and output: ``python -m`` this module."""

# No `from __future__ import annotations`: the server reads those of the tools, which name what is imported beside them.
import asyncio
from dataclasses import dataclass, field
from typing import Any

NAME = "weather"


@dataclass
class Served:
    """A server's own record, to compare events with: the names of the tools that were called, in order."""

    tools: list[str] = field(default_factory=list)


def make_server(served: Served | None = None, name: str = NAME) -> Any:
    """Return a server with tools that succeed, fail, wait and report progress."""
    from mcp.server.mcpserver import Context, MCPServer  # of an environment that not every test has
    from mcp.server.mcpserver.exceptions import ToolError

    tally = served or Served()
    server = MCPServer(name)

    async def forecast(city: str) -> str:
        """Return the weather."""
        tally.tools.append("forecast")
        return f"rain in {city}"

    async def history(city: str) -> str:
        """Fail."""
        tally.tools.append("history")
        raise ToolError(f"no history of {city}")

    async def wait() -> str:
        """Take longer than anybody waits."""
        tally.tools.append("wait")
        await asyncio.sleep(60)
        return "late"

    async def count(steps: int, context: Context[Any, Any]) -> int:
        """Report progress at each step."""
        tally.tools.append("count")
        for step in range(steps):
            await context.report_progress(step + 1, steps)
        return steps

    for tool in (forecast, history, wait, count):
        server.tool()(tool)
    return server


if __name__ == "__main__":
    make_server().run("stdio")
