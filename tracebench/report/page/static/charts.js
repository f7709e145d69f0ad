"use strict";
/* Interactive curves: one description in, one uPlot chart out, in the page's colours, with a
   keyboard, a table and a CSV file beside the mouse. */

const { drawChart, redrawAll } = (() => {
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
  const MOST_ROWS = 500;
  const HEIGHT = 300;
  const drawn = [];

  const color = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  const number = (value) => {
    if (value === null || value === undefined) return "–";
    if (value === 0) return "0";
    const size = Math.abs(value);
    const digits = size < 0.01 ? 5 : size < 10 ? 3 : size < 100 ? 2 : size < 1000 ? 1 : 0;
    return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  };

  /** Axis labels with enough decimals to distinguish neighbours. */
  function ticks(u, values) {
    const step = values.length > 1 ? Math.abs(values[1] - values[0]) : Math.abs(values[0]) || 1;
    const power = Math.max(0, -Math.floor(Math.log10(step)));
    const scaled = step * 10 ** power;
    const digits = Math.min(power + (Math.abs(scaled - Math.round(scaled)) > 1e-6 ? 1 : 0), 9);
    return values.map((value) => value === null ? ""
      : value.toLocaleString("en", { maximumFractionDigits: digits }));
  }

  const logTicks = (u, values, axis) =>
    values.map((value) => {
      if (value === null) return "";
      const power = Math.log10(Math.abs(value) || 1);
      const scale = u.scales[axis === 0 ? "x" : "y"];
      const narrow = scale.max / scale.min < 30;
      return narrow || Math.abs(power - Math.round(power)) < 1e-9 ? String(Number(value.toPrecision(6))) : "";
    });

  /** The range of the values, without padding; a single value is centred. */
  function spread(u, low, high) {
    if (low === null || low === undefined) return [0, 1];
    const aside = low === high ? Math.abs(low) / 10 || 1 : 0;
    return [low - aside, high + aside];
  }

  function axis(label, more) {
    return {
      label,
      stroke: () => color("text"),
      grid: { stroke: () => color("grid"), width: 1 },
      ticks: { stroke: () => color("grid"), width: 1 },
      font: "12px system-ui, sans-serif",
      labelFont: "13px system-ui, sans-serif",
      labelSize: 22,
      ...more,
    };
  }

  function series(one) {
    return {
      label: one.label,
      stroke: () => color(one.color),
      width: one.width ?? 2,
      dash: DASHES[one.dash ?? 0],
      spanGaps: one.spanGaps ?? false,
      paths: one.steps ? uPlot.paths.stepped({ align: 1 })
        : one.bars ? uPlot.paths.bars({ size: [1, 100] }) : undefined,
      fill: one.bars ? () => color(one.color) : undefined,
      points: one.points ? { show: true, size: 5 } : undefined,
      value: (u, value) => number(value),
    };
  }

  /** Marks behind and on the curves: periods of time, whiskers, rings. */
  function drawMarks(u, spec) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    for (const one of spec.stretches ?? []) {
      const from = u.valToPos(one.from, "x", true);
      const until = Math.max(u.valToPos(one.until, "x", true), from + 2);
      ctx.globalAlpha = 0.25;
      ctx.fillStyle = color(one.color);
      ctx.fillRect(from, top, until - from, height);
      ctx.globalAlpha = 1;
      if (one.label) {
        ctx.fillStyle = color("text");
        ctx.textAlign = "left";
        ctx.textBaseline = "alphabetic";
        ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
        ctx.fillText(one.label, Math.max(from, left) + 4, top + 14 * devicePixelRatio);
      }
    }
    ctx.setLineDash([]);
    ctx.lineWidth = 2 * devicePixelRatio;
    for (const one of spec.whiskers ?? []) {
      const x = u.valToPos(one.x, "x", true) + one.shift * devicePixelRatio;
      const [low, high] = [one.low, one.high].map((y) => u.valToPos(y, "y", true));
      ctx.strokeStyle = color(one.color);
      ctx.beginPath();
      ctx.moveTo(x, low); ctx.lineTo(x, high);
      for (const y of [low, high]) { ctx.moveTo(x - 4, y); ctx.lineTo(x + 4, y); }
      ctx.stroke();
    }
    ctx.strokeStyle = color("bad");
    for (const one of spec.rings ?? []) {
      ctx.beginPath();
      ctx.arc(u.valToPos(one.x, "x", true), u.valToPos(one.y, "y", true), 8 * devicePixelRatio, 0, 7);
      ctx.stroke();
    }
    ctx.restore();
  }

  function options(chart) {
    const { spec, figure } = chart;
    return {
      width: Math.max(chart.plot.clientWidth, 280),
      height: HEIGHT,
      cursor: {
        drag: { x: true, y: false, uni: 10 },
        sync: spec.sync ? { key: spec.sync } : undefined,
        points: { size: 7 },
      },
      legend: { live: true },
      scales: {
        x: { time: false, distr: spec.x.log ? 3 : 1, range: spec.x.range ?? spread },
        y: {
          distr: chart.log ? 3 : 1,
          range: chart.log
            ? (u, low, high) => (low > 0 ? [low / 1.2, high * 1.2] : [0.1, 10])
            : (u, low, high) => [Math.min(0, low ?? 0), spec.y.most ?? ((high || 1) * 1.05)],
        },
      },
      axes: [
        axis(spec.x.label, {
          size: 34,
          splits: spec.x.ticks,
          values: spec.x.names ?? (spec.x.log ? logTicks : ticks),
        }),
        axis(spec.y.label, {
          size: 70,
          values: chart.log ? logTicks : ticks,
        }),
      ],
      series: [{ label: spec.x.label, value: (u, x) => (spec.x.text ?? number)(x) }, ...spec.series.map(series)],
      bands: (spec.bands ?? []).map((one) => ({ series: one.between, fill: () => color(one.color) })),
      hooks: {
        drawClear: [(u) => drawMarks(u, { stretches: spec.stretches })],
        draw: [(u) => drawMarks(u, { whiskers: spec.whiskers, rings: spec.rings })],
        ready: [(u) => { chart.whole = { min: u.scales.x.min, max: u.scales.x.max }; }],
        setScale: [(u, key) => {
          if (key !== "x" || !chart.whole) return;
          const { min, max } = u.scales.x;
          const zoomed = min > chart.whole.min || max < chart.whole.max;
          figure.dataset.zoomed = zoomed;
          figure.querySelector("[data-do=reset]").disabled = !zoomed;
        }],
      },
    };
  }

  /** A logarithmic axis has no zero: values that are not positive are omitted. */
  const positive = (values) => values.map((value) => (value > 0 ? value : null));

  function build(chart) {
    const { spec } = chart;
    chart.uplot?.destroy();
    chart.whole = undefined;
    delete chart.figure.dataset.zoomed;
    chart.figure.querySelector("[data-do=reset]").disabled = true;
    const ys = spec.series.map((one) => (chart.log ? positive(one.values) : one.values));
    chart.uplot = new uPlot(options(chart), [spec.x.values, ...ys], chart.plot);
    chart.uplot.root.querySelector(".u-legend").setAttribute("aria-hidden", "true");
    chart.figure.dataset.drawn = "true";
  }

  const linear = (u, x) => (u.scales.x.distr === 3 ? Math.log10(x) : x);
  const back = (u, x) => (u.scales.x.distr === 3 ? 10 ** x : x);

  /** Charts that share a time axis are zoomed together, as uPlot does with the mouse. */
  const together = ({ spec }, change) => drawn
    .filter((one) => one.spec === spec || (spec.sync && one.spec.sync === spec.sync))
    .forEach(change);

  function zoom(chart, factor) {
    const u = chart.uplot;
    const [low, high] = [u.scales.x.min, u.scales.x.max].map((x) => linear(u, x));
    const at = u.cursor.idx === null || u.cursor.idx === undefined
      ? (low + high) / 2 : linear(u, u.data[0][u.cursor.idx]);
    const min = Math.max(back(u, at - (at - low) * factor), chart.whole.min);
    const max = Math.min(back(u, at + (high - at) * factor), chart.whole.max);
    if (max > min) together(chart, (one) => one.uplot.setScale("x", { min, max }));
  }

  const showAll = (chart) => together(chart, (one) => one.uplot.setScale("x", one.whole));

  function move(chart, by) {
    const u = chart.uplot, xs = u.data[0];
    const inside = xs.map((x, at) => at).filter((at) => xs[at] >= u.scales.x.min && xs[at] <= u.scales.x.max);
    if (!inside.length) return;
    const first = inside[0], last = inside[inside.length - 1];
    const known = u.cursor.idx ?? (by > 0 ? first - 1 : last + 1);
    const at = Math.min(Math.max(known + by, first), last);
    u.setCursor({ left: u.valToPos(xs[at], "x"), top: u.over.clientHeight / 2 });
    const told = chart.spec.series.map((one) => `${one.label} ${number(one.values[at])}`);
    chart.figure.querySelector(".readout").textContent =
      `${chart.spec.x.label} ${(chart.spec.x.text ?? number)(xs[at])}: ${told.join(", ")}`;
  }

  function onKey(chart, event) {
    const step = event.shiftKey ? 10 : 1;
    const keys = {
      ArrowRight: () => move(chart, step),
      ArrowLeft: () => move(chart, -step),
      "+": () => zoom(chart, 0.5),
      "=": () => zoom(chart, 0.5),
      "-": () => zoom(chart, 2),
      0: () => showAll(chart),
    };
    const known = chart.spec.series[Number(event.key) - 1];
    if (known) {
      const at = Number(event.key);
      chart.uplot.setSeries(at, { show: !chart.uplot.series[at].show });
    } else if (keys[event.key] && !event.ctrlKey && !event.metaKey) {
      keys[event.key]();
    } else return;
    event.preventDefault();
  }

  const columns = (spec) => [spec.x.label, ...spec.series.map((one) => one.label)];

  function rows(spec, most = Infinity) {
    const step = Math.ceil(spec.x.values.length / most);
    return spec.x.values.flatMap((x, at) => at % step ? []
      : [[(spec.x.text ?? number)(x), ...spec.series.map((one) => one.values[at])]]);
  }

  function fillTable(chart) {
    const holder = chart.figure.querySelector(".values > div");
    if (holder.childElementCount) return;
    const table = document.createElement("table");
    table.createCaption().textContent = chart.figure.querySelector("h3").textContent;
    const head = table.createTHead().insertRow();
    for (const name of columns(chart.spec)) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name;
      head.append(cell);
    }
    const body = table.createTBody();
    for (const [x, ...values] of rows(chart.spec, MOST_ROWS)) {
      const row = body.insertRow();
      const cell = document.createElement("th");
      cell.scope = "row";
      cell.textContent = x;
      row.append(cell);
      for (const value of values) row.insertCell().textContent = number(value);
    }
    holder.append(table);
  }

  function connect(chart) {
    const { figure, plot } = chart;
    const button = (name) => figure.querySelector(`[data-do=${name}]`);
    button("reset").addEventListener("click", () => showAll(chart));
    button("log").setAttribute("aria-pressed", chart.log);
    button("log").addEventListener("click", (event) => {
      chart.log = !chart.log;
      event.target.setAttribute("aria-pressed", chart.log);
      build(chart);
    });
    button("csv").addEventListener("click", () => {
      const name = figure.querySelector("h3").textContent;
      saveCsv([columns(chart.spec), ...rows(chart.spec)], name);
    });
    plot.addEventListener("keydown", (event) => onKey(chart, event));
    figure.querySelector(".values").addEventListener("toggle", () => fillTable(chart));
  }

  function drawChart(figure, spec) {
    const chart = { figure, spec, plot: figure.querySelector(".plot"), log: Boolean(spec.y.log) };
    build(chart);
    connect(chart);
    drawn.push(chart);
  }

  /** Redraws after a change of width or colours; zoom and cursor are kept. */
  function redrawAll(width) {
    for (const chart of drawn) {
      const wanted = width ?? Math.max(chart.plot.clientWidth, 280);
      if (wanted !== chart.uplot.width) chart.uplot.setSize({ width: wanted, height: HEIGHT });
      else chart.uplot.redraw(false, true);
    }
  }

  return { drawChart, redrawAll };
})();
