// OpenAI's client for Node and Chat.

import { load, run } from "./run.mjs";

const { OpenAI } = load("openai");

const messages = [{ role: "user", content: "Hello!" }];
const weather = {
  type: "function",
  function: {
    name: "weather",
    description: "The weather of a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
let client, model, seen;

async function readStream(options = {}) {
  seen.text = "";
  seen.finishes = [];
  seen.usages = [];
  for await (const chunk of await client.chat.completions.create({ model, messages, stream: true, ...options })) {
    if (chunk.usage) seen.usages.push(chunk.usage.total_tokens);
    for (const choice of chunk.choices) {
      seen.text += choice.delta.content ?? "";
      if (choice.finish_reason) seen.finishes.push(choice.finish_reason);
    }
  }
  seen.ended = true;
}

// Two turns: a call of a tool with reasoning before it, which goes back as it came, and the answer to its result.
async function converse(ask) {
  const tools = [weather];
  const said = await ask({ model, messages, tools });
  const [call] = said.tool_calls;
  seen.reasoning = said.reasoning_content;
  seen.call = [call.type, call.function.name, JSON.parse(call.function.arguments)];
  const result = { role: "tool", tool_call_id: call.id, content: "21 degrees" };
  seen.text = (await ask({ model, messages: [...messages, said, result], tools })).content;
}

const scenarios = {
  async create() {
    const answer = await client.chat.completions.create({ model, messages });
    seen.object = answer.object;
    seen.model = answer.model;
    seen.text = answer.choices[0].message.content;
    seen.finish = answer.choices[0].finish_reason;
    seen.sums = answer.usage.prompt_tokens + answer.usage.completion_tokens === answer.usage.total_tokens;
    seen.requestID = answer._request_id;
  },
  async stream() {
    await readStream();
  },
  async streamWithUsage() {
    await readStream({ stream_options: { include_usage: true } });
  },
  async streamEvents() {
    const stream = client.chat.completions.stream({ model, messages });
    seen.deltas = 0;
    stream.on("content", () => { seen.deltas += 1; });
    const answer = await stream.finalChatCompletion();
    seen.text = answer.choices[0].message.content;
    seen.finish = answer.choices[0].finish_reason;
  },
  async leave() {
    for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
      seen.first = chunk.choices[0].delta.content ?? "";
      break;
    }
  },
  async tools() {
    const tools = [weather];
    const asked = await client.chat.completions.create({ model, messages, tools, tool_choice: "required" });
    const { message, finish_reason } = asked.choices[0];
    seen.finish = finish_reason;
    seen.names = message.tool_calls.map((call) => call.function.name);
    seen.arguments = message.tool_calls.map((call) => Object.keys(JSON.parse(call.function.arguments)));
    const results = message.tool_calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "12 degrees" }));
    const told = await client.chat.completions.create({ model, messages: [...messages, message, ...results], tools });
    seen.text = told.choices[0].message.content;
  },
  async streamedTools() {
    const stream = client.chat.completions.stream({ model, messages, tools: [weather], tool_choice: "required" });
    const answer = await stream.finalChatCompletion();
    const [call] = answer.choices[0].message.tool_calls;
    seen.finish = answer.choices[0].finish_reason;
    seen.call = [call.type, call.function.name, typeof JSON.parse(call.function.arguments).city];
  },
  async runTools() {
    seen.cities = [];
    const run = async (given) => { seen.cities.push(typeof given.city); return "12 degrees"; };
    const tool = { type: "function", function: { ...weather.function, function: run, parse: JSON.parse } };
    seen.text = await client.chat.completions.runTools({ model, messages, tools: [tool] }).finalContent();
  },
  async models() {
    seen.ids = [];
    for await (const entry of client.models.list()) seen.ids.push(entry.id);
  },
  async model() {
    const entry = await client.models.retrieve(model);
    seen.entry = [entry.id, entry.object, entry.owned_by, typeof entry.created];
  },
  async converse() {
    await converse(async (options) => (await client.chat.completions.create(options)).choices[0].message);
  },
  async converseInStreams() {
    await converse(async (options) => {
      const stream = client.chat.completions.stream(options);
      let reasoning = "";
      const details = [];
      stream.on("chunk", (chunk) => {
        reasoning += chunk.choices[0]?.delta.reasoning_content ?? "";
        details.push(...(chunk.choices[0]?.delta.reasoning_details ?? []));
      });
      const { message } = (await stream.finalChatCompletion()).choices[0];
      const { role, content, tool_calls } = message;
      return { role, content, tool_calls, reasoning_content: reasoning, reasoning_details: details };
    });
  },
  async tooHot() {
    await client.chat.completions.create({ model, messages, temperature: 3 });
  },
};

function begin(asked) {
  client = new OpenAI({ baseURL: `${asked.url}/v1`, apiKey: asked.apiKey, maxRetries: 0, timeout: 20_000 });
  model = asked.model;
  return (seen = {});
}

await run(scenarios, begin, (error) => {
  const { status = null, code = null, type = null, param = null, headers } = error;
  const retryAfter = headers?.get?.("retry-after") ?? null;
  return { isAPIError: error instanceof OpenAI.APIError, status, code, type, param, retryAfter };
});
