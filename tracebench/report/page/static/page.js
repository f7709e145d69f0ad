"use strict";
/* The contents of each figure on the page, the theme, and the downloads. */

const DATA = JSON.parse(document.getElementById("data").textContent);
const RESULTS = DATA?.several ?? (DATA ? [{ name: "", result: DATA }] : []);
const UNIT = { name: document.body.dataset.unit, perMs: Number(document.body.dataset.perMs) };

function save(text, type, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** A CSV cell; text that a spreadsheet would take for a formula is escaped. */
function csvCell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function saveCsv(rows, name) {
  const text = rows.map((row) => row.map(csvCell).join(",")).join("\n") + "\n";
  save(text, "text/csv", `tracebench ${name.replace(/[^A-Za-z0-9 _-]+/g, "")}.csv`);
}

// What figures show.

/** What a target is called: its own name, or that of its result if it is its only target. */
const titled = (name, target, count) => (!name ? target : count === 1 ? name : `${name}: ${target}`);
/** Pairs of a title and what a part of each result holds for that target. */
const allOf = (part) => RESULTS.flatMap(({ name, result }) =>
  Object.entries(result[part] ?? {}).map(([target, held], at, every) =>
    [titled(name, target, every.length), held, result, target]));
const named = (entries, title) => entries.find(([other]) => other === title);
const TARGETS = allOf("targets");
const targetNamed = (title) => named(TARGETS, title)?.[1];
const inUnit = (values) => values.map((value) => (value === null ? null : value * UNIT.perMs));
const numberOf = (name) => Math.max(0, TARGETS.findIndex(([other]) => other === name));
const lookOf = (at) => ({ color: `s${at % 4}`, dash: at % 4 });
const latencyAxis = (log) => ({ label: `latency, ${UNIT.name}`, log });

/** Aligns several curves to the union of their x values. */
function joined(curves, valueAt) {
  const places = [...new Set(curves.flatMap((one) => one.x))].sort((a, b) => a - b);
  return [places, curves.map((one) => places.map((x) => valueAt(one, x)))];
}

function countBelow(sorted, x) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= x) low = middle + 1; else high = middle;
  }
  return low;
}

// Percentiles: each step to the right is ten times rarer.

const RARE = [0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999, 0.999999];
const rarity = (share) => -Math.log10(1 - share);
const percentile = (x) => {
  const share = 100 * (1 - 10 ** -x);
  return `p${Number(share.toFixed(Math.max(1, Math.ceil(x) - 1)))}`;
};
const rareAxis = (most) => ({
  label: "percentile",
  text: (x) => (x === null ? "–" : percentile(x)),
  ticks: () => [0, ...RARE.map(rarity)].filter((x) => x <= most + 1e-9),
  names: (u, values) => values.map((x) => (x < 0.01 ? "p0" : percentile(x))),
});

function percentiles() {
  const known = TARGETS.filter(([, one]) => one.cdf);
  if (!known.length) return null;
  const curves = known.map(([, one]) => {
    const rarest = Math.log10(2 * (one.latency?.count ?? 100));
    return { x: one.cdf.quantile.map((q) => (q < 1 ? rarity(q) : rarest)), y: inUnit(one.cdf.ms) };
  });
  const [x, ys] = joined(curves, (one, at) => {
    const place = one.x.findIndex((other) => other >= at - 1e-12);
    return place < 0 ? null : one.y[place];
  });
  const whiskers = known.flatMap(([name, one]) =>
    [["p50_ms", 0.5], ["p90_ms", 0.9], ["p95_ms", 0.95], ["p99_ms", 0.99], ["p999_ms", 0.999]].flatMap(
      ([statistic, share]) => {
        const interval = one.latency?.ci95?.[statistic];
        const shift = 3 * (numberOf(name) - (TARGETS.length - 1) / 2);
        return interval ? [{
          x: rarity(share), low: interval[0] * UNIT.perMs, high: interval[1] * UNIT.perMs,
          color: lookOf(numberOf(name)).color, shift,
        }] : [];
      }));
  const all = curves.flatMap((one) => one.y);
  return {
    x: { ...rareAxis(x[x.length - 1]), values: x },
    y: latencyAxis(isWide(all)),
    series: known.map(([name], at) => ({ label: name, values: ys[at], ...lookOf(numberOf(name)) })),
    whiskers,
  };
}

/** Whether a linear axis would squeeze most values into one line. */
const isWide = (values) => {
  const known = values.filter((value) => value > 0).sort((a, b) => a - b);
  return known.length > 0 && known[known.length - 1] > 20 * known[known.length >> 1];
};

function cdf() {
  const known = TARGETS.filter(([, one]) => one.cdf);
  if (!known.length) return null;
  const curves = known.map(([, one]) => ({ x: inUnit(one.cdf.ms), y: one.cdf.quantile }));
  const [x, ys] = joined(curves, (one, at) => {
    const below = countBelow(one.x, at + Math.abs(at) * 1e-12);
    return below ? 100 * one.y[below - 1] : 0;
  });
  return {
    x: { label: `latency, ${UNIT.name}`, values: x, log: x[0] > 0 && isWide(curves.flatMap((one) => one.x)) },
    y: { label: "% of requests", most: 101 },
    series: known.map(([name], at) => ({ label: name, values: ys[at], steps: true, ...lookOf(numberOf(name)) })),
  };
}

// Over time.

function timeUnit(seconds) {
  if (seconds > 600) return { label: "time, min", per: 1 / 60 };
  if (seconds < 1e-4) return { label: "time, µs", per: 1e6 };
  return seconds < 0.1 ? { label: "time, ms", per: 1e3 } : { label: "time, s", per: 1 };
}

function timeAxis(timeline) {
  const whole = timeline.start_s[timeline.start_s.length - 1] + timeline.bucket_s;
  const unit = timeUnit(whole);
  const first = timeline.start_s[0];
  return {
    label: unit.label,
    per: unit.per,
    values: timeline.start_s.map((start) => (start + timeline.bucket_s / 2) * unit.per),
    range: (u, low, high) => low === high || low === null
      ? [first * unit.per, whole * unit.per] : [low, high],
  };
}

function shaded(target, per) {
  const { timeline, warmup } = target;
  const first = timeline.start_s[0];
  const found = timeline.stalls_s.map(([from, until]) => (
    { from: from * per, until: until * per, color: "bad" }));
  if (found.length) found[0].label = found.length > 1 ? "stalls" : "stall";
  if (warmup && first < 0) found.push({ from: first * per, until: 0, color: "muted", label: "warm-up" });
  return found;
}

function timeline(name) {
  const target = targetNamed(name);
  if (!target?.timeline) return null;
  const one = target.timeline, x = timeAxis(one), { color } = lookOf(numberOf(name));
  const sparse = one.count.some((count) => !count) || one.count.length < 60;
  const line = (label, values, more) => ({ label, values: inUnit(values), color, ...more });
  return {
    x,
    y: latencyAxis(isWide(inUnit(one.max_ms).map((value) => value ?? 0))),
    series: [
      line("max", one.max_ms, { width: 1 }),
      line("p50", one.p50_ms, { width: 2.5, points: sparse }),
      line("min", one.min_ms, { width: 1 }),
      ...(one.p95_ms.some((value) => value !== null) ? [line("p95", one.p95_ms, { width: 1.5, dash: 1 })] : []),
    ],
    bands: [{ between: [1, 3], color: `band${numberOf(name) % 4}` }],
    stretches: shaded(target, x.per),
    sync: `time ${name}`,
  };
}

function load(name) {
  const target = targetNamed(name);
  if (!target?.timeline) return null;
  const one = target.timeline, x = timeAxis(one);
  const rate = (counts) => counts.map((count) => count / one.bucket_s);
  return {
    x,
    y: { label: "a second" },
    series: [
      { label: "requests", values: rate(one.count), color: "soft", steps: true },
      { label: "errors", values: rate(one.errors), color: "bad", dash: 1, steps: true },
    ],
    stretches: shaded(target, x.per),
    sync: `time ${name}`,
  };
}

function gauge(name, metric) {
  const target = targetNamed(name);
  let { t_s: times, value } = target.gauges[metric];
  let x = { label: "time, s", per: 1 };
  if (target.timeline) {  // same time range as the other curves
    x = timeAxis(target.timeline);
    const [first, last] = [x.values[0] / x.per, x.values[x.values.length - 1] / x.per];
    const [before, after] = [first < times[0] ? [first] : [], last > times[times.length - 1] ? [last] : []];
    times = [...before, ...times, ...after];
    value = [...before.map(() => null), ...value, ...after.map(() => null)];
  }
  return {
    x: { ...x, values: times.map((t) => t * x.per) },
    y: { label: metric },
    series: [{ label: metric, values: value, ...lookOf(numberOf(name)), dash: 0, points: times.length < 60 }],
    stretches: target.timeline ? shaded(target, x.per) : [],
    sync: `time ${name}`,
  };
}

/** Adds a figure for each server gauge, modelled on those already in the page. */
function addGauges(holder) {
  const { target } = holder.dataset;
  for (const metric of Object.keys(targetNamed(target)?.gauges ?? {})) {
    const figure = document.querySelector("figure.chart").cloneNode(true);
    Object.assign(figure.dataset, { kind: "gauge", target, metric });
    const title = `${target}: ${metric}`;
    figure.querySelector("h3").textContent = title;
    figure.querySelector("figcaption p").textContent = "As the server reported it during the run.";
    figure.querySelector(".plot").setAttribute("aria-label", title);
    figure.querySelector(".scroll").setAttribute("aria-label", `${title}, values`);
    holder.append(figure);
  }
}

// Streams, sweeps, comparisons.

function gaps() {
  const known = TARGETS.filter(([, one]) => one.stream?.gaps?.position.length);
  if (!known.length) return null;
  const curves = known.map(([, one]) => ({ x: one.stream.gaps.position, ...one.stream.gaps }));
  const at = (key) => joined(curves, (one, x) => {
    const below = countBelow(one.x, x);
    return below ? one[key][below - 1] * UNIT.perMs : null;
  });
  const [x, medians] = at("p50_ms");
  const [, slow] = at("p95_ms");
  return {
    x: { label: "position of the token", values: x, text: (value) => String(value) },
    y: { label: `gap, ${UNIT.name}` },
    series: known.flatMap(([name], place) => [
      { label: `${name} p50`, values: medians[place], steps: true, ...lookOf(numberOf(name)) },
      { label: `${name} p95`, values: slow[place], steps: true, ...lookOf(numberOf(name)), width: 1 },
    ]),
  };
}

function bySweepLoad(statistics) {
  const swept = allOf("scaling").map(([title, , sweep, target]) => ({ title, steps: sweep.steps.flatMap(
    (step) => (step.result.targets[target] ? [[step.load, step.result.targets[target]]] : [])) }));
  const loads = [...new Set(swept.flatMap((one) => one.steps.map(([load]) => load)))].sort((a, b) => a - b);
  const values = (one, value) => loads.map((load) => {
    const found = one.steps.find(([other]) => other === load);
    return found ? value(found[1]) ?? null : null;
  });
  const series = swept.flatMap((one, place) => statistics.map(([label, value, width]) => ({
    label: `${one.title} ${label}`.trim(), values: values(one, value), ...lookOf(place), width,
    points: true, spanGaps: true,
  })));
  const rings = swept.flatMap((one) => one.steps.flatMap(([load, target]) => {
    const y = statistics[0][1](target);
    return !target.verdict.valid && y ? [{ x: load, y }] : [];
  }));
  const label = RESULTS[0]?.result.kind === "rate" ? "requests a second" : "requests in flight";
  const log = loads.length > 2 && loads[loads.length - 1] > 20 * loads[0];
  return {
    x: { label, values: loads, log, text: (x) => (x === null ? "–" : String(Number(x))) },
    series, rings,
  };
}

const sweepThroughput = () => ({
  ...bySweepLoad([["", (target) => target.throughput_rps, 2]]),
  y: { label: "successes a second" },
});

function sweepLatency() {
  const of = (name) => (target) => (target.latency ? target.latency[name] * UNIT.perMs : null);
  const spec = bySweepLoad([["p50", of("p50_ms"), 2.5], ["p95", of("p95_ms"), 1.5], ["p99", of("p99_ms"), 1]]);
  return { ...spec, y: latencyAxis(isWide(spec.series.flatMap((one) => one.values))) };
}

function shift(title) {
  const entry = named(allOf("differences"), title);
  const found = entry?.[2].shift[entry[3]];
  if (!found) return null;
  const { a, b } = entry[2];
  const x = found.percentile.map((value) => rarity(value / 100));
  return {
    x: { ...rareAxis(x[x.length - 1]), values: x },
    y: latencyAxis(isWide([...found.a_ms, ...found.b_ms])),
    series: [
      { label: a.label, values: inUnit(found.a_ms), ...lookOf(0) },
      { label: b.label, values: inUnit(found.b_ms), ...lookOf(1) },
    ],
  };
}

const KINDS = {
  percentiles, cdf, timeline, load, gauge, gaps, shift,
  "sweep-throughput": sweepThroughput,
  "sweep-latency": sweepLatency,
};

// Start-up.

document.querySelectorAll(".gauges").forEach(addGauges);
for (const figure of document.querySelectorAll("figure.chart")) {
  const { kind, target, metric } = figure.dataset;
  const spec = DATA ? KINDS[kind](target, metric) : null;
  if (spec) drawChart(figure, spec);
  else {
    const text = document.createElement("p");
    text.textContent = "There is nothing to draw here.";
    figure.querySelector(".plot").replaceWith(text);
    figure.querySelectorAll(".buttons, .values").forEach((one) => one.remove());
  }
}

const THEMES = { "": "as the system", light: "light", dark: "dark" };
const root = document.documentElement, themeButton = document.getElementById("theme");
function setTheme(name) {
  if (name) root.dataset.theme = name; else delete root.dataset.theme;
  themeButton.textContent = `Theme: ${THEMES[name]}`;
  redrawAll();
}
themeButton.hidden = false;
themeButton.addEventListener("click", () => {
  const names = Object.keys(THEMES);
  setTheme(names[(names.indexOf(root.dataset.theme ?? "") + 1) % names.length]);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redrawAll());

// Paper is white, and narrower than a screen.
const PAPER_PX = 660;
const printing = (begins) => {
  root.classList.toggle("printing", begins);
  redrawAll(begins ? PAPER_PX : undefined);
};
matchMedia("print").addEventListener("change", (event) => printing(event.matches));
addEventListener("beforeprint", () => printing(true));
addEventListener("afterprint", () => printing(false));

let resizing;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => { if (!root.classList.contains("printing")) redrawAll(); }, 100);
});

document.querySelectorAll("[data-copy]").forEach((button) => button.addEventListener("click", async () => {
  const text = button.closest(".again").querySelector(".command").textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(button.closest(".again").querySelector(".command"));
    button.textContent = "Selected: copy it with Ctrl+C";
  }
}));

function* statistics() {
  yield ["load", "target", "component", "statistic", "value_ms", "low_ms", "high_ms"];
  for (const { name, result } of RESULTS) {
    const runs = result.steps ? result.steps.map((step) => [step.load, step.result]) : [["", result]];
    for (const [load, run] of runs) {
      for (const [target, found] of Object.entries(run.targets ?? {})) {
        const title = titled(name, target, Object.keys(result.scaling ?? run.targets).length);
        for (const [component, those] of Object.entries({ ...found.components, latency: found.latency })) {
          for (const [key, value] of Object.entries(those ?? {})) {
            if (key.endsWith("_ms")) yield [load, title, component, key.slice(0, -3), value, ...(those.ci95[key] ?? ["", ""])];
          }
        }
      }
    }
  }
  for (const [title, components] of allOf("differences")) {
    for (const [component, those] of Object.entries(components)) {
      for (const [key, one] of Object.entries(those)) {
        yield ["", title, component, `${key.slice(0, -3)} difference`, one.delta, ...(one.ci95 ?? ["", ""])];
      }
    }
  }
}

/** The JSON of one of the results; of an only one, exactly as the page holds it. */
function saveJson(at) {
  const { name, result } = RESULTS[at];
  const text = name ? JSON.stringify(result) : document.getElementById("data").textContent;
  save(text, "application/json", `tracebench ${name.replace(/[^A-Za-z0-9 _-]+/g, "") || "result"}.json`);
}

document.querySelectorAll("[data-download]").forEach((button) => {
  button.disabled = !DATA;
  button.addEventListener("click", () => {
    if (button.dataset.download === "csv") saveCsv([...statistics()], "statistics");
    else saveJson(Number(button.dataset.result));
  });
});
