// A curve as a PNG that stands by itself: whose it is, what its axes and lines are, at twice the size of the page.
import uPlot from "uplot";
import { t } from "../i18n";
import { colour, fontOf, optionsFor, type Line, type Look } from "./plot";

const SCALE = 2;
const [PAD, TITLE, ROW] = [20, 34, 24];

/** heading: whose curve it is. range: the steps that are seen. */
export async function savePng(look: Look, data: uPlot.AlignedData, range: [number, number], heading: string, name: string): Promise<void> {
  const box = document.createElement("div");
  box.style.cssText = "position: fixed; left: -20000px; top: 0";
  document.body.append(box);
  const [width, height] = [look.width * SCALE, look.height * SCALE];
  const u = new uPlot({ ...optionsFor({ ...look, width, height, scale: SCALE }), cursor: { show: false } }, data, box);
  u.setScale("x", { min: range[0], max: range[1] });
  await new Promise(requestAnimationFrame);
  const shown = look.lines.filter((line) => !look.hidden.has(line.name));
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d")!;
  const ratio = SCALE * devicePixelRatio;
  const places = placed(shown, context, look.width - 2 * PAD, ratio);
  const rows = (places.at(-1)?.row ?? 0) + 1;
  const top = PAD + TITLE + rows * ROW;
  [canvas.width, canvas.height] = [u.ctx.canvas.width, u.ctx.canvas.height + (top + PAD / 2) * ratio];
  context.fillStyle = colour("--surface");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.scale(ratio, ratio);
  context.textBaseline = "middle";
  context.fillStyle = colour("--ink");
  context.font = fontOf(16, 620);
  context.fillText(heading, PAD, PAD + TITLE / 2 - 6, look.width - 2 * PAD);
  context.font = fontOf(13);
  for (const { line, x, row } of places) key(context, line, PAD + x, PAD + TITLE + row * ROW + ROW / 2 - 6);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(u.ctx.canvas, 0, top * ratio);
  u.destroy();
  box.remove();
  const link = document.createElement("a");
  link.href = canvas.toDataURL("image/png");
  link.download = `${name}.png`;
  link.click();
}

/** Where each key of the legend stands, in as many rows as they take. */
function placed(lines: Line[], context: CanvasRenderingContext2D, most: number, ratio: number): { line: Line; x: number; row: number }[] {
  context.font = fontOf(13 * ratio);
  let [x, row] = [0, 0];
  return lines.map((line) => {
    const width = 26 + context.measureText(line.name).width / ratio;
    if (x > 0 && x + width > most) [x, row] = [0, row + 1];
    const place = { line, x, row };
    x += width + 20;
    return place;
  });
}

function key(context: CanvasRenderingContext2D, line: Line, x: number, y: number) {
  context.save();
  context.strokeStyle = context.fillStyle = colour(line.colour);
  context.globalAlpha = line.faint ? 0.45 : 1;
  context.lineWidth = line.faint ? 1 : 2.5;
  context.setLineDash(line.dash ? [4, 3] : []);
  context.beginPath();
  if (line.dots) context.arc(x + 9, y, 4, 0, 2 * Math.PI), context.fill();
  else context.moveTo(x, y), context.lineTo(x + 18, y), context.stroke();
  context.restore();
  context.fillStyle = colour("--ink");
  context.fillText(line.name, x + 26, y);
}

/** What a picture's axes are called. */
export const axisNames = (title: string): [string, string] => [t("curve.step"), title];
