// Drives version 1 of the TypeScript SDK, which speaks the legacy era only.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { asked, callOptions, drive, givenArguments, handlers, hearing } from "./driving.mjs";

const MAX_PAGES = 100;

const { url, transport: kind, headers, answers } = givenArguments(["legacy"]);
const Transport = kind === "sse" ? SSEClientTransport : StreamableHTTPClientTransport;
const transport = new Transport(url, { requestInit: { headers } });
const client = new Client({ name: "portico-tests-v1", version: "1" }, { capabilities: asked(answers) });
const schemas = {
  "elicitation/create": ElicitRequestSchema,
  "sampling/createMessage": CreateMessageRequestSchema,
  "roots/list": ListRootsRequestSchema,
};
for (const [method, handler] of Object.entries(handlers(answers))) client.setRequestHandler(schemas[method], handler);

async function everyPage(fetch, items) {
  const whole = await fetch({});
  let cursor = whole.nextCursor;
  for (let pages = 1; cursor !== undefined; pages++) {
    if (pages > MAX_PAGES) throw new Error(`the list of ${items} has more than ${MAX_PAGES} pages`);
    const page = await fetch({ cursor });
    whole[items].push(...page[items]);
    cursor = page.nextCursor;
  }
  delete whole.nextCursor;
  return whole;
}

const methods = {
  listTools: () => everyPage((params) => client.listTools(params), "tools"),
  async callTool(operation) {
    const { options, reported } = callOptions(operation);
    const result = await client.callTool({ name: operation.name, arguments: operation.arguments }, undefined, options);
    return operation.progress ? { ...result, progress: reported } : result;
  },
  listPrompts: () => everyPage((params) => client.listPrompts(params), "prompts"),
  getPrompt: ({ name, arguments: given }) => client.getPrompt({ name, arguments: given }),
  listResources: () => everyPage((params) => client.listResources(params), "resources"),
  listTemplates: () => everyPage((params) => client.listResourceTemplates(params), "resourceTemplates"),
  readResource: ({ uri }) => client.readResource({ uri }),
  complete: ({ ref, argument, context }) =>
    client.complete({ ref, argument, ...(context && { context: { arguments: context } }) }),
  setLevel: ({ level }) => client.setLoggingLevel(level),
  ping: () => client.ping(),
  hear: hearing(
    client,
    (name) => client.callTool({ name, arguments: {} }),
    async ({ uri, level }) => {
      await client.subscribeResource({ uri });
      await client.setLoggingLevel(level);
    },
  ),
  serverInfo: () => ({
    protocolVersion: transport.protocolVersion,
    serverInfo: client.getServerVersion(),
    capabilities: client.getServerCapabilities(),
    instructions: client.getInstructions(),
  }),
};

await drive(client, transport, methods);
