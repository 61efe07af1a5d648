// Google's client for Node.

import { collect, load, person, question, result, run, weather } from "./run.mjs";

const { GoogleGenAI } = load("@google/genai");

const { parameters: parametersJsonSchema, ...named } = weather;
const tools = [{ functionDeclarations: [{ ...named, parametersJsonSchema }] }];
let client, hello, seen;

const partsOf = (chunk) => chunk.candidates?.[0]?.content?.parts ?? [];
const textOf = (parts) => parts.filter((part) => !part.thought).map((part) => part.text ?? "").join("");

function read(chunks) {
  const usage = chunks.at(-1).usageMetadata;
  seen.model = chunks[0].modelVersion;
  seen.finish = chunks.at(-1).candidates[0].finishReason;
  seen.text = textOf(chunks.flatMap(partsOf));
  seen.tokens = [usage.promptTokenCount, usage.totalTokenCount - usage.promptTokenCount];
}

async function converse(send) {
  const config = { tools, thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } };
  const chat = client.chats.create({ model: hello.model, config });
  const chunks = await send(chat, question);
  const parts = chunks.flatMap(partsOf);
  const calls = chunks.flatMap((chunk) => chunk.functionCalls ?? []);
  seen.finish = chunks.at(-1).candidates[0].finishReason;
  seen.reasoning = parts.filter((part) => part.thought).map((part) => part.text).join("");
  seen.calls = calls.map((call) => [call.name, call.args]);
  const results = calls.map(({ id, name }) => ({ functionResponse: { id, name, response: { output: result } } }));
  seen.text = textOf((await send(chat, results)).flatMap(partsOf));
}

function runnable() {
  seen.cities = [];
  const callTool = async (calls) => {
    seen.cities.push(...calls.map((call) => call.args.city));
    return calls.map(({ id, name }) => ({ functionResponse: { id, name, response: { output: result } } }));
  };
  return { ...hello, config: { tools: [{ tool: async () => tools[0], callTool }] } };
}

const scenarios = {
  async create() {
    const answer = await client.models.generateContent(hello);
    read([answer]);
    seen.hasRequestID = answer.sdkHttpResponse.headers["x-request-id"].startsWith("req_");
  },
  async stream() {
    const chunks = await collect(await client.models.generateContentStream(hello));
    read(chunks);
    seen.pieces = chunks.flatMap(partsOf).map((part) => part.text).filter(Boolean);
  },
  async converse() {
    await converse(async (chat, message) => [await chat.sendMessage({ message })]);
  },
  async converseInStreams() {
    await converse(async (chat, message) => collect(await chat.sendMessageStream({ message })));
  },
  async runTools() {
    seen.text = textOf(partsOf(await client.models.generateContent(runnable())));
  },
  async runToolsInStreams() {
    seen.text = textOf((await collect(await client.models.generateContentStream(runnable()))).flatMap(partsOf));
  },
  async parse() {
    const config = { responseMimeType: "application/json", responseJsonSchema: person };
    seen.parsed = JSON.parse((await client.models.generateContent({ ...hello, config })).text);
  },
  async count() {
    seen.tokens = (await client.models.countTokens(hello)).totalTokens;
  },
  async models() {
    seen.ids = (await collect(await client.models.list({ config: { pageSize: 2 } }))).map((entry) => entry.name);
  },
  async model() {
    const entry = await client.models.get({ model: hello.model });
    seen.entry = [entry.name, entry.inputTokenLimit, entry.outputTokenLimit];
  },
  async wrong() {
    await client.models.generateContent({ ...hello, config: { stopSequences: [1] } });
  },
};

function begin({ url, apiKey, model, apiVersion }) {
  client = new GoogleGenAI({ apiKey, httpOptions: { baseUrl: url, timeout: 20_000, apiVersion } });
  hello = { model, contents: question };
  return (seen = {});
}

// The error's message is the body, or holds it.
const wordOf = (message) => JSON.parse(message.slice(message.indexOf("{"))).error.status;

await run(scenarios, begin, ({ status, message }) => ({
  status: status ?? null,
  word: status ? wordOf(message) : null,
  retryAfter: null,
}));
