// What the drivers in JavaScript share: the arguments, the operations, and the way answers are printed.
// The protocol between a driver and its caller is described in driving.py.

import { parseArgs } from "node:util";

export function givenArguments(modes) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      mode: { type: "string", default: "legacy" },
      transport: { type: "string", default: "http" },
      answers: { type: "string", default: "null" },
      header: { type: "string", multiple: true, default: [] },
    },
  });
  if (!modes.includes(values.mode)) throw new Error(`this client speaks ${modes.join(", ")}, not ${values.mode}`);
  const headers = values.header.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
  const answers = JSON.parse(values.answers);
  return { url: new URL(positionals[0]), mode: values.mode, transport: values.transport, headers: Object.fromEntries(headers), answers };
}

/** The capabilities of a client that is asked, as `--answers` says. */
export const asked = (answers) =>
  answers === null ? {} : { elicitation: { form: {}, url: {} }, sampling: { tools: {} }, roots: {} };

/** Answers by method, as `--answers` says. */
export function handlers(answers) {
  if (answers === null) return {};
  return {
    "elicitation/create": ({ params }) => {
      const wanted = Object.keys(params.requestedSchema?.properties ?? {});
      const { action, content } = answers.elicitation;
      if (action !== "accept" || wanted.length === 0) return { action };
      return { action, content: Object.fromEntries(wanted.filter((key) => key in content).map((key) => [key, content[key]])) };
    },
    "sampling/createMessage": ({ params }) => {
      const tools = (params.tools ?? []).map(({ name }) => name).join(", ");
      const text = answers.sampling + (tools ? ` (with ${tools})` : "");
      return { role: "assistant", model: "fixed", content: { type: "text", text } };
    },
    "roots/list": () => ({ roots: answers.roots.map((uri) => ({ uri })) }),
  };
}

const HEARD_WITHIN = 10_000;

async function readOperations() {
  let text = "";
  for await (const part of process.stdin) text += part;
  return JSON.parse(text);
}

const seconds = (count) => (count === undefined ? {} : { timeout: count * 1000 });

/** Options of a call, and the list that its progress is noted in. */
export function callOptions(operation) {
  const reported = [];
  const onprogress = operation.progress ? { onprogress: (step) => reported.push(step) } : {};
  return { options: { ...seconds(operation.timeout), ...onprogress }, reported };
}

/** The operation `hear`; `listen(operation)` asks for what is to be heard and returns what ends that. */
export function hearing(client, call, listen) {
  let told = {};
  client.fallbackNotificationHandler = async ({ method, params }) => void (told[method] ??= []).push(params ?? {});
  return async (operation) => {
    told = {};
    const end = await listen(operation);
    for (const name of operation.calls) await call(name, operation.level);
    const deadline = Date.now() + HEARD_WITHIN;
    while (!operation.until.every((method) => method in told)) {
      if (Date.now() > deadline) throw new Error(`heard only ${Object.keys(told)}`);
      await new Promise((done) => setTimeout(done, 10));
    }
    await end?.();
    return { told };
  };
}

async function answer(methods, operation) {
  const method = methods[operation.op];
  if (method === undefined) throw new Error(`no such operation: ${operation.op}`);
  try {
    return { op: operation.op, result: await method(operation) };
  } catch (error) {
    return { op: operation.op, error: { code: error.code ?? null, message: error.message, data: error.data } };
  }
}

/** Connects, performs every operation in order, prints the answers and ends the session. */
export async function drive(client, transport, methods) {
  const operations = await readOperations();
  await client.connect(transport);
  const answers = [];
  for (const operation of operations) answers.push(await answer(methods, operation));
  if (client.getServerVersion() !== undefined) await transport.terminateSession?.().catch(() => {});
  await client.close();
  await new Promise((done) => process.stdout.write(JSON.stringify(answers), done));
  process.exit(0);
}
