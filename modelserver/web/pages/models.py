"""The list of models, by who made them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from modelserver.catalog.query import dollars
from modelserver.config.types import Model
from modelserver.web.markup import Child, Html, el, join
from modelserver.web.pages.context import Context
from modelserver.web.pages.parts import Section, paragraph, section, table

MODELS_SHOWN: Final = 400
"""A page of ten thousand would be of no use to anyone, and of megabytes."""
_ALL_OPEN: Final = 16
"""Models up to which every family is unfolded from the start."""
_OWNERS: Final = {
    "alibaba": "Alibaba Qwen",
    "anthropic": "Anthropic Claude",
    "cohere": "Cohere",
    "deepseek": "DeepSeek",
    "google": "Google Gemini",
    "meta": "Meta Llama",
    "mistral": "Mistral",
    "modelserver": "ModelServer",
    "ollama": "Ollama",
    "openai": "OpenAI",
    "xai": "xAI Grok",
}
"""Names of well-known makers; others are shown as the configuration has them."""


def models(context: Context) -> Html:
    """The catalogue as a table for each family, or how to get at it."""
    return section(context, "models", "models.title", _list(context), _rest(context))


def _rest(context: Context) -> Html:
    """What the list leaves out, where it leaves out something."""
    rest = len(context.facts.models) - MODELS_SHOWN
    if context.facts.catalogue != "public" or rest <= 0:
        return join()
    return paragraph(context, "models.more", count=str(rest))


def families(shown: Sequence[Model]) -> dict[str, list[Model]]:
    """Models by their maker, or by their provider where that is not known; in the order of the file."""
    found: dict[str, list[Model]] = {}
    for model in shown:
        found.setdefault(model.owned_by or model.provider, []).append(model)
    return found


def tokens(count: int | None) -> str:
    """A number of tokens as people write it: `400K`, `1.05M`; a dash where it is not known.

    Sizes that are powers of two are counted as such: 131,072 is `128K`.
    """
    if count is None:
        return "–"
    if count >= 1_000_000:
        return f"{count / 1_000_000:.2f}".rstrip("0").rstrip(".") + "M"
    if count < 1000:
        return str(count)
    if count % 1024 == 0 and count % 1000:
        return f"{count // 1024}K"
    return f"{count / 1000:.1f}".removesuffix(".0") + "K"


def _list(context: Context) -> Html:
    if context.facts.catalogue != "public":
        return paragraph(context, f"models.{context.facts.catalogue}")
    if not context.facts.models:
        return paragraph(context, "models.none")
    groups = families(context.facts.models[:MODELS_SHOWN])
    is_short = len(context.facts.models) <= _ALL_OPEN
    blocks = [_family(context, name, of, is_open=is_short or i == 0) for i, (name, of) in enumerate(groups.items())]
    words = {"data_filter": context.t("models.filter"), "data_nothing": context.t("models.nothing")}
    return join(paragraph(context, "models.text"), el("div", blocks, class_="families", **words))


def _family(context: Context, owner: str, of: Sequence[Model], *, is_open: bool) -> Html:
    name = _OWNERS.get(owner, owner)
    count = context.p("models.count_one") if len(of) == 1 else context.p("models.count", count=str(len(of)))
    names = ("model", "context", "output_max", "input", "output")
    headings = [context.t(f"models.{word}") for word in names]
    rows = table(name, headings, [_row(context, model) for model in of], kind="models")
    summary = el("summary", el("span", name, class_="owner"), " ", el("span", count, class_="count"))
    return el("details", summary, rows, open=is_open)


def _row(context: Context, model: Model) -> list[Child]:
    price = model.pricing
    return [
        [el("code", model.model_id), _marks(context, model), _about(context, model)],
        tokens(model.context_length),
        tokens(model.max_output),
        "–" if price is None or price.input is None else dollars(price.input),
        "–" if price is None or price.output is None else dollars(price.output),
    ]


def _marks(context: Context, model: Model) -> list[Child]:
    marks: list[Child] = []
    if "new" in model.tags:
        marks += [" ", el("span", context.t("models.new"), class_="mark new")]
    if model.retires is not None:
        key = "models.retired" if model.retires < context.today else "models.retires"
        marks += [" ", el("span", context.p(key, date=f"{model.retires:%Y-%m-%d}"), class_="mark gone")]
    return marks


def _about(context: Context, model: Model) -> list[Child]:
    """What the model is and what it can, below its id."""
    words = [context.t(f"type.{model.type}")]
    words += [context.t(f"feature.{feature}") for feature in model.features]
    words += [context.t(f"modality.{each}") for each in model.input_modalities if each != "text"]
    about: list[Child] = []
    if model.desc:
        about.append(el("span", model.desc, class_="desc"))
    elif model.is_pattern:
        about.append(el("span", context.t("models.pattern"), class_="desc"))
    about.append(el("span", "\N{NO-BREAK SPACE}· ".join(words), class_="can"))
    return about


MODELS: Final = (Section(anchor="models", title="models.title", body=models),)
