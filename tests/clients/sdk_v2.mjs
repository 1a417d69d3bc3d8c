// Drives version 2 of the TypeScript SDK. Its default is the legacy era; `auto` probes with server/discover and falls
// back to initialize; `modern` pins 2026-07-28, which also probes but never falls back.

import { Client, SSEClientTransport, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { asked, callOptions, drive, givenArguments, handlers, hearing } from "./driving.mjs";

const { url, mode, transport: kind, headers, answers } = givenArguments(["legacy", "auto", "modern"]);
const Transport = kind === "sse" ? SSEClientTransport : StreamableHTTPClientTransport;
const transport = new Transport(url, { requestInit: { headers } });
const client = new Client(
  { name: "portico-tests-v2", version: "1" },
  { capabilities: asked(answers), versionNegotiation: { mode: mode === "modern" ? { pin: "2026-07-28" } : mode } },
);

for (const [method, handler] of Object.entries(handlers(answers))) client.setRequestHandler(method, handler);

const isModern = () => client.getNegotiatedProtocolVersion() === "2026-07-28";

// The lists of this version follow every page by themselves.
const methods = {
  listTools: () => client.listTools(),
  async callTool(operation) {
    const { options, reported } = callOptions(operation);
    const result = await client.callTool({ name: operation.name, arguments: operation.arguments }, options);
    return operation.progress ? { ...result, progress: reported } : result;
  },
  listPrompts: () => client.listPrompts(),
  getPrompt: ({ name, arguments: given }) => client.getPrompt({ name, arguments: given }),
  listResources: () => client.listResources(),
  listTemplates: () => client.listResourceTemplates(),
  readResource: ({ uri }) => client.readResource({ uri }),
  complete: ({ ref, argument, context }) =>
    client.complete({ ref, argument, ...(context && { context: { arguments: context } }) }),
  setLevel: ({ level }) => client.setLoggingLevel(level),
  ping: () => client.ping(),
  hear: hearing(
    client,
    (name, level) =>
      client.callTool({ name, arguments: {}, ...(isModern() && { _meta: { "io.modelcontextprotocol/logLevel": level } }) }),
    async ({ uri, level }) => {
      if (isModern()) {
        const wanted = { toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: [uri] };
        const subscription = await client.listen(wanted);
        return () => subscription.close();
      }
      await client.subscribeResource({ uri });
      await client.setLoggingLevel(level);
    },
  ),
  serverInfo: () => ({
    protocolVersion: client.getNegotiatedProtocolVersion(),
    serverInfo: client.getServerVersion(),
    capabilities: client.getServerCapabilities(),
    instructions: client.getInstructions(),
  }),
};

await drive(client, transport, methods);
