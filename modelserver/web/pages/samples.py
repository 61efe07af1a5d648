"""The examples on the page; `«root»`, `«model»`, `«eyes»` and `«code.hello»` are filled in by `Context.sample`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SAMPLES: Final[Mapping[str, str]] = {
    "quick.curl": """
curl «root»/v1/chat/completions \\
  -H "Authorization: Bearer YOUR_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "«model»",
    "messages": [{"role": "user", "content": "«code.hello»"}]
  }'
""",
    "quick.python": """
from openai import OpenAI

client = OpenAI(base_url="«root»/v1", api_key="YOUR_API_KEY")

response = client.chat.completions.create(
    model="«model»",
    messages=[{"role": "user", "content": "«code.hello»"}],
)
print(response.choices[0].message.content)
""",
    "quick.node": """
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "«root»/v1", apiKey: "YOUR_API_KEY" });

const response = await client.chat.completions.create({
  model: "«model»",
  messages: [{ role: "user", content: "«code.hello»" }],
});
console.log(response.choices[0].message.content);
""",
    "auth": "Authorization: Bearer YOUR_API_KEY",
    "chat.response": """
{
  "id": "chatcmpl-8f2c61d09b",
  "object": "chat.completion",
  "created": 1790000000,
  "model": "«model»",
  "choices": [
    {
      "index": 0,
      "message": {"role": "assistant", "content": "«code.answer»"},
      "finish_reason": "stop"
    }
  ],
  "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
}
""",
    "stream.chunks": """
: «code.comment_role»
data: {"id":"chatcmpl-8f2c","choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}

: «code.comment_text»
data: {"id":"chatcmpl-8f2c","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}

data: {"id":"chatcmpl-8f2c","choices":[{"index":0,"delta":{"content":" world"},"finish_reason":null}]}

: «code.comment_end»
data: {"id":"chatcmpl-8f2c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: [DONE]
""",
    "stream.curl": """
curl -N «root»/v1/chat/completions \\
  -H "Authorization: Bearer YOUR_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "«model»",
    "stream": true,
    "messages": [{"role": "user", "content": "«code.hello»"}]
  }'
""",
    "stream.python": """
stream = client.chat.completions.create(
    model="«model»",
    messages=[{"role": "user", "content": "«code.hello»"}],
    stream=True,
)

for chunk in stream:
    if chunk.choices and chunk.choices[0].delta.content:
        print(chunk.choices[0].delta.content, end="", flush=True)
""",
    "stream.node": """
const stream = await client.chat.completions.create({
  model: "«model»",
  messages: [{ role: "user", content: "«code.hello»" }],
  stream: true,
});

for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}
""",
    "tools.define": """
{
  "model": "«model»",
  "messages": [{"role": "user", "content": "«code.weather»"}],
  "tools": [
    {
      "type": "function",
      "function": {
        "name": "get_weather",
        "description": "«code.weather_desc»",
        "parameters": {
          "type": "object",
          "properties": {"city": {"type": "string", "description": "«code.city_desc»"}},
          "required": ["city"]
        }
      }
    }
  ],
  "tool_choice": "auto"
}
""",
    "tools.answer": """
{
  "choices": [
    {
      "index": 0,
      "message": {
        "role": "assistant",
        "content": null,
        "tool_calls": [
          {
            "id": "call_4b1d",
            "type": "function",
            "function": {"name": "get_weather", "arguments": "{\\"city\\": \\"«code.city»\\"}"}
          }
        ]
      },
      "finish_reason": "tool_calls"
    }
  ]
}
""",
    "tools.result": """
{
  "role": "tool",
  "tool_call_id": "call_4b1d",
  "content": "«code.degrees»"
}
""",
    "vision.url": """
{
  "model": "«eyes»",
  "messages": [
    {
      "role": "user",
      "content": [
        {"type": "text", "text": "«code.see»"},
        {"type": "image_url", "image_url": {"url": "https://example.com/photo.jpg"}}
      ]
    }
  ]
}
""",
    "vision.data": """
import base64
from pathlib import Path

data = base64.b64encode(Path("photo.jpg").read_bytes()).decode()

response = client.chat.completions.create(
    model="«eyes»",
    messages=[
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "«code.see»"},
                {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}},
            ],
        }
    ],
)
""",
    "dialects.responses": """
curl «root»/v1/responses \\
  -H "Authorization: Bearer YOUR_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "«model»", "input": "«code.hello»"}'
""",
    "dialects.messages": """
curl «root»/v1/messages \\
  -H "x-api-key: YOUR_API_KEY" \\
  -H "anthropic-version: 2023-06-01" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "«model»",
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "«code.hello»"}]
  }'
""",
    "dialects.gemini": """
curl «root»/v1beta/models/«model»:generateContent \\
  -H "x-goog-api-key: YOUR_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"contents": [{"role": "user", "parts": [{"text": "«code.hello»"}]}]}'
""",
    "clients.codex": """
model = "«model»"
model_provider = "modelserver"

[model_providers.modelserver]
name = "modelserver"
base_url = "«root»/v1"
env_key = "MODELSERVER_KEY"
wire_api = "responses"
""",
    "clients.claude": """
export ANTHROPIC_BASE_URL=«root»
export ANTHROPIC_AUTH_TOKEN=$MODELSERVER_KEY
export ANTHROPIC_MODEL=«model» ANTHROPIC_SMALL_FAST_MODEL=«model»
claude
""",
    "clients.gemini": """
export GOOGLE_GEMINI_BASE_URL=«root»
export GEMINI_API_KEY=$MODELSERVER_KEY
gemini -m «model»
""",
    "clients.opencode": """
{
  "provider": {
    "modelserver": {
      "npm": "@ai-sdk/openai-compatible",
      "options": {"baseURL": "«root»/v1", "apiKey": "{env:MODELSERVER_KEY}"},
      "models": {"«model»": {}}
    }
  }
}
""",
    "errors": """
{
  "error": {
    "message": "The API key is not valid here.",
    "type": "authentication_error",
    "param": null,
    "code": "authentication_error"
  }
}
""",
    "example": """
from openai import OpenAI

client = OpenAI(base_url="«root»/v1", api_key="YOUR_API_KEY")
messages = [{"role": "system", "content": "«code.system»"}]


def say(text):
    # «code.comment_turn»
    messages.append({"role": "user", "content": text})
    response = client.chat.completions.create(model="«model»", messages=messages, max_tokens=1000)
    answer = response.choices[0].message.content
    messages.append({"role": "assistant", "content": answer})
    return answer


print(say("«code.ask»"))
print(say("«code.again»"))
""",
    "catalogue.curl": """
curl "«root»/api/v1/models?type=llm&features=tools&sort_by=context_length&sort_order=desc"
""",
    "catalogue.python": """
import requests

response = requests.get(
    "«root»/api/v1/models",
    params={"type": "llm", "features": "tools,thinking", "sort_by": "model_ratio"},
)
for model in response.json()["data"]:
    print(model["model_id"], model.get("pricing"))
""",
    "catalogue.node": """
const query = new URLSearchParams({ type: "llm", modalities: "text,image", sort_by: "coding" });
const response = await fetch(`«root»/api/v1/models?${query}`);

for (const model of (await response.json()).data) {
  console.log(model.model_id, model.pricing);
}
""",
    "catalogue.response": """
{
  "data": [
    {
      "model_id": "gpt-5-mini",
      "desc": "A faster and cheaper GPT-5 for well-defined tasks.",
      "pricing": {"cache_read": 0.025, "input": 0.25, "output": 2},
      "types": "llm",
      "features": "thinking,tools,function_calling,structured_outputs",
      "input_modalities": "text,image",
      "max_output": 128000,
      "context_length": 400000
    }
  ],
  "message": "",
  "success": true
}
""",
    "catalogue.etag": """
# «code.comment_first»
curl -s --etag-save models.etag -o models.json «root»/api/v1/models

# «code.comment_then»
curl -s --etag-compare models.etag -o models.json -w '%{http_code}\\n' «root»/api/v1/models

# «code.comment_hand»
curl -i -H 'If-None-Match: "abc123"' «root»/api/v1/models
""",
    "catalogue.headers": "Cache-Control: public, max-age=300, stale-while-revalidate=300",
    "catalogue.error": """
{
  "success": false,
  "message": "type: 'cat' is not one of llm, image_generation, video, tts, stt, embedding, rerank."
}
""",
    "lists.curl": """
curl «root»/v1/models -H "Authorization: Bearer YOUR_API_KEY"
""",
    "lists.response": """
{
  "object": "list",
  "data": [
    {
      "id": "gpt-4o-mini",
      "object": "model",
      "created": 1721260800,
      "owned_by": "openai",
      "permission": [
        {
          "id": "modelperm-8a43428062692d369599bd00",
          "object": "model_permission",
          "created": 1721260800,
          "allow_create_engine": true,
          "allow_sampling": true,
          "allow_logprobs": true,
          "allow_search_indices": false,
          "allow_view": true,
          "allow_fine_tuning": false,
          "organization": "*",
          "group": null,
          "is_blocking": false
        }
      ],
      "root": "gpt-4o-mini",
      "parent": null
    }
  ]
}
""",
    "lists.one": """
curl «root»/v1/models/«model» -H "Authorization: Bearer YOUR_API_KEY"
""",
    "health": """
curl «root»/health
""",
    "health.response": """
{"status":"ok","version":"«version»"}
""",
}
