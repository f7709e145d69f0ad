// Opens a page in headless Chromium and prints what was found, as one line of JSON.
//
// Usage: node browser.cjs PAGE.html SCREENSHOTS|- with CHROMIUM and NODE_PATH in the environment.
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { pathToFileURL } = require("node:url");
const { chromium } = require("playwright-core");

const AXE = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

async function faults(page) {
  // The page's own policy admits no other script; evaluation through the debugger is not subject to it.
  await page.evaluate(AXE);
  const found = await page.evaluate(() => axe.run(document));
  return found.violations
    .filter((one) => ["serious", "critical"].includes(one.impact))
    .map((one) => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 150)} ${node.failureSummary}`).join(" | ")}`);
}

const legend = (figure) => figure.locator(".u-legend").innerText();

async function charts(page) {
  const figures = page.locator("figure.chart");
  const found = [];
  for (let at = 0; at < await figures.count(); at += 1) {
    const figure = figures.nth(at);
    const told = { kind: await figure.getAttribute("data-kind"), drawn: await figure.getAttribute("data-drawn") };
    found.push(told);
    if (!told.drawn) continue;
    const over = figure.locator(".u-over");
    await over.scrollIntoViewIfNeeded();
    const box = await over.boundingBox();
    await page.mouse.move(1, 1);
    const before = await legend(figure);
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 3 });
    told.hover = (await legend(figure)) !== before && (await legend(figure));
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.8, box.y + box.height / 2, { steps: 5 });
    await page.mouse.up();
    await page.waitForTimeout(50);
    told.zoomed = await figure.getAttribute("data-zoomed");
    await figure.locator("[data-do=reset]").click({ timeout: 2000 }).catch(() => {});
    told.reset = await figure.getAttribute("data-zoomed");
    await figure.locator(".plot").focus();
    await page.keyboard.press("ArrowRight");
    told.readout = await figure.locator(".readout").innerText();
    await page.keyboard.press("+");
    await page.waitForTimeout(50);
    told.keyZoomed = await figure.getAttribute("data-zoomed");
    await page.keyboard.press("0");
    await figure.locator("[data-do=log]").click();
    await figure.locator("[data-do=log]").click();
    await figure.locator("summary").click();
    await figure.locator(".values tbody tr").first().waitFor({ timeout: 2000 }).catch(() => {});
    told.rows = await figure.locator(".values tbody tr").count();
    await figure.locator("summary").click();
  }
  return found;
}

// By how much the page is wider than the window, or a card's contents than the card.
function tooWide() {
  const whole = document.documentElement;
  const over = (one) => one.scrollWidth - one.clientWidth;
  const cards = Array.from(document.querySelectorAll(".card"), over);
  return Math.max(whole.scrollWidth - innerWidth, ...cards);
}

async function downloads(page) {
  const found = {};
  for (const name of ["json", "csv"]) {
    const [download] = await Promise.all([
      page.waitForEvent("download"), page.locator(`[data-download=${name}]`).first().click(),
    ]);
    found[name] = fs.readFileSync(await download.path(), "utf8");
  }
  return found;
}

async function main([file, shots]) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ARGUMENTS });
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, acceptDownloads: true });
  const page = await context.newPage();
  const found = { console: [], requests: [] };
  page.on("console", (message) => found.console.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => found.console.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => { found.console.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => found.requests.push(request.url()));
  const url = pathToFileURL(path.resolve(file)).href;
  await page.goto(url);
  found.requests = found.requests.filter((one) => one !== url);
  found.title = await page.title();
  found.text = await page.locator("main").innerText();
  found.hijacked = await page.evaluate(() => window.hijacked ?? null);
  found.axe = { light: await faults(page) };
  const keep = async (name, more) => {
    if (shots !== "-") await page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true, ...more });
  };
  await keep("light");
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForTimeout(100);
  found.axe.dark = await faults(page);
  await keep("dark");
  await page.emulateMedia({ colorScheme: "light" });
  found.charts = await charts(page);
  await page.locator("#theme").click();
  await page.locator("#theme").click();
  found.theme = await page.evaluate(() => document.documentElement.dataset.theme);
  await page.locator("#theme").click();
  found.downloads = await downloads(page);
  found.sideways = 0;
  for (const width of [1300, 1100, 800, 400]) {
    await page.setViewportSize({ width, height: 800 });
    await page.waitForTimeout(300);
    found.sideways = Math.max(found.sideways, await page.evaluate(tooWide));
  }
  await keep("narrow");
  await page.setViewportSize({ width: 1200, height: 900 });
  const paper = path.join(shots === "-" ? os.tmpdir() : shots, `page-${process.pid}.pdf`);
  await page.pdf({ path: paper, format: "A4", printBackground: true });
  found.paperBytes = fs.statSync(paper).size;
  if (shots === "-") fs.unlinkSync(paper);
  await browser.close();
  console.log(JSON.stringify(found));
}

main(process.argv.slice(2)).catch((error) => { console.error(error); process.exit(1); });
