"""Words of the documentation page: what comes first: the frame of the page, getting started, the list of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modelserver.web.pages.text import Text

START: Final[Mapping[str, Text]] = {
    "page.title": Text("ModelServer API documentation", "ModelServer API 文档"),
    "page.description": Text(
        "One OpenAI-compatible address for GPT, Claude, Gemini, DeepSeek and other models: how to call it, "
        "with examples.",
        "用一个兼容 OpenAI 的地址调用 GPT、Claude、Gemini、DeepSeek 等模型：接入方法与示例。",
    ),
    "page.skip": Text("Skip to the text", "跳到正文"),
    "page.contents": Text("Contents", "目录"),
    "page.language": Text("Language", "语言"),
    "page.copy": Text("Copy", "复制"),
    "page.copied": Text("Copied", "已复制"),
    "page.copy_failed": Text("Not copied", "复制失败"),
    "page.openapi": Text("OpenAPI", "OpenAPI"),
    "page.machine": Text("For programs: ", "供程序读取："),
    "page.footer": Text(
        "Made by the running server from its own configuration, version {version}.",
        "本页由正在运行的服务器按自身配置生成，版本 {version}。",
    ),
    "nav.start": Text("Getting started", "入门"),
    "nav.chat": Text("Calling models", "调用模型"),
    "nav.more": Text("APIs and clients", "协议与客户端"),
    "nav.manage": Text("Model management", "模型管理"),
    "nav.reference": Text("Reference", "参考"),
    "status.running": Text("Running", "服务运行中"),
    "status.stopping": Text("Stopping", "正在停止"),
    "status.compatible": Text("OpenAI compatible", "兼容 OpenAI"),
    "intro.title": Text("ModelServer API", "ModelServer API"),
    "intro.nav": Text("Introduction", "简介"),
    "intro.lead": Text(
        "One address and one key for models of many providers. Whatever speaks to OpenAI speaks to this "
        "server: change the base URL, keep your code.",
        "一个地址、一把密钥，即可使用多家厂商的模型。能连接 OpenAI 的程序都能连接本服务：换掉 Base URL，代码照旧。",
    ),
    "intro.text": Text(
        "The official SDKs of OpenAI, Anthropic and Google work unchanged, and so do Codex CLI, Claude Code "
        "and Gemini CLI. Where a model's provider speaks another API than your client, the server translates "
        "both ways.",
        "OpenAI、Anthropic 与 Google 的官方 SDK 无需修改即可使用，Codex CLI、Claude Code、Gemini CLI 也一样。若"
        "模型厂商的协议与客户端不同，服务器会双向转换。",
    ),
    "base.title": Text("Base URL", "Base URL"),
    "base.text": Text(
        "OpenAI clients want the address with its version. Those of Anthropic and Google take it without, see "
        "[other APIs](#dialects).",
        "OpenAI 客户端使用带版本号的地址；Anthropic 与 Google 的客户端使用不带版本号的地址，参见[其他协议"
        "](#dialects)。",
    ),
    "features.title": Text("Main features", "主要特性"),
    "features.models": Text("Many models", "多模型"),
    "features.models_text": Text(
        "GPT, Claude, Gemini, DeepSeek and your own servers behind one list of names.",
        "GPT、Claude、Gemini、DeepSeek 以及自建服务，统一在一份模型列表里。",
    ),
    "features.stream": Text("Streaming", "流式响应"),
    "features.stream_text": Text(
        "Server-Sent Events, word by word. A stream that breaks off says so.",
        "通过 SSE 逐段输出；中断的流会明确报错，不会冒充完整结果。",
    ),
    "features.tools": Text("Tool calls", "工具调用"),
    "features.tools_text": Text(
        "Function calling as OpenAI defined it, for models of every provider that has it.",
        "采用 OpenAI 的 Function Calling 格式，各家支持工具的模型通用。",
    ),
    "features.vision": Text("Image input", "图片输入"),
    "features.vision_text": Text(
        "Pictures as data or by URL, for every model that can see.",
        "图片可用 Base64 数据或 URL 传入，适用于所有支持视觉的模型。",
    ),
    "quick.title": Text("Quick start", "快速开始"),
    "quick.text": Text(
        "Put your key in the place of `YOUR_API_KEY`. The examples use `{model}`, which can be called on this "
        "server now.",
        "把 `YOUR_API_KEY` 换成您的密钥即可运行。示例使用 `{model}`，它现在就能在本服务器上调用。",
    ),
    "quick.none": Text(
        "Put your key in the place of `YOUR_API_KEY`, and an id from `GET /v1/models` in the place of `{model}`.",
        "请把 `YOUR_API_KEY` 换成您的密钥，把 `{model}` 换成 `GET /v1/models` 列出的模型 ID。",
    ),
    "quick.install": Text(
        "For Python `pip install openai`, for Node `npm install openai`.",
        "Python 请先执行 `pip install openai`，Node 请先执行 `npm install openai`。",
    ),
    "auth.title": Text("Authentication", "认证"),
    "auth.text": Text(
        "Calls of models need an API key in the `Authorization` header.",
        "调用模型时，请在 `Authorization` 请求头中携带 API Key。",
    ),
    "auth.others": Text(
        "`x-api-key` and `x-goog-api-key` are taken as well, so that clients of Anthropic and Google work as "
        "they are. On paths of the Gemini API `?key=` works too.",
        "`x-api-key` 与 `x-goog-api-key` 同样有效，因此 Anthropic 与 Google 的客户端可以直接使用；Gemini 协议的"
        "路径还可用 `?key=`。",
    ),
    "auth.note_title": Text("Keep the key to yourself", "请妥善保管密钥"),
    "auth.note": Text(
        "Never ship a key in a web page or an app: whoever has the program has the key. Let a server of your "
        "own hold it and pass requests on.",
        "不要把密钥写进网页或客户端程序：拿到程序的人就拿到了密钥。请由您自己的后端保存密钥并转发请求。",
    ),
    "models.title": Text("Models", "模型列表"),
    "models.text": Text(
        "This list is made from the running configuration. `GET /v1/models` gives the ones that your key can "
        "call now, [`GET /api/v1/models`](#catalogue) everything below as JSON. Prices are US dollars per "
        "million tokens.",
        "列表取自当前运行的配置。`GET /v1/models` 返回您的密钥现在可以调用的模型；[`GET "
        "/api/v1/models`](#catalogue) 以 JSON 返回下列全部信息。价格单位为美元/百万 token。",
    ),
    "models.keys": Text(
        "On this server the list of models is for holders of a key: ask `GET /v1/models` with yours, or `GET "
        "/api/v1/models` for prices and features.",
        "本服务器的模型列表仅对持有密钥的用户开放：请携带密钥请求 `GET /v1/models`，价格与特性见 `GET "
        "/api/v1/models`。",
    ),
    "models.off": Text(
        "This server does not publish its catalogue. `GET /v1/models` with your key lists the models that you "
        "can call.",
        "本服务器不公开模型目录。请携带密钥请求 `GET /v1/models`，查看您可以调用的模型。",
    ),
    "models.none": Text("No model is configured yet.", "尚未配置任何模型。"),
    "models.more": Text(
        "And {count} more; `GET /api/v1/models` has them all.",
        "另有 {count} 个模型，完整列表见 `GET /api/v1/models`。",
    ),
    "models.count": Text("{count} models", "{count} 个模型"),
    "models.count_one": Text("1 model", "1 个模型"),
    "models.filter": Text("Filter models", "筛选模型"),
    "models.nothing": Text("No model fits.", "没有符合条件的模型。"),
    "models.model": Text("Model", "模型"),
    "models.context": Text("Context", "上下文"),
    "models.output_max": Text("Max. output", "最大输出"),
    "models.input": Text("Input $", "输入 $"),
    "models.output": Text("Output $", "输出 $"),
    "models.new": Text("NEW", "NEW"),
    "models.retires": Text("retires {date}", "{date} 下线"),
    "models.retired": Text("retired {date}", "已于 {date} 下线"),
    "models.pattern": Text("any name in the place of *", "* 处可填任意模型名"),
    "type.llm": Text("Language model", "大语言模型"),
    "type.image_generation": Text("Image generation", "图片生成"),
    "type.video": Text("Video generation", "视频生成"),
    "type.tts": Text("Speech", "语音合成"),
    "type.stt": Text("Transcription", "语音转文本"),
    "type.embedding": Text("Embedding", "嵌入"),
    "type.rerank": Text("Rerank", "排序"),
    "feature.thinking": Text("thinking", "思考"),
    "feature.tools": Text("tools", "工具"),
    "feature.function_calling": Text("functions", "函数调用"),
    "feature.web": Text("web search", "联网搜索"),
    "feature.deepsearch": Text("deep search", "深度搜索"),
    "feature.long_context": Text("long context", "长上下文"),
    "feature.structured_outputs": Text("JSON schema", "结构化输出"),
    "modality.image": Text("images", "图片"),
    "modality.audio": Text("audio", "音频"),
    "modality.video": Text("video", "视频"),
    "modality.pdf": Text("PDF", "PDF"),
}
