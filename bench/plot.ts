import { median } from "./measure.ts";
import type { Results } from "./results.ts";

const WIDTH = 720;
const HEIGHT = 400;
const LEFT = 64;
const RIGHT = 24;
const TOP = 48;
const BOTTOM = 56;

/** Light and dark, by what the reader's page is. */
const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.5 }
  .s0 { stroke: #0969da } .s1 { stroke: #8250df } .s2 { stroke: #cf222e } .s3 { stroke: #6e7781 }
  .f0 { fill: #0969da } .f1 { fill: #8250df } .f2 { fill: #cf222e } .f3 { fill: #6e7781 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .grid { stroke: #30363d }
    .s0 { stroke: #58a6ff } .s1 { stroke: #bc8cff } .s2 { stroke: #ff7b72 } .s3 { stroke: #8b949e }
    .f0 { fill: #58a6ff } .f1 { fill: #bc8cff } .f2 { fill: #ff7b72 } .f3 { fill: #8b949e }
  }`;

/** Time of an ADD over the number of leases held, both axes logarithmic, a line for each program. */
export function plot({ held }: Results): string {
  const counts = [...held.keys()];
  const peers = ["script form", "compiled form", "bridge + host-local", "floor (sh + ip)"];
  const series = peers.map((peer) =>
    counts.map((count) => median(held.get(count)?.get(peer)?.get("ADD") ?? []))
  );
  const most = Math.max(...series.flat());
  const least = Math.min(...series.flat());
  const [low, high] = [Math.floor(Math.log10(least)), Math.ceil(Math.log10(most))];
  const x = (index: number) => LEFT + (index * (WIDTH - LEFT - RIGHT)) / (counts.length - 1);
  const y = (ms: number) =>
    HEIGHT - BOTTOM - ((Math.log10(ms) - low) * (HEIGHT - TOP - BOTTOM)) / (high - low);
  const parts: string[] = [];
  for (let power = low; power <= high; power++) {
    for (const step of power === high ? [1] : [1, 2, 5]) {
      const ms = step * 10 ** power;
      parts.push(
        `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(ms)}" y2="${y(ms)}"/>`,
      );
      parts.push(`<text x="${LEFT - 8}" y="${y(ms) + 4}" text-anchor="end">${ms}</text>`);
    }
  }
  counts.forEach((count, index) => {
    parts.push(
      `<text x="${x(index)}" y="${HEIGHT - BOTTOM + 22}" text-anchor="middle">${
        count.toLocaleString("en")
      }</text>`,
    );
  });
  series.forEach((values, which) => {
    const points = values.map((ms, index) => `${x(index).toFixed(1)},${y(ms).toFixed(1)}`);
    parts.push(`<polyline class="line s${which}" points="${points.join(" ")}"/>`);
    points.forEach((point) => {
      const [cx, cy] = point.split(",");
      parts.push(`<circle class="f${which}" cx="${cx}" cy="${cy}" r="3.5"/>`);
    });
    parts.push(
      `<rect class="f${which}" x="${LEFT + which * 160}" y="${
        HEIGHT - 18
      }" width="12" height="12"/>`,
    );
    parts.push(`<text x="${LEFT + which * 160 + 18}" y="${HEIGHT - 8}">${peers[which]}</text>`);
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img">
<title>Time of an ADD over the number of leases held</title>
<style>${STYLE}</style>
<text class="title" x="${LEFT}" y="24">Time of an ADD in ms, by number of leases that others hold</text>
${parts.join("\n")}
</svg>
`;
}
