// Runs the scenarios of a client for Node: `node CLIENT.mjs DIRECTORY`, with its library in the directory, then lines
// of JSON on standard input, each `{url, apiKey, scenario, model}`. For each it prints a line: what the scenario saw,
// and the error that ended it.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

export const load = createRequire(`${process.argv[2]}/`);

export async function run(scenarios, begin, describe) {
  for await (const line of createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    const seen = begin(asked);
    try {
      await scenarios[asked.scenario]();
    } catch (error) {
      seen.error = { class: error.constructor.name, message: error.message, ...describe(error) };
    }
    console.log(JSON.stringify(seen));
  }
}

// What the clients of the native dialects ask, in the words that tests/support/speech.py has for it.
export const question = "What is the weather in Paris?";
export const result = "21 degrees";
export const weather = {
  name: "weather",
  description: "Says the weather.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
export const person = {
  type: "object",
  properties: { name: { type: "string" }, age: { type: "integer" } },
  required: ["name", "age"],
  additionalProperties: false,
};

export async function collect(entries) {
  const found = [];
  for await (const entry of entries) found.push(entry);
  return found;
}
