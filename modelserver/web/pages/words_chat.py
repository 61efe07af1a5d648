"""Words of the documentation page: chat completions, the other APIs, and what stands in the examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modelserver.web.pages.text import Text

CHAT: Final[Mapping[str, Text]] = {
    "chat.title": Text("Chat completions", "聊天补全"),
    "chat.text": Text("Give the conversation so far, get the next message.", "提交到目前为止的对话，得到下一条消息。"),
    "chat.parameters": Text("Parameters", "请求参数"),
    "chat.passed": Text(
        "Other fields of OpenAI's API go on to the provider as they are, and `null` is the same as leaving a "
        "field out. A value that is wrong is a 400 whose `param` names the field, such as "
        "`messages[2].content[0].image_url.url`.",
        "OpenAI API 的其他字段会原样转交厂商；`null` 等同于不填。取值有误时返回 400，并在 `param` 中指出字段，"
        "例如 `messages[2].content[0].image_url.url`。",
    ),
    "chat.response": Text("Response", "响应格式"),
    "chat.response_text": Text(
        "`finish_reason` says why it ended: `stop`, `length`, `tool_calls` or `content_filter`. `usage` counts "
        "the tokens.",
        "`finish_reason` 说明结束原因：`stop`、`length`、`tool_calls` 或 `content_filter`；`usage` 为 token 用量。",
    ),
    "table.parameter": Text("Parameter", "参数"),
    "table.required": Text("required", "必填"),
    "table.meaning": Text("Meaning", "说明"),
    "table.field": Text("Field", "字段"),
    "param.model": Text("An id or alias from the list of models", "模型列表中的 ID 或别名"),
    "param.messages": Text(
        "The conversation: objects with `role` (`system`, `user`, `assistant`, `tool`) and `content`",
        "对话消息，每条包含 `role`（`system`、`user`、`assistant`、`tool`）与 `content`",
    ),
    "param.temperature": Text(
        "0 to 2; higher is more varied. The default is 0.7 where the catalogue sets it for a model, else the "
        "provider's own",
        "采样温度，0 到 2，越高越随机。目录为该模型设置了默认值时为 0.7，否则取厂商默认值",
    ),
    "param.top_p": Text(
        "0 to 1; nucleus sampling, change this or the temperature",
        "核采样，0 到 1；与温度二选一调整即可",
    ),
    "param.max_tokens": Text(
        "At least 1; the most tokens to generate. `max_completion_tokens` is its newer name",
        "最多生成的 token 数，至少为 1；新名称为 `max_completion_tokens`",
    ),
    "param.stream": Text(
        "Send the answer piece by piece, see [streaming](#streaming)",
        "逐段返回结果，参见[流式响应](#streaming)",
    ),
    "param.stream_options": Text(
        '`{"include_usage": true}` adds the token counts at the end of a stream',
        '`{"include_usage": true}` 会在流的末尾给出 token 用量',
    ),
    "param.stop": Text("Up to four strings at which the model stops", "最多四个停止字符串，遇到即停止生成"),
    "param.tools": Text(
        "Functions that the model may ask for, see [tools](#tools)",
        "模型可以调用的函数，参见[工具调用](#tools)",
    ),
    "param.tool_choice": Text(
        "`auto`, `none`, `required`, or an object that names one function",
        "`auto`、`none`、`required`，或指定某个函数的对象",
    ),
    "param.response_format": Text(
        '`{"type": "json_object"}`, or a JSON schema by `json_schema`',
        '`{"type": "json_object"}`，或用 `json_schema` 给出 JSON Schema',
    ),
    "param.reasoning_effort": Text(
        "How long a thinking model thinks: `low`, `medium`, `high`, with some models others too",
        "思考模型的思考强度：`low`、`medium`、`high`，部分模型另有其他取值",
    ),
    "stream.title": Text("Streaming", "流式响应"),
    "stream.text": Text(
        'With `"stream": true` the answer comes as Server-Sent Events, one JSON object per event.',
        '设置 `"stream": true` 后，结果以 Server-Sent Events 返回，每个事件是一个 JSON 对象。',
    ),
    "stream.chunks": Text("Chunk format", "流式响应格式"),
    "stream.chunks_text": Text(
        "The first chunk carries the role, the following ones the text, the last one `finish_reason`; `[DONE]` "
        "ends the stream. Lines that begin with a colon keep the connection alive and mean nothing. The "
        "example is shortened: every chunk also has `object`, `created` and `model`.",
        "第一个 chunk 携带角色，随后是正文，最后一个带 `finish_reason`，流以 `[DONE]` 结束。冒号开头的行只用于"
        "保持连接，可以忽略。示例有删节：每个 chunk 还包含 `object`、`created` 与 `model`。",
    ),
    "stream.broken": Text(
        "When the provider fails halfway, an event with `error` comes in the place of the end and there is no "
        "`[DONE]`: what you have is then incomplete. The SDKs raise an exception.",
        "如果厂商中途出错，流会以一个带 `error` 的事件收尾，并且没有 `[DONE]`：此时收到的内容不完整。官方 SDK "
        "会抛出异常。",
    ),
    "stream.read": Text("Reading a stream", "读取流"),
    "stream.read_text": Text(
        "`client` is the one of the [quick start](#quickstart).",
        "`client` 与[快速开始](#quickstart)中的相同。",
    ),
    "tools.title": Text("Tools", "工具调用"),
    "tools.text": Text(
        "Describe functions, and the model asks for them by name with arguments as JSON. Your program runs "
        "them; the server never does.",
        "描述可用的函数，模型会按名称请求调用，并给出 JSON 参数。函数由您的程序执行，服务器不会代为执行。",
    ),
    "tools.define": Text("Defining a tool", "定义工具"),
    "tools.answer": Text("The model's call", "工具调用响应"),
    "tools.answer_text": Text(
        "`arguments` is a string of JSON. There may be several calls, each with its own `id`.",
        "`arguments` 是 JSON 字符串；可能同时有多个调用，各有自己的 `id`。",
    ),
    "tools.result": Text("Sending the result", "返回结果"),
    "tools.result_text": Text(
        "Send the conversation again, with the assistant's message as it came and a `tool` message for each call.",
        "再次发送整段对话：原样附上助手的消息，并为每个调用附上一条 `tool` 消息。",
    ),
    "vision.title": Text("Images", "图片输入"),
    "vision.text": Text(
        "For models that take images, `content` may be a list of texts and pictures.",
        "对于支持图片的模型，`content` 可以是由文本与图片组成的列表。",
    ),
    "vision.url": Text("By URL", "使用 URL"),
    "vision.data": Text("As data", "使用 Base64 数据"),
    "vision.note_title": Text("Formats", "支持的格式"),
    "vision.note": Text(
        "JPEG, PNG, WebP and GIF, by `https:` URL or as `data:` URL with Base64. A model that can't take URLs "
        "gets the picture from the server, which fetches it from public addresses only.",
        "支持 JPEG、PNG、WebP、GIF，可用 `https:` URL 或 Base64 的 `data:` URL。若模型不接受 URL，由服务器代为"
        "下载，且只访问公网地址。",
    ),
    "dialects.title": Text("Other APIs", "其他协议"),
    "dialects.text": Text(
        "The same models answer in four APIs. Use the one that your client knows; the server translates where "
        "the provider speaks another.",
        "同一批模型可通过四种协议调用。使用客户端熟悉的那一种即可；厂商协议不同时由服务器转换。",
    ),
    "dialects.api": Text("API", "协议"),
    "dialects.base": Text("Base URL for its SDK", "SDK 的 Base URL"),
    "dialects.path": Text("Path", "路径"),
    "dialects.dropped": Text(
        "What the model's own API can't express is left out, and named in the answer's header `x-modelserver-dropped`.",
        "目标协议无法表达的内容会被略去，并在响应头 `x-modelserver-dropped` 中列出。",
    ),
    "dialects.examples": Text("Examples", "示例"),
    "clients.title": Text("Coding agents", "编程助手配置"),
    "clients.text": Text(
        "Settings for tools that you may already use. The key is in the environment as `MODELSERVER_KEY`.",
        "常用工具的配置方法。密钥保存在环境变量 `MODELSERVER_KEY` 中。",
    ),
    "clients.codex": Text("In `~/.codex/config.toml`:", "写入 `~/.codex/config.toml`："),
    "clients.claude": Text("In the shell, before `claude`:", "在终端中执行，然后启动 `claude`："),
    "clients.gemini": Text(
        "In the shell; choose the API key when it asks how to sign in:",
        "在终端中执行；询问登录方式时请选择 API Key：",
    ),
    "clients.opencode": Text("In `opencode.json`:", "写入 `opencode.json`："),
    "example.title": Text("A whole conversation", "完整对话示例"),
    "example.text": Text(
        "The server keeps no conversations: send all messages again with every turn.",
        "服务器不保存对话：每一轮都要把全部消息再发一次。",
    ),
    "code.hello": Text("Hello!", "你好！"),
    "code.system": Text("You are a helpful assistant.", "你是一个乐于助人的助手。"),
    "code.ask": Text("Tell me three facts about the Moon.", "告诉我三个关于月球的事实。"),
    "code.again": Text("Explain the second one to a child.", "用孩子能听懂的话解释第二个。"),
    "code.answer": Text("Hello! How can I help you?", "你好！有什么可以帮你？"),
    "code.weather": Text("What is the weather like in Paris?", "北京天气怎么样？"),
    "code.city": Text("Paris", "北京"),
    "code.weather_desc": Text("Current weather of a city", "查询城市的当前天气"),
    "code.city_desc": Text("Name of the city", "城市名"),
    "code.degrees": Text("18 degrees, sunny", "18 度，晴"),
    "code.see": Text("What is in this picture?", "这张图片里有什么？"),
    "code.comment_turn": Text("one turn: send everything, keep the answer", "一轮对话：发送全部消息，并保存回答"),
    "code.comment_role": Text("the role", "角色"),
    "code.comment_text": Text("the text, in pieces", "正文，逐段返回"),
    "code.comment_end": Text("the end", "结束"),
    "code.comment_first": Text("first time: keep the ETag", "首次请求：记下 ETag"),
    "code.comment_then": Text("later: 304 without body if nothing has changed", "之后：内容未变则返回不带正文的 304"),
    "code.comment_hand": Text("the same by hand", "手动指定 ETag"),
}
