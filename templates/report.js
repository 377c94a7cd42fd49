(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  const scenarios = [...document.querySelectorAll("details.scenario")];
  const features = [...document.querySelectorAll(".feature")];
  const search = document.getElementById("search");
  const boxes = [...document.querySelectorAll(".find input[type=checkbox]")];
  const found = document.getElementById("found");
  // Read once, on the first search: a page of thousands of scenarios opens before it is searched.
  let texts = null;
  const text = (index) => {
    texts ??= scenarios.map((s) => (s.id + " " + s.dataset.tags + " " + s.textContent).toLowerCase());
    return texts[index];
  };
  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const outcomes = new Set(boxes.filter((b) => b.checked).map((b) => b.value));
    let count = 0;
    scenarios.forEach((scenario, index) => {
      const fits = (outcomes.size === 0 || outcomes.has(scenario.dataset.outcome))
        && words.every((word) => text(index).includes(word));
      scenario.hidden = !fits;
      count += fits ? 1 : 0;
    });
    features.forEach((feature) => {
      feature.hidden = !feature.querySelector("details.scenario:not([hidden])");
    });
    found.textContent = count === scenarios.length ? "" : `${count} of ${scenarios.length} scenarios`;
  };
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.matches("details.scenario")) {
      if (target.hidden) {
        search.value = "";
        boxes.forEach((box) => { box.checked = false; });
        show();
      }
      target.open = true;
      target.scrollIntoView();
    }
  };
  if (search) {
    search.addEventListener("input", show);
    boxes.forEach((box) => box.addEventListener("change", show));
    document.getElementById("open-all").addEventListener("click", (event) => {
      const close = scenarios.some((s) => s.open && !s.hidden);
      scenarios.forEach((s) => { if (!s.hidden) { s.open = !close; } });
      event.target.textContent = close ? "Open all" : "Close all";
    });
  }
  addEventListener("hashchange", open);
  open();
  // Browsers that do not know ::details-content print what is open: so all of it.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((d) => { d.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((d) => { d.open = false; }));
})();
