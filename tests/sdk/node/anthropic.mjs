// Anthropic's client for Node.

import { collect, load, person, question, result, run, weather } from "./run.mjs";

const { Anthropic } = load("@anthropic-ai/sdk");
const { betaTool } = load("@anthropic-ai/sdk/helpers/beta/json-schema");
const { jsonSchemaOutputFormat } = load("@anthropic-ai/sdk/helpers/json-schema");

const messages = [{ role: "user", content: question }];
const { parameters: input_schema, ...named } = weather;
const tool = { ...named, input_schema };
let client, hello, seen;

const textOf = ({ content }) => content.filter((block) => block.type === "text").map((block) => block.text).join("");

function read(message) {
  const { input_tokens: fresh, cache_read_input_tokens: cached, cache_creation_input_tokens: written } = message.usage;
  seen.model = message.model;
  seen.finish = message.stop_reason;
  seen.text = textOf(message);
  seen.tokens = [fresh + (cached ?? 0) + (written ?? 0), message.usage.output_tokens];
}

async function converse(ask) {
  const asked = { ...hello, tools: [tool], thinking: { type: "enabled", budget_tokens: 1024 } };
  const said = await ask(asked);
  const calls = said.content.filter((block) => block.type === "tool_use");
  seen.finish = said.stop_reason;
  seen.reasoning = said.content.map((block) => block.thinking ?? "").join("");
  seen.calls = calls.map((call) => [call.name, call.input]);
  const content = calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: result }));
  const turns = [{ role: "assistant", content: said.content }, { role: "user", content }];
  seen.text = textOf(await ask({ ...asked, messages: [...messages, ...turns] }));
}

async function runTools(options) {
  seen.cities = [];
  const run = ({ city }) => { seen.cities.push(city); return result; };
  const tools = [betaTool({ ...named, inputSchema: input_schema, run })];
  const runner = client.beta.messages.toolRunner({ ...hello, tools, ...options });
  seen.text = textOf(await runner.runUntilDone());
}

const scenarios = {
  async create() {
    const raw = await client.messages.create(hello).withResponse();
    read(raw.data);
    seen.hasRequestID = raw.data._request_id === raw.response.headers.get("x-request-id");
  },
  async stream() {
    const pieces = [];
    const stream = client.messages.stream(hello).on("text", (text) => pieces.push(text));
    read(await stream.finalMessage());
    seen.pieces = pieces;
  },
  async events() {
    const events = await collect(await client.messages.create({ ...hello, stream: true }));
    seen.ends = [events[0].type, events.at(-1).type];
    seen.text = events.map((event) => event.delta?.text ?? "").join("");
  },
  async converse() {
    await converse((asked) => client.messages.create(asked));
  },
  async converseInStreams() {
    await converse((asked) => client.messages.stream(asked).finalMessage());
  },
  async runTools() {
    await runTools({});
  },
  async runToolsInStreams() {
    await runTools({ stream: true });
  },
  async parse() {
    const format = jsonSchemaOutputFormat(person);
    seen.parsed = (await client.messages.parse({ ...hello, output_config: { format } })).parsed_output;
  },
  async count() {
    const { model } = hello;
    seen.tokens = (await client.messages.countTokens({ model, messages })).input_tokens;
  },
  async models() {
    seen.ids = (await collect(client.models.list({ limit: 2 }))).map((entry) => entry.id);
  },
  async model() {
    const entry = await client.models.retrieve(hello.model);
    seen.entry = [entry.id, entry.max_input_tokens, entry.max_tokens];
  },
  async wrong() {
    await client.messages.create({ ...hello, stop_sequences: [1] });
  },
};

function begin({ url, apiKey, model }) {
  client = new Anthropic({ baseURL: url, apiKey, maxRetries: 0, timeout: 20_000 });
  hello = { model, max_tokens: 2000, messages };
  return (seen = {});
}

await run(scenarios, begin, ({ status, type, headers }) => ({
  status: status ?? null,
  word: type ?? null,
  retryAfter: headers?.get("retry-after") ?? null,
}));
