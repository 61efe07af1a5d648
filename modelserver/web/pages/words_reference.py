"""Words of the documentation page: errors, the catalogue, the older lists and health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modelserver.web.pages.text import Text

REFERENCE: Final[Mapping[str, Text]] = {
    "errors.title": Text("Errors", "错误处理"),
    "errors.text": Text(
        "Errors of the OpenAI APIs have this shape; those of the other APIs have their own, with nearly "
        "the same statuses. `message` says what to do about it. The header `x-request-id` names the request for "
        "whoever runs the server.",
        "OpenAI 协议的错误格式如下；其他协议使用各自的格式，状态码基本相同。`message` 说明如何处理；响应头 "
        "`x-request-id` 可供服务器管理员查询该请求。",
    ),
    "errors.table": Text("Kinds of errors", "错误类型"),
    "errors.retry": Text(
        "429 and 503 come with `retry-after`, in seconds. In Anthropic's API an overloaded provider is a 529; in "
        "Gemini's a body that is too large is a 400.",
        "429 与 503 带有 `retry-after`（秒）。在 Anthropic 协议中，厂商过载的状态码为 529；"
        "在 Gemini 协议中，请求体过大的状态码为 400。",
    ),
    "errors.status": Text("Status and type", "状态码与类型"),
    "errors.when": Text("When, and the codes", "说明与错误代码"),
    "errors.400": Text(
        "The request is wrong (`param` names the field), not offered here, or refused by the provider",
        "请求参数有误（`param` 指出字段）、本服务不提供，或被厂商拒绝",
    ),
    "errors.401": Text("No API key, or one that is wrong or expired", "API Key 缺失、无效或已过期"),
    "errors.403": Text(
        "On a server that is open to its own machine: a foreign Host or Origin",
        "在只对本机开放的服务器上：Host 或 Origin 来自别处",
    ),
    "errors.404": Text("No such model for this key, or no such path", "模型不存在或该密钥无权使用，或路径不存在"),
    "errors.405": Text(
        "The path has other methods, see the header `Allow`",
        "该路径不支持此方法，可用方法见 `Allow` 响应头",
    ),
    "errors.408": Text("The request's body did not arrive in time", "请求正文未能及时送达"),
    "errors.413": Text(
        "The request is too large for this server or for the provider",
        "请求正文超过本服务器或厂商的上限",
    ),
    "errors.415": Text("The request's body is compressed", "请求正文经过压缩"),
    "errors.429": Text(
        "Too many requests: a limit of yours, or one of the provider's, is reached",
        "请求过于频繁：达到您的限额或厂商的限额",
    ),
    "errors.499": Text("Only in the server's log: the client has left", "仅见于服务器日志：客户端已断开"),
    "errors.500": Text("A bug of the server; please report the request's id", "服务器内部错误，请反馈请求 ID"),
    "errors.502": Text(
        "The provider failed, or refused the server's own key; your key is fine",
        "厂商出错，或拒绝了服务器自己的密钥；与您的密钥无关",
    ),
    "errors.503": Text(
        "The provider has no key here or is full, or this server is about to stop",
        "厂商未配置密钥或繁忙，或本服务器正在停止",
    ),
    "errors.504": Text("The provider took too long", "厂商响应超时"),
    "catalogue.title": Text("Catalogue", "模型目录"),
    "catalogue.text": Text(
        "Every model with its price, features and sizes, in one answer without pages.",
        "一次返回全部模型的价格、特性与规格，不分页。",
    ),
    "catalogue.access_public": Text("No key is needed.", "无需密钥。"),
    "catalogue.access_keys": Text(
        "On this server it needs a key and shows what that key may call.",
        "本服务器要求携带密钥，并只列出该密钥可以调用的模型。",
    ),
    "catalogue.access_off": Text(
        "It is switched off on this server: the answer is a 404.",
        "本服务器已关闭此接口，请求返回 404。",
    ),
    "catalogue.request": Text("Request", "请求示例"),
    "catalogue.response": Text("Response", "响应示例"),
    "catalogue.fields": Text("Fields of a model", "模型对象字段"),
    "catalogue.fields_text": Text("A field that is not known is left out.", "未知的字段不会出现。"),
    "catalogue.parameters": Text("Query parameters", "查询参数"),
    "catalogue.parameters_text": Text(
        "All are optional, and all that are given must hold. `type` also takes the [old names](#catalogue-old-names).",
        "全部可选；给出多个时须同时满足。`type` 也接受[旧名称](#catalogue-old-names)。",
    ),
    "catalogue.sorting": Text("Sorting", "排序"),
    "catalogue.sorting_text": Text(
        "Models for which the value is not known come last in either direction.",
        "缺少该数值的模型无论升序降序都排在最后。",
    ),
    "catalogue.caching": Text("Caching", "缓存"),
    "catalogue.caching_text": Text(
        "The answer may be kept for five minutes. After that ask with its `ETag`; an unchanged catalogue costs "
        "a 304 without body.",
        "响应可缓存五分钟。之后请带上 `ETag` 再次请求：内容未变时只返回不带正文的 304。",
    ),
    "catalogue.old_names": Text("Old names of types", "旧类型名称"),
    "catalogue.old_names_text": Text(
        "Queries may use the old names; answers have the new ones.",
        "查询时可以使用旧名称，响应中只出现新名称。",
    ),
    "catalogue.old": Text("Old", "旧名称"),
    "catalogue.new": Text("New", "新名称"),
    "catalogue.errors": Text("Errors", "错误格式"),
    "catalogue.errors_text": Text(
        "Below `/api/` errors have the envelope of this API. The message names the parameter, the value and "
        "the values allowed.",
        "`/api/` 下的错误使用本接口自己的格式；消息会指出参数、错误取值与允许的取值。",
    ),
    "field.model_id": Text("The id to call it by", "调用时使用的模型 ID"),
    "field.desc": Text("What it is, in English", "模型描述（英文）"),
    "field.pricing_input": Text("US dollars per million tokens read", "输入价格，美元/百万 token"),
    "field.pricing_output": Text("US dollars per million tokens written", "输出价格，美元/百万 token"),
    "field.pricing_cache_read": Text(
        "The same for input found in the provider's cache",
        "缓存读取价格，美元/百万 token",
    ),
    "field.pricing_cache_write": Text(
        "The same for input put into the provider's cache",
        "缓存写入价格，美元/百万 token",
    ),
    "field.types": Text(
        "`llm` (language), `image_generation`, `video`, `tts` (speech), `stt` (transcription), `embedding` or `rerank`",
        "`llm`（大语言模型）、`image_generation`（图片生成）、`video`（视频生成）、`tts`（语音合成）、`stt`（语"
        "音转文本）、`embedding`（嵌入）或 `rerank`（排序）",
    ),
    "field.features": Text(
        "Joined by commas: `thinking`, `tools`, `function_calling`, `web`, `deepsearch`, `long_context`, "
        "`structured_outputs`",
        "以逗号分隔：`thinking`（思考）、`tools`（工具）、`function_calling`（函数调用）、`web`（联网搜索）、"
        "`deepsearch`（深度搜索）、`long_context`（长上下文）、`structured_outputs`（结构化输出）",
    ),
    "field.input_modalities": Text(
        "Joined by commas: `text`, `image`, `audio`, `video`, `pdf`",
        "以逗号分隔：`text`（文本）、`image`（图像）、`audio`（音频）、`video`（视频）、`pdf`",
    ),
    "field.max_output": Text("Most tokens of one answer", "单次回答最多生成的 token 数"),
    "field.context_length": Text("Size of the window, in tokens", "上下文窗口大小（token）"),
    "query.type": Text("One type", "单个模型类型"),
    "query.modalities": Text(
        "One or several with commas; a model must take all of them",
        "输入模态，可用逗号分隔多个，模型须全部支持",
    ),
    "query.features": Text(
        "One or several with commas; a model must have all of them",
        "功能特性，可用逗号分隔多个，模型须全部具备",
    ),
    "query.model": Text("A part of the id, in upper or lower case", "模型 ID 的一部分，不区分大小写"),
    "query.sort_by": Text("What to sort by", "排序依据"),
    "query.sort_order": Text("`asc` (default) or `desc`", "`asc`（升序，默认）或 `desc`（降序）"),
    "sort.order": Text("The order of the server's own file (default)", "服务器配置文件中的顺序（默认）"),
    "sort.context_length": Text("Size of the context window", "上下文窗口大小"),
    "sort.model_ratio": Text(
        "Value for money: price of three tokens read to one written, cheapest first",
        "性价比：按输入与输出 3:1 的混合价格，由低到高",
    ),
    "sort.coding": Text(
        "Models made for coding first, the rest as in the file; takes no `sort_order`",
        "编程模型优先，其余按文件顺序；不受 `sort_order` 影响",
    ),
    "lists.title": Text("Older lists", "旧版列表接口"),
    "lists.text": Text(
        "What OpenAI clients ask for. With a key they show what that key can call now, without one what the "
        "group `default` can. For prices and features use the [catalogue](#catalogue).",
        "OpenAI 客户端使用的接口。携带密钥时返回该密钥现在可以调用的模型，未携带时返回 `default` 分组可以调用的"
        "模型。需要价格与特性时，请使用[模型目录](#catalogue)。",
    ),
    "lists.all": Text("List models", "获取模型列表"),
    "lists.one": Text("One model", "获取单个模型"),
    "lists.one_text": Text(
        "One object of the list. Ids may contain slashes and colons; one that you can't call is a 404 "
        "`model_not_found`.",
        "返回列表中的单个对象。ID 可以包含斜杠与冒号；无法调用的模型返回 404 `model_not_found`。",
    ),
    "lists.fields": Text("Fields", "字段"),
    "list.id": Text("The id, or an alias", "模型 ID 或别名"),
    "list.object": Text("Always `model`", "固定为 `model`"),
    "list.created": Text(
        "Release as a Unix time; 1626777600 where it is not known",
        "发布时间（Unix 时间戳），未知时为 1626777600",
    ),
    "list.owned_by": Text("Who made the model", "开发者"),
    "list.permission": Text("For old clients; always the same", "为旧客户端保留，内容固定"),
    "list.root": Text("The id behind an alias", "别名对应的模型 ID"),
    "list.parent": Text("Always `null`", "固定为 `null`"),
    "health.title": Text("Health", "健康检查"),
    "health.text": Text(
        "For monitors and load balancers; neither needs a key or asks a provider.",
        "供监控与负载均衡使用，无需密钥，也不会请求厂商。",
    ),
    "health.live": Text("200 with the version, as long as the server lives", "服务器存活时返回 200 与版本号"),
    "health.ready": Text(
        "200 when it takes calls, 503 once it is about to stop",
        "可以接收请求时返回 200，即将停止时返回 503",
    ),
}
