// Comforts of the documentation page; without this file everything is there and readable.
"use strict";
(() => {
  const words = document.body.dataset;
  const make = (tag, fields) => Object.assign(document.createElement(tag), fields);
  const store = {
    get(name) {
      try {
        return localStorage.getItem(name);
      } catch {
        return null; // storage may be refused
      }
    },
    set(name, value) {
      try {
        localStorage.setItem(name, value);
      } catch {
        // then it is not remembered
      }
    },
  };

  document.documentElement.classList.add("js");
  const news = make("p", { className: "unseen" });
  news.setAttribute("role", "status");
  document.body.append(news);

  // Copy buttons
  const copyText = async (code) => {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(code.textContent);
    const range = document.createRange();
    range.selectNodeContents(code);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    const done = document.execCommand("copy"); // the only way on plain HTTP
    selection.removeAllRanges();
    if (!done) throw new Error("refused");
  };
  for (const figure of document.querySelectorAll("figure.code")) {
    const button = make("button", { type: "button", className: "copy", textContent: words.copy });
    let timer;
    button.addEventListener("click", async () => {
      let said = words.copied;
      try {
        await copyText(figure.querySelector("code"));
      } catch {
        said = words.failed;
      }
      button.textContent = news.textContent = said;
      clearTimeout(timer);
      timer = setTimeout(() => {
        button.textContent = words.copy;
        news.textContent = "";
      }, 2000);
    });
    figure.querySelector("figcaption").append(button);
  }

  // Tabs
  const groups = {};
  const choose = (group, name) => {
    for (const set of groups[group]) if (set.names.includes(name)) set.show(set.names.indexOf(name));
  };
  const makeTabs = (box, number) => {
    const panels = [...box.children];
    const group = box.dataset.group;
    const names = panels.map((panel) => panel.firstElementChild.textContent);
    const bar = make("div", { className: "tablist" });
    bar.setAttribute("role", "tablist");
    const buttons = panels.map((panel, i) => {
      const button = make("button", { type: "button", id: `tab-${number}-${i}`, textContent: names[i] });
      panel.id = `panel-${number}-${i}`;
      panel.firstElementChild.hidden = true;
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", button.id);
      button.setAttribute("role", "tab");
      button.setAttribute("aria-controls", panel.id);
      button.addEventListener("click", () => pick(i));
      return button;
    });
    const show = (chosen) => {
      panels.forEach((panel, i) => (panel.hidden = i !== chosen));
      buttons.forEach((button, i) => {
        button.setAttribute("aria-selected", String(i === chosen));
        button.tabIndex = i === chosen ? 0 : -1;
      });
    };
    const pick = (i) => {
      const before = bar.getBoundingClientRect().top;
      choose(group, names[i]);
      scrollBy({ top: bar.getBoundingClientRect().top - before, behavior: "instant" }); // what changed above moves nothing
      store.set(`modelserver-${group}`, names[i]);
    };
    bar.addEventListener("keydown", (event) => {
      const at = buttons.indexOf(document.activeElement);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
      if (to === undefined || at < 0) return;
      event.preventDefault();
      const next = (to + buttons.length) % buttons.length;
      pick(next);
      buttons[next].focus();
    });
    bar.append(...buttons);
    box.prepend(bar);
    (groups[group] ??= []).push({ names, show });
    show(0);
  };
  document.querySelectorAll(".tabs").forEach(makeTabs);
  for (const group of Object.keys(groups)) choose(group, store.get(`modelserver-${group}`));

  // Filter of the models
  const families = document.querySelector(".families");
  if (families) {
    const field = make("input", { type: "search", className: "filter", placeholder: families.dataset.filter });
    field.setAttribute("aria-label", families.dataset.filter);
    const nothing = make("p", { className: "nothing", textContent: families.dataset.nothing, hidden: true });
    const blocks = [...families.children];
    const opened = blocks.map((block) => block.open);
    field.addEventListener("input", () => {
      const wanted = field.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
      let found = 0;
      blocks.forEach((block, i) => {
        const owner = block.querySelector(".owner").textContent;
        let here = 0;
        for (const row of block.querySelectorAll("tbody tr")) {
          const text = `${owner} ${row.textContent}`.toLowerCase();
          row.hidden = !wanted.every((word) => text.includes(word));
          here += !row.hidden;
        }
        block.hidden = !here;
        block.open = wanted.length ? here > 0 : opened[i];
        found += here;
      });
      nothing.hidden = found > 0;
    });
    families.before(field);
    families.after(nothing);
  }

  // Contents: what is being read is marked, and the menu closes behind a choice
  const menu = document.querySelector(".menu");
  menu.addEventListener("click", (event) => {
    if (event.target.closest("a")) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.firstElementChild.focus();
  });
  const links = new Map();
  for (const link of document.querySelectorAll(".side a, .menu a")) {
    const anchor = link.hash.slice(1);
    links.set(anchor, [...(links.get(anchor) ?? []), link]);
  }
  const places = [...links.keys()].map((anchor) => document.getElementById(anchor)).filter(Boolean);
  const inView = new Set();
  const side = document.querySelector(".side");
  let current;
  const mark = () => {
    const shown = places.filter((place) => inView.has(place));
    const now = shown.at(-1)?.id ?? current;
    if (now === current) return;
    for (const list of links.values()) {
      for (const link of list) {
        link.removeAttribute("aria-current");
        link.closest(".side > ul > li, .menu nav > ul > li").classList.remove("here");
      }
    }
    for (const link of links.get(now)) {
      link.setAttribute("aria-current", "location");
      link.closest(".side > ul > li, .menu nav > ul > li").classList.add("here");
    }
    current = now;
    const link = links.get(now).find((each) => side.contains(each));
    const { top, bottom } = link.getBoundingClientRect();
    const frame = side.getBoundingClientRect();
    if (top < frame.top || bottom > frame.bottom) side.scrollTop += top - frame.top - frame.height / 3;
  };
  const watch = new IntersectionObserver(
    (changes) => {
      for (const { target, isIntersecting } of changes) inView[isIntersecting ? "add" : "delete"](target);
      mark();
    },
    { rootMargin: "-96px 0px -75% 0px" },
  );
  places.forEach((place) => watch.observe(place));

  // What was folded above has moved the place that the address names
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();

  // The other language, at the same place
  for (const link of document.querySelectorAll(".languages a")) {
    link.addEventListener("click", () => {
      if (current) link.hash = current;
    });
  }
})();
