// OpenAI's client for Node and the Responses API.

import { collect, load, person, question, result, run, weather } from "./run.mjs";

const { OpenAI } = load("openai");

const input = [{ role: "user", content: question }];
const tools = [{ type: "function", strict: false, ...weather }];
let client, hello, seen;

function read(response) {
  seen.model = response.model;
  seen.finish = response.status;
  seen.text = response.output_text;
  seen.tokens = [response.usage.input_tokens, response.usage.output_tokens];
}

async function converse(ask) {
  const include = ["reasoning.encrypted_content"];
  const asked = { ...hello, tools, include, reasoning: { effort: "high", summary: "auto" } };
  const { status, output } = await ask(asked);
  const calls = output.filter((item) => item.type === "function_call");
  seen.finish = status;
  seen.reasoning = output.flatMap((item) => item.summary ?? []).map((part) => part.text).join("");
  seen.calls = calls.map((call) => [call.name, JSON.parse(call.arguments)]);
  const results = calls.map(({ call_id }) => ({ type: "function_call_output", call_id, output: result }));
  seen.text = (await ask({ ...asked, input: [...input, ...output, ...results] })).output_text;
}

const scenarios = {
  async create() {
    const response = await client.responses.create(hello);
    read(response);
    seen.hasRequestID = response._request_id.startsWith("req_");
  },
  async stream() {
    const pieces = [];
    const stream = client.responses.stream(hello);
    stream.on("response.output_text.delta", (event) => pieces.push(event.delta));
    read(await stream.finalResponse());
    seen.pieces = pieces;
  },
  async events() {
    const events = await collect(await client.responses.create({ ...hello, stream: true }));
    seen.ends = [events[0].type, events.at(-1).type];
    const deltas = events.filter((event) => event.type === "response.output_text.delta");
    seen.text = deltas.map((event) => event.delta).join("");
    seen.failure = events.at(-1).response.error?.code;
  },
  async converse() {
    await converse((asked) => client.responses.create(asked));
  },
  async converseInStreams() {
    await converse((asked) => client.responses.stream(asked).finalResponse());
  },
  async parse() {
    const format = { type: "json_schema", name: "person", schema: person, strict: true };
    seen.parsed = JSON.parse((await client.responses.parse({ ...hello, text: { format } })).output_text);
  },
  async count() {
    const { model } = hello;
    seen.tokens = (await client.responses.inputTokens.count({ model, input })).input_tokens;
  },
  async models() {
    seen.ids = (await collect(client.models.list())).map((entry) => entry.id);
  },
  async wrong() {
    await client.responses.create({ ...hello, temperature: 3 });
  },
};

function begin({ url, apiKey, model }) {
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0, timeout: 20_000 });
  hello = { model, input, store: false };
  return (seen = {});
}

await run(scenarios, begin, ({ status, code, headers }) => ({
  status: status ?? null,
  word: code ?? null,
  retryAfter: headers?.get("retry-after") ?? null,
}));
