// The client of the conformance suite's client scenarios: it uses everything that the server at its last argument
// offers, once. The suite says in the environment which revision it wants, and which calls where it has a wish.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const MODERN = "2026-07-28";
const revision = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION;
// The server of one scenario lists a tool and serves no calls.
const listing = process.env.MCP_CONFORMANCE_SCENARIO === "json-schema-ref-no-deref";
const wishes = listing ? [] : JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}").toolCalls;

const client = new Client(
  { name: "portico-tests-relay", version: "1" },
  {
    capabilities: { elicitation: { form: { applyDefaults: true } }, sampling: {}, roots: {} },
    versionNegotiation: { mode: revision === MODERN ? { pin: MODERN } : "legacy" },
  },
);
// What the schema has defaults for, the SDK adds.
client.setRequestHandler("elicitation/create", ({ params }) => ({
  action: "accept",
  content: "confirmed" in params.requestedSchema.properties ? { confirmed: true } : {},
}));

/** A value for each argument that a tool needs; the tool that echoes a schema gets that of the first tool. */
function sample({ inputSchema }, [first]) {
  const values = { number: 3, integer: 3, boolean: true, string: "x", object: first.inputSchema, array: [], null: null };
  const needed = (inputSchema.required ?? []).map((name) => [name, values[inputSchema.properties[name].type]]);
  return Object.fromEntries(needed);
}

/** One scenario leaves out `resultType`, which means a complete result; this SDK refuses it by itself. */
function forgive(error) {
  if (error.code !== "INVALID_RESULT") throw error;
}

await client.connect(new StreamableHTTPClientTransport(new URL(process.argv.at(-1))));
const offered = client.getServerCapabilities();
const { tools } = await client.listTools();
const calls = wishes ?? tools.map((tool) => ({ name: tool.name, arguments: sample(tool, tools) }));
for (const call of calls) await client.callTool(call).catch(forgive);
if (offered.resources) {
  const { resources } = await client.listResources();
  for (const { uri } of resources) await client.readResource({ uri });
}
if (offered.prompts) {
  const { prompts } = await client.listPrompts();
  for (const { name } of prompts) await client.getPrompt({ name });
}
await client.close();
